// explain(), of one conversion, and the check of a rule that is being made.
#include "engine/check.hpp"
#include "engine/credits.hpp"
#include "engine/explain.hpp"
#include "entry/bound_rule.hpp"
#include "entry/settings.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_explain);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_check);
}

namespace {

using namespace attribution;
using entry::BoundRule;
using entry::required;

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

// explain(rule, conversion_id, overrides)
Datum attribution_explain(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    enum Column { kTier, kTouchId, kTouchTime, kReason, kVerdict, kCredit, kFoundBy };
    pg::ResultSet result(fcinfo, {TEXTOID, InvalidOid, TIMESTAMPTZOID, TEXTOID, TEXTOID, FLOAT8OID, TEXTOID});
    const BoundRule rule(required(fcinfo, 0, "rule"), entry::overrides_or_none(fcinfo, 2));
    const engine::Binding &binding = rule.binding();
    entry::expect_touch_id(result, kTouchId, binding);
    engine::IndexTouchSource source(binding, rule.reader(), 1, engine::reads_channels(binding),
                                    engine::keep_for(binding), entry::candidate_bytes(), entry::is_touch_index_on());
    engine::explain(binding, source, conversion_id(fcinfo, 1, binding), rule.reader(), entry::work_mem(),
                    [&](const engine::Explained &line) {
                      if (line.tier != nullptr)
                        result.set_text(kTier, line.tier->name.c_str());
                      if (line.way != engine::Way::none)
                        result.set_text(kFoundBy, line.way == engine::Way::touch_index ? "touch index" : "SQL");
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
