// The functions that read: attribute(), touchpoints(), explain(), and the check of a rule that is being made.
#include "core/model.hpp"
#include "engine/check.hpp"
#include "engine/explain.hpp"
#include "entry/settings.hpp"
#include "pg/resultset.hpp"
#include "pg/security.hpp"

#include <algorithm>

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_attribute);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_touchpoints);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_explain);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_check);
}

namespace {

using namespace attribution;

Datum required(FunctionCallInfo fcinfo, int argument, const char *name) {
  if (PG_ARGISNULL(argument))
    throw pg::Error(ERRCODE_NULL_VALUE_NOT_ALLOWED, std::string(name) + " must not be null");
  return PG_GETARG_DATUM(argument);
}

Datum overrides_or_none(FunctionCallInfo fcinfo, int argument) {
  if (!PG_ARGISNULL(argument))
    return PG_GETARG_DATUM(argument);
  return pg::call([] { return DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")); });
}

/// A rule bound and ready to be read, as its owner, for the rest of the call.
class Reading {
public:
  Reading(Datum rule, Datum overrides)
      : spec_(engine::load_spec(rule, overrides)), owner_(spec_.owner), binding_(engine::bind(std::move(spec_))) {}

  const engine::Binding &binding() const noexcept { return binding_; }
  Oid reader() const noexcept { return owner_.caller(); }

private:
  pg::Spi spi_;
  engine::RuleSpec spec_;
  pg::AsOwner owner_;
  engine::Binding binding_;
};

/// Without tiers there is no touch id, and any type will do for it.
void expect_touch_id(const pg::ResultSet &result, std::size_t column, const engine::Binding &binding) {
  if (!binding.tiers.empty())
    result.expect(column, binding.touch_id);
}

/// Of a batch's values: they become arrays, which PostgreSQL holds below 1 GB.
constexpr std::size_t kMostBytes = std::size_t{128} << 20;

/// Decides all conversions of a range, batch by batch. Arguments: rule, since, until, overrides.
template <class Emit> void decide_range(FunctionCallInfo fcinfo, core::Keep keep) {
  pg::ResultSet result(fcinfo, Emit::types);
  const core::Micros since = PG_ARGISNULL(1) ? core::kMinusInfinity : PG_GETARG_TIMESTAMPTZ(1);
  const core::Micros until = PG_ARGISNULL(2) ? core::kInfinity : PG_GETARG_TIMESTAMPTZ(2);
  if (since > until)
    throw pg::Error(ERRCODE_INVALID_PARAMETER_VALUE, "since must not be after until");
  Reading reading(required(fcinfo, 0, "rule"), overrides_or_none(fcinfo, 3));
  const engine::Binding &binding = reading.binding();
  result.expect(Emit::kId, binding.id.type);
  expect_touch_id(result, Emit::kTouchId, binding);

  engine::SqlTouchSource source(binding, reading.reader());
  engine::Decider decider(binding, source, keep, entry::work_mem());
  engine::ConversionReader conversions(binding, since, until, reading.reader());
  engine::Batch batch;
  while (conversions.next(batch, entry::batch_size(), std::min(entry::work_mem() / 4, kMostBytes)))
    decider.decide(batch, [&](std::uint32_t i, const core::Decision &decision, engine::TouchRowStore &rows) {
      Emit::put(binding, batch, i, decision, rows, result);
    });
}

/// The columns of attribute().
struct EmitCredits {
  enum Column { kId, kTime, kOutcome, kTier, kTouchId, kTouchTime, kPosition, kCredit };
  static constexpr std::initializer_list<Oid> types = {InvalidOid, TIMESTAMPTZOID, TEXTOID, TEXTOID,
                                                       InvalidOid, TIMESTAMPTZOID, INT4OID, FLOAT8OID};

  static void put(const engine::Binding &binding, const engine::Batch &batch, std::uint32_t i,
                  const core::Decision &decision, engine::TouchRowStore &rows, pg::ResultSet &result) {
    const auto header = [&](const char *outcome, int position, double credit) {
      result.set_as(kId, binding.id.type, batch.ids[i]);
      result.set(kTime, TimestampTzGetDatum(batch.times[i]));
      result.set_text(kOutcome, outcome);
      result.set(kPosition, Int32GetDatum(position));
      result.set(kCredit, Float8GetDatum(credit));
    };
    const std::size_t length = decision.path.size();
    if (length == 0) {
      header("organic", 1, 1.0);
      result.put();
      return;
    }
    int position = 0;
    for (std::size_t at = 0; at < length; ++at) {
      const double credit = core::credit(binding.rule.model, at, length);
      if (credit == 0)
        continue;
      const core::Touch &touch = decision.path[at];
      header("attributed", ++position, credit);
      result.set_text(kTier, binding.spec.tiers[touch.tier].name.c_str());
      result.set_as(kTouchId, binding.touch_id, rows.id(touch));
      result.set(kTouchTime, TimestampTzGetDatum(touch.time));
      result.put();
    }
  }
};

/// The columns of touchpoints().
struct EmitTouchpoints {
  enum Column { kId, kTime, kTier, kPosition, kLength, kTouchId, kTouchTime, kCredit };
  static constexpr std::initializer_list<Oid> types = {InvalidOid, TIMESTAMPTZOID, TEXTOID,        INT4OID,
                                                       INT4OID,    InvalidOid,     TIMESTAMPTZOID, FLOAT8OID};

  static void put(const engine::Binding &binding, const engine::Batch &batch, std::uint32_t i,
                  const core::Decision &decision, engine::TouchRowStore &rows, pg::ResultSet &result) {
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
    for (std::size_t at = 0; at < length; ++at) {
      result.set(kPosition, Int32GetDatum(static_cast<std::int32_t>(at) + 1));
      result.set(kLength, Int32GetDatum(static_cast<std::int32_t>(length)));
      put_touch(decision.path[at], core::credit(binding.rule.model, at, length));
    }
    for (const core::Touch &touch : decision.rest)
      put_touch(touch, 0);
  }
};

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
    decide_range<EmitCredits>(fcinfo, core::Keep::winners);
    return Datum(0);
  });
}

Datum attribution_touchpoints(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    decide_range<EmitTouchpoints>(fcinfo, core::Keep::everything);
    return Datum(0);
  });
}

// explain(rule, conversion_id, overrides)
Datum attribution_explain(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    enum Column { kTier, kTouchId, kTouchTime, kReason, kVerdict, kCredit };
    pg::ResultSet result(fcinfo, {TEXTOID, InvalidOid, TIMESTAMPTZOID, TEXTOID, TEXTOID, FLOAT8OID});
    Reading reading(required(fcinfo, 0, "rule"), overrides_or_none(fcinfo, 2));
    const engine::Binding &binding = reading.binding();
    expect_touch_id(result, kTouchId, binding);
    engine::SqlTouchSource source(binding, reading.reader());
    engine::explain(binding, source, conversion_id(fcinfo, 1, binding), reading.reader(), entry::work_mem(),
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

// _check(rule, version): raises what is wrong with a version of a rule; returns the types of its ids.
Datum attribution_check(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    pg::ResultSet result(fcinfo, {TEXTOID, TEXTOID});
    Reading reading(required(fcinfo, 0, "rule"), required(fcinfo, 1, "overrides"));
    const engine::Binding &binding = reading.binding();
    engine::check(binding, reading.reader());
    result.set_text(0, binding.id.type.name().c_str());
    result.set_text(1, binding.touch_id.name().c_str());
    result.put();
    return Datum(0);
  });
}
