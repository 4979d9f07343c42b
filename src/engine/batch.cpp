#include "engine/batch.hpp"

#include "engine/queries.hpp"

namespace attribution::engine {

namespace {

constexpr long kFetch = 1000;

/// What refuses a row that can't be a conversion: losing it silently would lose revenue.
void check_row(const Binding &binding, const pg::Rows &rows, std::uint64_t row) {
  bool null = true;
  const Datum id = rows.get(row, kConversionId, &null);
  if (null)
    throw pg::Error(ERRCODE_NULL_VALUE_NOT_ALLOWED,
                    "conversion without an id: column \"" + binding.id.name + "\" of relation " +
                        binding.conversions.name + " is null",
                    {}, "Make the column NOT NULL, or leave such rows out by the rule's filter.");
  const core::Micros time = DatumGetTimestampTz(rows.get(row, kConversionTime, &null));
  if (!null && !core::is_finite(time))
    throw pg::Error(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
                    "time of conversion " + std::string(binding.id.type.text(id)) + " is infinite",
                    "Column \"" + binding.time.name + "\" of relation " + binding.conversions.name + " must be finite.",
                    "Correct the row, or leave it out by the rule's filter: isfinite(" + binding.time.quoted + ").");
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
  bytes = 0;
  memory.reset();
}

void Batch::add(const Binding &binding, const pg::Rows &rows, std::uint64_t row) {
  check_row(binding, rows, row);
  columns.resize(binding.columns.size());
  pg::Within within(memory);
  bool null = true;
  times.push_back(DatumGetTimestampTz(rows.get(row, kConversionTime, &null)));
  ids.push_back(binding.id.type.copy(rows.get(row, kConversionId, &null)));
  bytes += sizeof(core::Micros) + binding.id.type.size(ids.back());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const pg::Type &type = binding.columns[i].type;
    const int at = kConversionColumns + static_cast<int>(i);
    const Datum value = rows.get(row, at, &null);
    columns[i].values.push_back(null ? Datum(0) : type.copy(value));
    columns[i].nulls.push_back(null);
    bytes += null ? 1 : type.size(value);
    columns[i].empty.push_back(!null && DatumGetBool(rows.get(row, at + static_cast<int>(columns.size()), &null)));
  }
}

int compare_texts(const char *a, const char *b) {
  if (a == nullptr || b == nullptr)
    return (a == nullptr) - (b == nullptr);
  return std::strcmp(a, b);
}

int compare_texts(const Binding &binding, const Batch &batch, std::uint32_t a, std::uint32_t b) {
  for (std::size_t i = 0; i < batch.columns.size(); ++i) {
    const BatchColumn &column = batch.columns[i];
    const auto text = [&](std::uint32_t at) {
      return column.nulls[at] ? nullptr : binding.columns[i].type.text(column.values[at]);
    };
    if (int order = compare_texts(text(a), text(b)))
      return order;
  }
  return 0;
}

ConversionReader::ConversionReader(const Binding &binding, core::Micros since, core::Micros until, Oid reader)
    : binding_(binding), id_order_(binding.id.type.oid),
      plan_(conversions_in_range(binding), {TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTARRAYOID}) {
  plan_.check_reader(reader);
  portal_ = plan_.open(
      {{TimestampTzGetDatum(since), false}, {TimestampTzGetDatum(until), false}, text_array(binding.spec.empty)});
}

bool ConversionReader::next(Batch &batch, std::uint32_t most, std::size_t bytes) {
  batch.clear();
  for (;;) {
    pg::check_for_interrupts();
    if (at_ == rows_.count) {
      if (rows_.table != nullptr)
        pg::call([this] { SPI_freetuptable(rows_.table); });
      rows_ = pg::fetch(portal_, kFetch);
      at_ = 0;
      if (rows_.count == 0)
        return batch.size() > 0;
    }
    // A full batch ends before a row with another id: rows of one id and time are one conversion.
    bool null = true;
    const Datum id = rows_.get(at_, kConversionId, &null);
    const bool same = !null && batch.size() > 0 && id_order_(id, batch.ids.back()) == 0 &&
                      DatumGetTimestampTz(rows_.get(at_, kConversionTime, &null)) == batch.times.back();
    if (!same && (batch.size() >= most || batch.bytes >= bytes) && batch.size() > 0)
      return true;
    batch.add(binding_, rows_, at_++);
    if (same) {
      const std::uint32_t last = batch.size() - 1;
      if (compare_texts(binding_, batch, last, last - 1) < 0)
        for (BatchColumn &column : batch.columns) {
          column.values[last - 1] = column.values[last];
          column.nulls[last - 1] = column.nulls[last];
          column.empty[last - 1] = column.empty[last];
        }
      batch.times.pop_back();
      batch.ids.pop_back();
      for (BatchColumn &column : batch.columns) {
        column.values.pop_back();
        column.nulls.pop_back();
        column.empty.pop_back();
      }
    }
  }
}

} // namespace attribution::engine
