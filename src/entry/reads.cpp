// The functions that read: attribute(), touchpoints(), explain(), and the check of a rule that is being made.
#include "engine/check.hpp"
#include "engine/credits.hpp"
#include "engine/explain.hpp"
#include "engine/horizon.hpp"
#include "engine/installations.hpp"
#include "entry/bound_rule.hpp"
#include "entry/settings.hpp"
#include "pg/resultset.hpp"

#include <algorithm>

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_attribute);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_touchpoints);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_outlook);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_explain);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_check);
}

namespace {

using namespace attribution;
using entry::BoundRule;
using entry::required;

Datum overrides_or_none(FunctionCallInfo fcinfo, int argument) {
  if (!PG_ARGISNULL(argument))
    return PG_GETARG_DATUM(argument);
  return pg::call([] { return DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")); });
}

/// Without tiers there is no touch id, and any type will do for it.
void expect_touch_id(const pg::ResultSet &result, std::size_t column, const engine::Binding &binding) {
  if (!binding.tiers.empty())
    result.expect(column, binding.touch_id);
}

/// Decides all conversions of a range, batch by batch. Arguments: rule, since, until, overrides.
template <class Emit> void decide_range(FunctionCallInfo fcinfo) {
  pg::ResultSet result(fcinfo, Emit::types);
  const core::Micros since = PG_ARGISNULL(1) ? core::kMinusInfinity : PG_GETARG_TIMESTAMPTZ(1);
  const core::Micros until = PG_ARGISNULL(2) ? core::kInfinity : PG_GETARG_TIMESTAMPTZ(2);
  if (since > until)
    throw pg::Error(ERRCODE_INVALID_PARAMETER_VALUE, "since must not be after until");
  const BoundRule rule(required(fcinfo, 0, "rule"), overrides_or_none(fcinfo, 3));
  const engine::Binding &binding = rule.binding();
  result.expect(Emit::kId, binding.id.type);
  if (Emit::types.begin()[Emit::kTouchId] == InvalidOid)
    expect_touch_id(result, Emit::kTouchId, binding);

  const core::Keep keep = Emit::kKeep == core::Keep::winners ? engine::keep_for(binding) : Emit::kKeep;
  engine::IndexTouchSource source(binding, rule.reader(), entry::batch_size(), engine::reads_channels(binding), keep,
                                  entry::candidate_bytes(), entry::is_touch_index_on());
  engine::Decider decider(binding, source, keep, entry::work_mem());
  Emit emit(binding);
  const engine::Installations installations(binding, rule.reader(), entry::batch_size());
  engine::ConversionReader conversions(binding, since, until, rule.reader());
  engine::Batch batch;
  while (conversions.next(batch, entry::batch_size(), entry::batch_bytes())) {
    installations.tell(batch);
    decider.decide(batch, [&](std::uint32_t i, const core::Decision &decision, engine::TouchRowStore &rows) {
      emit.put(batch, i, decision, rows, result);
    });
  }
}

/// The columns of attribute().
struct EmitCredits {
  explicit EmitCredits(const engine::Binding &binding) : binding(binding), crediting(binding) {}
  const engine::Binding &binding;
  engine::Crediting crediting;

  static constexpr core::Keep kKeep = core::Keep::winners;
  enum Column { kId, kTime, kOutcome, kKind, kTier, kTouchId, kTouchTime, kPosition, kCredit };
  static constexpr std::initializer_list<Oid> types = {InvalidOid, TIMESTAMPTZOID, TEXTOID, TEXTOID,  TEXTOID,
                                                       InvalidOid, TIMESTAMPTZOID, INT4OID, FLOAT8OID};

  void put(const engine::Batch &batch, std::uint32_t i, const core::Decision &decision, engine::TouchRowStore &rows,
           pg::ResultSet &result) {
    const auto put_credit = [&](int position, const core::Touch *touch, double credit) {
      result.set_as(kId, binding.id.type, batch.ids[i]);
      result.set(kTime, TimestampTzGetDatum(batch.times[i]));
      result.set_text(kOutcome, touch != nullptr ? "attributed" : "organic");
      if (const char *kind = engine::name_of(batch.kinds[i]))
        result.set_text(kKind, kind);
      result.set(kPosition, Int32GetDatum(position));
      result.set(kCredit, Float8GetDatum(credit));
      if (touch != nullptr) {
        result.set_text(kTier, binding.spec.tiers[touch->tier].name.c_str());
        result.set_as(kTouchId, binding.touch_id, rows.id(*touch));
        result.set(kTouchTime, TimestampTzGetDatum(touch->time));
      }
      result.put();
    };
    crediting.for_each(batch.times[i], decision, rows, put_credit);
  }
};

/// What diff() compares with what is stored: one row a credit, all but the id as text.
struct EmitOutlook {
  explicit EmitOutlook(const engine::Binding &binding) : binding(binding), crediting(binding) {}
  const engine::Binding &binding;
  engine::Crediting crediting;

  static constexpr core::Keep kKeep = core::Keep::winners;
  enum Column { kId, kTime, kOutcome, kTier, kTouchId, kTouchTime, kPosition, kValue, kCarried, kBeyondHorizon };
  static constexpr std::initializer_list<Oid> types = {InvalidOid,   TIMESTAMPTZOID, TEXTOID, TEXTOID,
                                                       TEXTOID,      TIMESTAMPTZOID, INT4OID, NUMERICOID,
                                                       TEXTARRAYOID, BOOLOID};

  void put(const engine::Batch &batch, std::uint32_t i, const core::Decision &decision, engine::TouchRowStore &rows,
           pg::ResultSet &result) {
    const auto put_credit = [&](int position, const core::Touch *touch, double) {
      result.set_as(kId, binding.id.type, batch.ids[i]);
      result.set(kTime, TimestampTzGetDatum(batch.times[i]));
      result.set_text(kOutcome, touch != nullptr ? "attributed" : "organic");
      result.set(kPosition, Int32GetDatum(position));
      if (binding.value && !batch.value.nulls[i])
        result.set(kValue, batch.value.values[i]);
      if (touch != nullptr) {
        result.set_text(kTier, binding.spec.tiers[touch->tier].name.c_str());
        result.set_text(kTouchId, binding.touch_id.text(rows.id(*touch)));
        result.set(kTouchTime, TimestampTzGetDatum(touch->time));
        result.set(kCarried, rows.carried_texts(*touch));
      }
      result.set(kBeyondHorizon, BoolGetDatum(engine::is_beyond_horizon(binding, batch.times[i])));
      result.put();
    };
    crediting.for_each(batch.times[i], decision, rows, put_credit);
  }
};

/// The columns of touchpoints().
struct EmitTouchpoints {
  explicit EmitTouchpoints(const engine::Binding &binding) : binding(binding), crediting(binding) {}
  const engine::Binding &binding;
  engine::Crediting crediting;

  static constexpr core::Keep kKeep = core::Keep::everything;
  enum Column { kId, kTime, kTier, kPosition, kLength, kTouchId, kTouchTime, kCredit };
  static constexpr std::initializer_list<Oid> types = {InvalidOid, TIMESTAMPTZOID, TEXTOID,        INT4OID,
                                                       INT4OID,    InvalidOid,     TIMESTAMPTZOID, FLOAT8OID};

  void put(const engine::Batch &batch, std::uint32_t i, const core::Decision &decision, engine::TouchRowStore &rows,
           pg::ResultSet &result) {
    const std::size_t length = decision.path.size();
    const auto put_touch = [&](const core::Touch &touch, double credit) {
      result.set_as(kId, binding.id.type, batch.ids[i]);
      result.set(kTime, TimestampTzGetDatum(batch.times[i]));
      result.set_text(kTier, binding.spec.tiers[touch.tier].name.c_str());
      result.set_as(kTouchId, binding.touch_id, rows.id(touch));
      result.set(kTouchTime, TimestampTzGetDatum(touch.time));
      result.set(kCredit, Float8GetDatum(credit));
      result.put();
    };
    const std::span<const double> credits =
        length > 0 ? crediting.credits(batch.times[i], decision, rows) : std::span<const double>();
    for (std::size_t at = 0; at < length; ++at) {
      result.set(kPosition, Int32GetDatum(static_cast<std::int32_t>(at) + 1));
      result.set(kLength, Int32GetDatum(static_cast<std::int32_t>(length)));
      put_touch(decision.path[at], credits[at]);
    }
    for (const core::Touch &touch : decision.rest)
      put_touch(touch, 0);
  }
};

/// A type as a column definition says it. Under a collation that takes different ids for equal, ids could not be a key.
std::string column_type(pg::Type type) {
  if (!pg::is_deterministic(type.collation))
    type.collation = C_COLLATION_OID;
  return type.definition();
}

/// An id of a conversion from an argument of any type: its own type, or its text.
Datum conversion_id(FunctionCallInfo fcinfo, int argument, const engine::Binding &binding) {
  const Datum value = required(fcinfo, argument, "conversion_id");
  const Oid given = pg::call([&] { return getBaseType(get_fn_expr_argtype(fcinfo->flinfo, argument)); });
  const pg::Type &wanted = binding.id.type;
  if (given == pg::call([&] { return getBaseType(wanted.oid); }))
    return value;
  if (given == UNKNOWNOID)
    return wanted.parse(DatumGetCString(value));
  // Another type that prints the same (an integer of another width, text) stands for the same id.
  return wanted.parse(pg::Type::of(given, InvalidOid).text(value));
}

} // namespace

Datum attribution_attribute(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    decide_range<EmitCredits>(fcinfo);
    return Datum(0);
  });
}

