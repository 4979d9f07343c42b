#include "engine/batch.hpp"

#include "engine/queries.hpp"

namespace attribution::engine {

namespace {

constexpr std::size_t kFetch = 1000;
/// As long as nobody knows how large the rows are.
constexpr std::size_t kFirstFetch = 16;

/// What refuses a row that can't be a conversion: losing it silently would lose revenue.
void check_row(const Binding &binding, const pg::Row &row) {
  bool null = true;
  const Datum id = row.get(kConversionId, &null);
  if (null)
    throw pg::Error(ERRCODE_NULL_VALUE_NOT_ALLOWED,
                    "conversion without an id: column \"" + binding.id.name + "\" of relation " +
                        binding.conversions.name + " is null",
                    {}, "Make the column NOT NULL, or leave such rows out by the rule's filter.");
  const core::Micros time = DatumGetTimestampTz(row.get(kConversionTime, &null));
  if (!null && !core::is_finite(time))
    throw pg::Error(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
                    "time of conversion " + std::string(binding.id.type.text(id)) + " is infinite",
                    "Column \"" + binding.time.name + "\" of relation " + binding.conversions.name + " must be finite.",
                    "Correct the row, or leave it out by the rule's filter: isfinite(" + binding.time.quoted + ").");
}

/// About what a conversion's values take of a batch.
constexpr double kBytesEach = 128;

/// Statistics say too little at times.
constexpr double kSpare = 1.25;

double most_in_batch(const BatchLimits &limits) {
  return std::min(static_cast<double>(limits.conversions), static_cast<double>(limits.bytes) / kBytesEach);
}

pg::Plan prepare(const Binding &binding, const ConversionRange &range, Oid reader, double expected,
                 const BatchLimits &limits) {
  const bool has_end = range.until != core::kInfinity;
  const bool in_order = !binding.id_is_unique || expected == 0 || expected > most_in_batch(limits);
  // A short range with two ends is read by an index on the time, if there is one; but looking for duplicates goes by
  // how many there are.
  constexpr double kFew = 1000;
  const pg::Planning planning = has_end && core::is_finite(range.since) && binding.id_is_unique && expected < kFew
                                    ? pg::Planning::once
                                    : pg::Planning::each_time;
  const pg::Plan plan = pg::Plan::kept(conversions_in_range(binding, has_end, range.is_of_pages(), in_order),
                                       {TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTARRAYOID, TIDOID, TIDOID}, planning);
  plan.refuse_volatile("conversions of rule \"" + binding.spec.name + "\"");
  plan.check_reader(reader);
  return plan;
}

/// The first place of a page.
pg::Param beginning_of(BlockNumber block) {
  return {pg::call([block] {
            auto *place = static_cast<ItemPointer>(palloc(sizeof(ItemPointerData)));
            ItemPointerSet(place, block, 0);
            return PointerGetDatum(place);
          }),
          false};
}

} // namespace

pg::Param text_array(const std::vector<std::string> &texts) {
  const pg::Type text = pg::Type::of(TEXTOID, InvalidOid);
  std::vector<Datum> values;
  values.reserve(texts.size());
  for (const std::string &element : texts)
    values.push_back(pg::call([&] { return CStringGetTextDatum(element.c_str()); }));
  return {text.array(values.data(), nullptr, values.size()), false};
}

const char *name_of(Kind kind) noexcept {
  return kind == Kind::none ? nullptr : kind == Kind::new_installation ? "new" : "reinstall";
}

bool Batch::has_key(const BoundTier &tier, std::uint32_t conversion) const {
  for (const Pair &pair : tier.match)
    if (columns[pair.conversion].nulls[conversion] || columns[pair.conversion].empty[conversion])
      return false;
  return true;
}

void Batch::clear() {
  times.clear();
  ids.clear();
  columns.clear();
  value = {};
  kinds.clear();
  bytes = 0;
  memory.reset();
}

void Batch::reserve(const Binding &binding, std::size_t conversions) {
  columns.resize(binding.columns.size() + binding.installation_key.size());
  times.reserve(conversions);
  ids.reserve(conversions);
  for (BatchColumn &column : columns) {
    column.values.reserve(conversions);
    column.nulls.reserve(conversions);
    column.empty.reserve(conversions);
  }
}

void Batch::swap(Batch &other) noexcept {
  memory.swap(other.memory);
  times.swap(other.times);
  ids.swap(other.ids);
  columns.swap(other.columns);
  std::swap(value, other.value);
  kinds.swap(other.kinds);
  std::swap(bytes, other.bytes);
}

void Batch::remove_last() {
  times.pop_back();
  ids.pop_back();
  const auto pop = [](BatchColumn &column) {
    column.values.pop_back();
    column.nulls.pop_back();
    if (!column.empty.empty())
      column.empty.pop_back();
  };
  for (BatchColumn &column : columns)
    pop(column);
  if (!value.values.empty())
    pop(value);
  if (kinds.size() > times.size())
    kinds.pop_back();
}

void Batch::add(const Binding &binding, const pg::Row &row) {
  check_row(binding, row);
  columns.resize(binding.columns.size() + binding.installation_key.size());
  pg::Within within(memory);
  bool null = true;
  const auto size_of = [](const pg::Type &type, Datum value) {
    constexpr std::size_t kChunk = 16; // what comes with each piece of memory
    return sizeof(Datum) + (type.by_value ? 0 : kChunk + type.size(value));
  };
  times.push_back(DatumGetTimestampTz(row.get(kConversionTime, &null)));
  ids.push_back(binding.id.type.copy(row.get(kConversionId, &null)));
  bytes += sizeof(core::Micros) + size_of(binding.id.type, ids.back());
  int at = kConversionColumns;
  const auto take = [&](BatchColumn &column, const pg::Type &type) {
    const Datum datum = row.get(at++, &null);
    column.values.push_back(null ? Datum(0) : type.copy(datum));
    column.nulls.push_back(null);
    bytes += null ? sizeof(Datum) : size_of(type, datum);
  };
  for (std::size_t i = 0; i < columns.size(); ++i)
    take(columns[i], i < binding.columns.size() ? binding.columns[i].type
                                                : binding.installation_key[i - binding.columns.size()].type);
  for (BatchColumn &column : columns) {
    const bool empty = DatumGetBool(row.get(at++, &null));
    column.empty.push_back(!null && empty);
  }
  if (binding.value)
    take(value, binding.value->type);
}

int compare_texts(const char *a, const char *b) {
  if (a == nullptr || b == nullptr)
    return (a == nullptr) - (b == nullptr);
  return std::strcmp(a, b);
}

int compare_texts(const Binding &binding, const Batch &a, const Batch &b) {
  pg::Context scratch("attribution texts");
  pg::Within within(scratch);
  if (int order = compare_texts(binding.id.type.text(a.ids.back()), binding.id.type.text(b.ids.back())))
    return order;
  for (std::size_t i = 0; i < binding.columns.size(); ++i) {
    const auto text = [&](const BatchColumn &column) {
      return column.nulls.back() ? nullptr : binding.columns[i].type.text(column.values.back());
    };
    if (int order = compare_texts(text(a.columns[i]), text(b.columns[i])))
      return order;
  }
  return 0;
}

void replace_if_less(const Binding &binding, Batch &batch, const pg::Row &row) {
  Batch again;
  again.add(binding, row);
  if (compare_texts(binding, again, batch) >= 0)
    return;
  batch.remove_last();
  batch.add(binding, row);
}

ConversionReader::ConversionReader(const Binding &binding, const ConversionRange &range, Oid reader, double expected,
                                   const BatchLimits &limits)
    : binding_(binding), limits_(limits),
      expected_(static_cast<std::size_t>(std::min(kSpare * expected, most_in_batch(limits)))),
      id_order_(binding.id.type.oid),
      cursor_(prepare(binding, range, reader, expected, limits), {{TimestampTzGetDatum(range.since), false},
                                                                  {TimestampTzGetDatum(range.until), false},
                                                                  text_array(binding.spec.empty),
                                                                  beginning_of(range.first),
                                                                  beginning_of(range.past)}) {}

bool ConversionReader::is_parallel_safe(const Binding &binding, Oid reader) {
  return prepare(binding, {core::kMinusInfinity, core::kInfinity}, reader, 0, {}).is_parallel_safe();
}

bool ConversionReader::next(Batch &batch) {
  batch.clear();
  batch.swap(ahead_);
  if (!is_at_end_)
    batch.reserve(binding_, expected_);
  batch_ = &batch;
  // Rows of one id and time are one conversion: a full batch does not end before it is seen that the next is another.
  while (ahead_.size() == 0 && !is_at_end_) {
    pg::check_for_interrupts();
    const long count = missing(batch);
    is_at_end_ = cursor_.run(count, *this) < static_cast<std::uint64_t>(count);
    check();
  }
  return batch.size() > 0;
}

long ConversionReader::missing(const Batch &batch) const noexcept {
  if (is_full(batch))
    return 1;
  const std::size_t each = batch.size() > 0 ? batch.bytes / batch.size() : limits_.bytes / kFirstFetch;
  const std::size_t fit = (limits_.bytes - batch.bytes) / std::max<std::size_t>(each, 1);
  const std::size_t most = std::min<std::size_t>(limits_.conversions - batch.size(), kFetch);
  return static_cast<long>(std::clamp<std::size_t>(fit, 1, most));
}

void ConversionReader::take(TupleTableSlot *slot) {
  const pg::Row row(*slot);
  Batch &batch = ahead_.size() == 0 ? *batch_ : ahead_;
  const pg::Within within(batch.memory); // so that what comparing ids takes goes with the batch
  bool null = true;
  const Datum id = row.get(kConversionId, &null);
  if (!null && batch.size() > 0 && DatumGetTimestampTz(row.get(kConversionTime, &null)) == batch.times.back() &&
      id_order_(id, batch.ids.back()) == 0)
    replace_if_less(binding_, batch, row);
  else if (ahead_.size() == 0 && batch.size() > 0 && is_full(batch))
    ahead_.add(binding_, row);
  else
    batch.add(binding_, row);
}

} // namespace attribution::engine
