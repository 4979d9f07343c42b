#include "engine/installations.hpp"

#include "core/installations.hpp"
#include "engine/newest_rows.hpp"
#include "pg/by_index.hpp"

namespace attribution::engine {

namespace {

/// Walks the conversions of keys, and beside them the members of the key that they are of.
class Walk final : public pg::CheckedReceiver {
public:
  Walk(Batch &batch, const std::vector<std::vector<std::uint32_t>> &keys, const pg::Order &id_order,
       core::Micros window)
      : batch_(batch), keys_(keys), id_order_(id_order), window_(window), fold_(window) {}

private:
  void take(TupleTableSlot *slot) override {
    const std::uint32_t number = static_cast<std::uint32_t>(DatumGetInt32(slot->tts_values[0]));
    const core::Micros time = DatumGetTimestampTz(slot->tts_values[1]);
    if (number != number_) {
      number_ = number;
      at_ = 0;
      fold_ = core::InstallationFold(window_);
    }
    const bool is_new = fold_.is_new(time, DatumGetBool(slot->tts_values[3]));
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
  }

  Batch &batch_;
  const std::vector<std::vector<std::uint32_t>> &keys_;
  const pg::Order &id_order_;
  core::Micros window_;
  core::InstallationFold fold_;
  std::uint32_t number_ = UINT32_MAX;
  std::size_t at_ = 0;
};

/// The newest time of each number.
class Newest final : public pg::RowReceiver {
public:
  explicit Newest(std::vector<core::Micros> &times) : times_(times) {}
  bool row(TupleTableSlot *slot) noexcept override {
    core::Micros &newest = times_[static_cast<std::size_t>(DatumGetInt32(slot->tts_values[0]))];
    newest = std::max(newest, core::Micros{DatumGetTimestampTz(slot->tts_values[1])});
    return true;
  }

private:
  std::vector<core::Micros> &times_;
};

} // namespace

bool has_installation_key(const Binding &binding, const Batch &batch, std::uint32_t conversion) {
  for (std::size_t column = binding.columns.size(); column < batch.columns.size(); ++column)
    if (batch.columns[column].nulls[conversion] || batch.columns[column].empty[conversion])
      return false;
  return true;
}

Installations::Installations(const Binding &binding, Oid reader)
    : binding_(binding), id_order_(binding.id.type.oid), remembers_(remembers(binding)) {
  if (binding.installation_key.empty())
    return;
  for (const Expression &key : binding.installation_key)
    key_orders_.emplace_back(key.type.oid);
  if (reader != GetUserId()) {
    Asked none = ask(Batch(), {}, {});
    none.given.prepared(conversions_of_keys(binding, none.keys, false)).check_reader(reader);
  }
  sieve_.emplace(binding);
}

bool Installations::is_parallel_safe() const {
  if (!sieve_)
    return true;
  Asked none = ask(Batch(), {}, {});
  return none.given.kept(conversions_of_keys(binding_, none.keys, true)).is_parallel_safe();
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
  if (!sieve_) {
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
  // If they are few of all, an index has told so, which finds their conversions as well. A hash join reads whole
  // tables. (A batch of 30,000 among 7 M installs: 2.7 s, and 50 s by hash joins.)
  std::optional<pg::ByIndex> by_index;
  if (numbers.size() < keys.size() / 2)
    by_index.emplace("enable_hashjoin");
  Walk walk(batch, keys, id_order_, binding_.spec.reattribution_window);
  Asked asked = ask(batch, keys, numbers);
  asked.given.run(conversions_of_keys(binding_, asked.keys, true),
                  {INT4OID, TIMESTAMPTZOID, binding_.id.type.oid, BOOLOID}, walk);
  walk.check();
}

std::vector<std::uint32_t> Installations::tell_alone(Batch &batch, const std::vector<Members> &keys) const {
  std::vector<char> mixed = sieve_->find_mixed(batch, keys);
  if (mixed.empty())
    return all_of(keys.size());
  std::vector<std::uint32_t> alone;
  for (std::uint32_t number = 0; number < keys.size(); ++number) {
    // Of several some may have their decision before the horizon, and be the same conversion again.
    if (remembers_ && keys[number].size() > 1)
      mixed[number] = 1;
    if (!mixed[number])
      alone.push_back(number);
  }
  const std::vector<core::Micros> last = last_remembered(batch, keys, alone);
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

std::vector<core::Micros> Installations::last_remembered(const Batch &batch, const std::vector<Members> &keys,
                                                         const std::vector<std::uint32_t> &numbers) const {
  std::vector<core::Micros> last(keys.size(), core::kMinusInfinity);
  if (!remembers_ || numbers.empty())
    return last;
  KeysWanted wanted{binding_.spec.storage->installations, "conversion_time", {}};
  std::vector<std::string> names;
  names.reserve(binding_.installation_key.size());
  for (const Expression &key : binding_.installation_key) {
    names.push_back("key" + std::to_string(names.size() + 1));
    wanted.columns.push_back({names.back().c_str(), key.type});
  }
  wanted.count = static_cast<std::uint32_t>(numbers.size());
  wanted.value = [&](std::uint32_t i, int column) {
    const std::size_t place = binding_.columns.size() + static_cast<std::size_t>(column);
    return pg::Param{batch.columns[place].values[keys[numbers[i]].front()], false};
  };
  wanted.until = [&](std::uint32_t i) {
    return std::min(batch.times[keys[numbers[i]].back()], *binding_.spec.horizon - 1);
  };
  if (const auto found = find_newest(wanted)) {
    for (std::size_t i = 0; i < numbers.size(); ++i)
      last[numbers[i]] = (*found)[i].value_or(core::kMinusInfinity);
    return last;
  }
  Newest newest(last);
  Asked asked = ask(batch, keys, numbers);
  asked.given.run(remembered_of_keys(binding_, asked.keys), {INT4OID, TIMESTAMPTZOID}, newest);
  return last;
}

Installations::Asked Installations::ask(const Batch &batch, const std::vector<Members> &keys,
                                        const std::vector<std::uint32_t> &numbers) const {
  Given given(numbers);
  for (std::size_t i = 0; i < binding_.installation_key.size(); ++i)
    given.add("\"?key" + std::to_string(i + 1) + "\"", binding_.installation_key[i].type, [&](std::uint32_t number) {
      return pg::Param{batch.columns[binding_.columns.size() + i].values[keys[number].front()], false};
    });
  given.add_int4("\"?number\"", [](std::uint32_t number) { return static_cast<std::int32_t>(number); })
      .add_time("\"?until\"", [&](std::uint32_t number) { return batch.times[keys[number].back()]; });
  const std::string horizon = given.also(TIMESTAMPTZOID, at_time(binding_.spec.horizon.value_or(core::kMinusInfinity)));
  const std::string rows = given.rows();
  return {std::move(given), {rows, horizon}};
}

} // namespace attribution::engine