Datum attribution_touchpoints(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    decide_range<EmitTouchpoints>(fcinfo);
    return Datum(0);
  });
}

Datum attribution_outlook(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    decide_range<EmitOutlook>(fcinfo);
    return Datum(0);
  });
}

// explain(rule, conversion_id, overrides)
Datum attribution_explain(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    enum Column { kTier, kTouchId, kTouchTime, kReason, kVerdict, kCredit };
    pg::ResultSet result(fcinfo, {TEXTOID, InvalidOid, TIMESTAMPTZOID, TEXTOID, TEXTOID, FLOAT8OID});
    const BoundRule rule(required(fcinfo, 0, "rule"), overrides_or_none(fcinfo, 2));
    const engine::Binding &binding = rule.binding();
    expect_touch_id(result, kTouchId, binding);
    engine::SqlTouchSource source(binding, rule.reader(), entry::batch_size(), engine::reads_channels(binding));
    engine::explain(binding, source, conversion_id(fcinfo, 1, binding), rule.reader(), entry::work_mem(),
                    [&](const engine::Explained &line) {
                      if (line.tier != nullptr)
                        result.set_text(kTier, line.tier->name.c_str());
                      if (line.touch != nullptr) {
                        result.set_as(kTouchId, binding.touch_id, line.touch_id);
                        result.set(kTouchTime, TimestampTzGetDatum(line.touch->time));
                        result.set(kCredit, Float8GetDatum(line.credit));
                      }
                      result.set_text(kReason, core::code_of(line.reason));
                      result.set_text(kVerdict, line.verdict.c_str());
                      result.put();
                    });
    return Datum(0);
  });
}

