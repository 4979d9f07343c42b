#include "engine/installations.hpp"

#include "core/installations.hpp"
#include "engine/given.hpp"
#include "engine/queries.hpp"

namespace attribution::engine {

namespace {

/// Walks the conversions of keys, and beside them the members of the key that they are of.
class Walk final : public pg::RowReceiver {
public:
  Walk(Batch &batch, const std::vector<std::vector<std::uint32_t>> &keys, const pg::Order &id_order,
       core::Micros window)
      : memory_(CurrentMemoryContext), batch_(batch), keys_(keys), id_order_(id_order), window_(window), fold_(window) {
  }

  bool row(TupleTableSlot *slot) noexcept override {
    const std::uint32_t number = static_cast<std::uint32_t>(DatumGetInt32(slot->tts_values[0]));
    const core::Micros time = DatumGetTimestampTz(slot->tts_values[1]);
    if (number != number_) {
      number_ = number;
      at_ = 0;
      fold_ = core::InstallationFold(window_);
    }
    const bool is_new = fold_.is_new(time, DatumGetBool(slot->tts_values[3]));
    const pg::Within within(memory_); // where an ERROR outlives the executor
    try {
      // A member that is not among the rows has its decision before the horizon.
      int order = -1;
      for (; at_ < keys_[number].size(); ++at_) {
        const std::uint32_t member = keys_[number][at_];
        order = batch_.times[member] != time ? (batch_.times[member] < time ? -1 : 1)
                                             : id_order_(batch_.ids[member], slot->tts_values[2]);
        if (order >= 0)
          break;
      }
      if (order == 0)
        batch_.kinds[keys_[number][at_++]] = is_new ? Kind::new_installation : Kind::reinstall;
    } catch (...) { // it must not pass through the executor; check() throws it on
      failure_ = std::current_exception();
    }
    return !failure_;
  }

