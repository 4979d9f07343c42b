#include "engine/enrichment.hpp"

#include "engine/given.hpp"
#include "engine/queries.hpp"

namespace attribution::engine {

namespace {

/// Puts the rows of dimension_rows() where they belong.
class Found final : public pg::CheckedReceiver {
public:
  Found(const BoundEnrichment &enrichment, MemoryContext memory, std::vector<BatchColumn> &kept)
      : CheckedReceiver(memory), enrichment_(enrichment), kept_(kept) {}

private:
  void take(TupleTableSlot *slot) override {
    const auto number = static_cast<std::uint32_t>(DatumGetInt32(slot->tts_values[0]));
    for (std::size_t i = 0; i < enrichment_.columns.size(); ++i)
      if (!slot->tts_isnull[i + 1]) {
        BatchColumn &column = kept_[enrichment_.first + i];
        column.values[number] = enrichment_.columns[i].type.copy(slot->tts_values[i + 1]);
        column.nulls[number] = false;
      }
  }

  const BoundEnrichment &enrichment_;
  std::vector<BatchColumn> &kept_;
};

/// What is looked up: `key(i, number)` gives the i-th key of a number, `time(number)` the conversion's time.
template <class Key, class Time>
Given given_for(const BoundEnrichment &enrichment, std::vector<std::uint32_t> numbers, Key key, Time time) {
  Given given(std::move(numbers));
  given.add_int4("\"?number\"", [](std::uint32_t number) { return static_cast<std::int32_t>(number); })
      .add_time("\"?time\"", time);
  for (std::size_t i = 0; i < enrichment.given.size(); ++i)
    given.add("\"?key" + std::to_string(i + 1) + "\"", enrichment.given_types[i],
              [&, i](std::uint32_t number) { return key(i, number); });
  return given;
}

template <class Key, class Time>
void look_up(const Decided &decided, const BoundEnrichment &enrichment, const std::vector<std::uint32_t> &numbers,
             std::vector<BatchColumn> &kept, Key key, Time time) {
  std::vector<Oid> types{INT4OID};
  for (const Column &column : enrichment.columns)
    types.push_back(column.type.oid);
  Found found(enrichment, decided.memory, kept);
  if (numbers.empty())
    return;
  const pg::Context memory("attribution enrichment");
  const pg::Within within(memory);
  Given given = given_for(enrichment, numbers, key, time);
  const std::string empty = given.also(TEXTARRAYOID, text_array(decided.binding.spec.empty));
  given.run(dimension_rows(decided.binding, enrichment, given.rows(), empty), types, found);
  found.check();
}

/// Headers by the conversion's columns.
void enrich_headers(Decided &decided, const BoundEnrichment &enrichment) {
  const Batch &batch = decided.batch;
  const auto key = [&](std::size_t i, std::uint32_t conversion) {
    const BatchColumn &column = batch.columns[enrichment.given[i]];
    return pg::Param{column.values[conversion], column.nulls[conversion] != 0};
  };
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t conversion = 0; conversion < decided.headers.size(); ++conversion) {
    bool has_key = true;
    for (const std::size_t column : enrichment.given)
      has_key = has_key && !batch.columns[column].nulls[conversion] && !batch.columns[column].empty[conversion];
    if (has_key)
      numbers.push_back(conversion);
  }
  look_up(decided, enrichment, numbers, decided.header_values, key,
          [&](std::uint32_t conversion) { return batch.times[conversion]; });
}

/// Credits by what they carry of their touchpoints.
void enrich_credits(Decided &decided, const BoundEnrichment &enrichment) {
  const auto key = [&](std::size_t i, std::uint32_t credit) {
    const BatchColumn &column = decided.carried[enrichment.given[i]];
    return pg::Param{column.values[credit], column.nulls[credit] != 0};
  };
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t credit = 0; credit < decided.credits.size(); ++credit) {
    bool has_key = !decided.credits[credit].organic;
    for (const std::size_t column : enrichment.given)
      has_key = has_key && !decided.carried[column].nulls[credit];
    if (has_key)
      numbers.push_back(credit);
  }
  look_up(decided, enrichment, numbers, decided.credit_values, key,
          [&](std::uint32_t credit) { return decided.batch.times[decided.credits[credit].conversion]; });
}

} // namespace

void enrich(Decided &decided) {
  const Binding &binding = decided.binding;
  for (std::size_t i = 0; i < binding.enrichments.size(); ++i) {
    const BoundEnrichment &enrichment = binding.enrichments[i];
    const bool of_touch = binding.spec.enrichments[i].of_touch;
    for (std::size_t column = enrichment.first; column < enrichment.first + enrichment.columns.size(); ++column)
      if (of_touch)
        Decided::assign_nulls(decided.credit_values[column], decided.credits.size());
      else
        Decided::assign_nulls(decided.header_values[column], decided.headers.size());
    if (enrichment.given_types.size() < enrichment.given.size())
      continue;
    if (of_touch)
      enrich_credits(decided, enrichment);
    else
      enrich_headers(decided, enrichment);
  }
}

void check_enrichments(const Binding &binding, Oid reader) {
  for (std::size_t i = 0; i < binding.enrichments.size(); ++i) {
    const BoundEnrichment &enrichment = binding.enrichments[i];
    if (enrichment.given_types.size() < enrichment.given.size())
      continue;
    Given given = given_for(
        enrichment, {}, [](std::size_t, std::uint32_t) { return pg::Param{}; },
        [](std::uint32_t) { return core::Micros(0); });
    const std::string empty = given.also(TEXTARRAYOID, text_array(binding.spec.empty));
    const pg::Plan plan = given.prepared(dimension_rows(binding, enrichment, given.rows(), empty));
    plan.refuse_volatile("enrichment \"" + binding.spec.enrichments[i].name + "\"");
    plan.check_reader(reader);
    // Reading nothing: what the owner may not read is refused here, and not with the first conversion.
    class Nowhere final : public pg::RowReceiver {
      bool row(TupleTableSlot *) noexcept override { return false; }
    } nowhere;
    given.run(plan, nowhere);
  }
}

} // namespace attribution::engine
