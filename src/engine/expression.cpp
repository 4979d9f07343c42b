#include "engine/expression.hpp"

namespace attribution::engine {

std::string embed(const std::string &expression) { return "(" + expression + "\n)"; }

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string result;
  for (const std::string_view part : parts)
    result += part;
  return result;
}

pg::Plan prepare_expression(const std::string &sql, const std::string &what) {
  pg::Plan plan;
  try {
    plan = pg::Plan(sql, {});
  } catch (const pg::PgError &error) {
    const bool lookup = error.error->sqlerrcode == ERRCODE_UNDEFINED_FUNCTION;
    throw pg::Error(error.error->sqlerrcode, what + ": " + error.what(),
                    error.error->detail != nullptr ? error.error->detail : "",
                    lookup ? "Names are looked up in pg_catalog alone: qualify others by their schema."
                           : (error.error->hint != nullptr ? error.error->hint : ""));
  }
  plan.refuse_volatile(what);
  return plan;
}

} // namespace attribution::engine