  void check() const {
    if (failure_)
      std::rethrow_exception(failure_);
  }

private:
  MemoryContext memory_;
  Batch &batch_;
  const std::vector<std::vector<std::uint32_t>> &keys_;
  const pg::Order &id_order_;
  core::Micros window_;
  core::InstallationFold fold_;
  std::uint32_t number_ = UINT32_MAX;
  std::size_t at_ = 0;
  std::exception_ptr failure_;
};

} // namespace

bool has_installation_key(const Binding &binding, const Batch &batch, std::uint32_t conversion) {
  for (std::size_t column = binding.columns.size(); column < batch.columns.size(); ++column)
    if (batch.columns[column].nulls[conversion] || batch.columns[column].empty[conversion])
      return false;
  return true;
}

Installations::Installations(const Binding &binding, Oid reader, std::size_t conversions)
    : binding_(binding), id_order_(binding.id.type.oid) {
  if (binding.installation_key.empty())
    return;
  std::vector<Oid> types;
  for (const Expression &key : binding.installation_key) {
    key_orders_.emplace_back(key.type.oid);
    types.push_back(key.type.array_oid());
  }
  types.insert(types.end(), {INT4ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID});
  if (reader != GetUserId())
    pg::Plan(conversions_of_keys(binding, false), types).check_reader(reader);
  plan_ = pg::Plan::kept(conversions_of_keys(binding, true), types, planning_for(conversions));
  sieve_.emplace(binding);
  if (remembers(binding))
    remembered_ = pg::Plan::kept(remembered_of_keys(binding), types, planning_for(conversions));
}

std::vector<Installations::Members> Installations::keys_of(const Batch &batch) const {
  const std::size_t first = binding_.columns.size();
  const auto compare_keys = [&](std::uint32_t a, std::uint32_t b) {
    for (std::size_t i = 0; i < key_orders_.size(); ++i) {
      const std::vector<Datum> &values = batch.columns[first + i].values;
      if (const int order = key_orders_[i](values[a], values[b]))
        return order;
    }
    return 0;
  };
  Members all;
  for (std::uint32_t i = 0; i < batch.size(); ++i)
    if (has_installation_key(binding_, batch, i))
      all.push_back(i);
  std::sort(all.begin(), all.end(), [&](std::uint32_t a, std::uint32_t b) {
    if (const int order = compare_keys(a, b))
      return order < 0;
    if (batch.times[a] != batch.times[b])
      return batch.times[a] < batch.times[b];
    return id_order_(batch.ids[a], batch.ids[b]) < 0;
  });
  std::vector<Members> keys;
  for (std::uint32_t conversion : all) {
    if (keys.empty() || compare_keys(keys.back().back(), conversion) != 0)
      keys.emplace_back();
    keys.back().push_back(conversion);
  }
  return keys;
}

void Installations::tell(Batch &batch) const {
  if (!plan_) {
    batch.kinds.assign(batch.size(), Kind::none);
    return;
  }
  batch.kinds.assign(batch.size(), Kind::new_installation); // an empty key is never a reinstall
  const std::vector<Members> keys = keys_of(batch);
  if (keys.empty())
    return;

  pg::Context memory("attribution installations");
  pg::Within within(memory);
  const std::vector<std::uint32_t> numbers = tell_alone(batch, keys);
  if (numbers.empty())
    return;
  Walk walk(batch, keys, id_order_, binding_.spec.reattribution_window);
  plan_.run(params_of(batch, keys, numbers), walk);
  walk.check();
}

std::vector<std::uint32_t> Installations::tell_alone(Batch &batch, const std::vector<Members> &keys) const {
  std::vector<char> mixed = sieve_->find_mixed(batch, keys);
  if (mixed.empty())
    return all_of(keys.size());
  std::vector<std::uint32_t> alone;
  for (std::uint32_t number = 0; number < keys.size(); ++number) {
    // Of several some may have their decision before the horizon, and be the same conversion again.
    if (remembered_ && keys[number].size() > 1)
      mixed[number] = 1;
    if (!mixed[number])
      alone.push_back(number);
  }
  std::vector<core::Micros> last(keys.size(), core::kMinusInfinity);
  if (remembered_ && !alone.empty()) {
    const pg::Rows rows = remembered_.execute(params_of(batch, keys, alone), true);
    bool null = false;
    for (std::uint64_t row = 0; row < rows.count; ++row) {
      core::Micros &newest = last[static_cast<std::size_t>(DatumGetInt32(rows.get(row, 1, &null)))];
      newest = std::max(newest, core::Micros{DatumGetTimestampTz(rows.get(row, 2, &null))});
    }
    pg::call([&] { SPI_freetuptable(rows.table); });
  }
  for (const std::uint32_t number : alone) {
    const Members &members = keys[number];
    if (last[number] >= batch.times[members.front()]) {
      mixed[number] = 1;
      continue;
    }
    core::InstallationFold fold(binding_.spec.reattribution_window);
    if (last[number] != core::kMinusInfinity)
      (void)fold.is_new(last[number], true);
    for (const std::uint32_t member : members)
      batch.kinds[member] = fold.is_new(batch.times[member], false) ? Kind::new_installation : Kind::reinstall;
  }
  std::vector<std::uint32_t> rest;
  for (std::uint32_t number = 0; number < keys.size(); ++number)
    if (mixed[number])
      rest.push_back(number);
  return rest;
}

std::vector<pg::Param> Installations::params_of(const Batch &batch, const std::vector<Members> &keys,
                                                const std::vector<std::uint32_t> &numbers) const {
  std::vector<pg::Param> params;
  for (std::size_t i = 0; i < binding_.installation_key.size(); ++i) {
    const std::vector<Datum> &values = batch.columns[binding_.columns.size() + i].values;
    params.push_back(array_of(binding_.installation_key[i].type, numbers, [&](std::uint32_t number) {
      return pg::Param{values[keys[number].front()], false};
    }));
  }
  params.push_back(array_of(type_of(INT4OID), numbers, [](std::uint32_t number) {
    return pg::Param{Int32GetDatum(static_cast<std::int32_t>(number)), false};
  }));
  params.push_back(array_of(type_of(TIMESTAMPTZOID), numbers,
                            [&](std::uint32_t number) { return at_time(batch.times[keys[number].back()]); }));
  params.push_back({TimestampTzGetDatum(binding_.spec.horizon.value_or(core::kMinusInfinity)), false});

  return params;
}

} // namespace attribution::engine
