#include "engine/null_paths.hpp"

#include "engine/expression.hpp"
#include "engine/queries.hpp"

namespace attribution::engine {

std::string null_paths(const Binding &binding) {
  const BoundTier &tier = binding.tiers.front();
  const TierSpec &spec = binding.spec.tiers.front();
  const std::string time = "touch." + tier.time.quoted;
  const std::string id = "touch." + tier.id.quoted;
  const std::string at = "conversion." + binding.time.quoted;
  std::string keys, key_names, present, matches;
  for (std::size_t i = 0; i < tier.match.size(); ++i) {
    const std::string name = joined({"\"?key", std::to_string(i), "\""});
    keys += joined({"touch.", tier.match[i].touch.quoted, " AS ", name, ", "});
    key_names += joined({i == 0 ? "" : ", ", name});
    present += joined({" AND touch.", tier.match[i].touch.quoted, " IS NOT NULL"});
    matches += joined({" AND ", equals(binding, tier.match[i])});
  }
  const std::string channel = binding.spec.channel.empty() ? "''" : channel_of(binding);
  const std::string filter = spec.filter.empty() ? "" : " AND " + embed(spec.filter);
  const std::string conversion_filter = binding.spec.filter.empty() ? "" : " AND " + embed(binding.spec.filter);
  const std::string conflict = tier.conflict.empty() ? "" : " AND NOT (" + conflicts(binding, tier, "$3") + ")";
  const std::string conversion = joined({"SELECT FROM ", binding.conversions.name, " AS conversion WHERE ", at,
                                         " >= $1 AND ", at, " < $2", matches, conversion_filter, conflict});
  const std::string touchpoints = joined({"SELECT DISTINCT ",
                                          keys,
                                          time,
                                          " AS \"?time\", ",
                                          id,
                                          " AS \"?id\", ",
                                          own_lookback(tier),
                                          " AS \"?own\", ",
                                          channel,
                                          " AS \"?channel\" FROM ",
                                          tier.touchpoints.name,
                                          " AS touch WHERE ",
                                          time,
                                          " >= $1 AND ",
                                          time,
                                          " < $2 AND pg_catalog.isfinite(",
                                          time,
                                          ") AND ",
                                          id,
                                          " IS NOT NULL",
                                          present,
                                          " AND NOT (",
                                          has_empty_key(binding, tier, "$3"),
                                          ")",
                                          filter,
                                          " AND NOT EXISTS (",
                                          conversion,
                                          ")"});
  const std::string order =
      OidIsValid(tier.id.type.collation) ? "\"?time\", \"?id\" COLLATE pg_catalog.\"C\"" : "\"?time\", \"?id\"";
  return joined({"SELECT pg_catalog.array_agg(\"?channel\" ORDER BY ", order,
                 "), pg_catalog.array_agg(pg_catalog.concat(\"?id\") ORDER BY ", order,
                 "), pg_catalog.array_agg(\"?time\" ORDER BY ", order,
                 ") FROM (SELECT *, pg_catalog.max(\"?time\") OVER (PARTITION BY ", key_names, ") AS \"?last\" FROM (",
                 touchpoints,
                 (") AS touch) AS touch WHERE \"?last\" - \"?time\" <= LEAST($4, \"?own\") * interval '1 microsecond'"
                  " GROUP BY "),
                 key_names});
}

} // namespace attribution::engine