// _check(rule, overrides): raises what is wrong with a version of a rule; returns what its tables and functions need.
Datum attribution_check(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    enum Column {
      kConversionId,
      kTouchId,
      kConversionIdColumn,
      kTouchIdColumn,
      kCarried,
      kKeys,
      kUsed,
      kFilterColumns,
      kImmutable,
      kHeaderNames,
      kHeaderTypes,
      kCreditNames,
      kCreditTypes
    };
    pg::ResultSet result(fcinfo, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
                                  TEXTARRAYOID, BOOLOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID});
    const BoundRule rule(required(fcinfo, 0, "rule"), required(fcinfo, 1, "overrides"));
    const engine::Binding &binding = rule.binding();
    const bool immutable = engine::check(binding, rule.reader());
    result.set_text(kConversionId, binding.id.type.name().c_str());
    result.set_text(kTouchId, binding.touch_id.name().c_str());
    result.set_text(kConversionIdColumn, column_type(binding.id.type).c_str());
    result.set_text(kTouchIdColumn, column_type(binding.touch_id).c_str());
    std::vector<std::string> types;
    for (const std::optional<pg::Type> &type : binding.carried)
      types.push_back(type ? column_type(*type) : "");
    result.set(kCarried, engine::text_array(types).value);
    types.clear();
    for (const engine::Expression &key : binding.installation_key)
      types.push_back(column_type(key.type));
    result.set(kKeys, engine::text_array(types).value);
    result.set(kUsed, engine::text_array(binding.used).value);
    result.set(kFilterColumns, engine::text_array(binding.filter_columns).value);
    result.set(kImmutable, BoolGetDatum(immutable));
    const auto set_kept = [&](const std::vector<engine::Column> &columns, int names_at, int types_at) {
      std::vector<std::string> names, definitions;
      for (const engine::Column &column : columns) {
        names.push_back(column.name);
        definitions.push_back(column_type(column.type));
      }
      result.set(static_cast<std::size_t>(names_at), engine::text_array(names).value);
      result.set(static_cast<std::size_t>(types_at), engine::text_array(definitions).value);
    };
    set_kept(binding.header_columns, kHeaderNames, kHeaderTypes);
    set_kept(binding.credit_columns, kCreditNames, kCreditTypes);
    result.put();
    return Datum(0);
  });
}
