#include "engine/key_sieve.hpp"

#include "engine/queries.hpp"
#include "engine/wanted.hpp"
#include "touch/candidates.hpp"
#include "touch/leaves.hpp"

namespace attribution::engine {

namespace {

/// Counts the entries of each key, and marks those that are not one of its conversions'.
class Count final : public touch::EntryTaker {
public:
  Count(const Batch &batch, const std::vector<std::vector<std::uint32_t>> &keys)
      : mixed(keys.size(), 0), batch_(batch), keys_(keys), counts_(keys.size(), 0) {}

  void take(const core::Wanted &wanted, const core::TouchEntry &entry) noexcept override {
    const std::vector<std::uint32_t> &members = keys_[wanted.conversion];
    if (++counts_[wanted.conversion] > members.size() ||
        std::none_of(members.begin(), members.end(),
                     [&](std::uint32_t member) { return batch_.times[member] == entry.time; }))
      mixed[wanted.conversion] = 1;
  }

  std::vector<char> mixed;

private:
  const Batch &batch_;
  const std::vector<std::vector<std::uint32_t>> &keys_;
  std::vector<std::uint32_t> counts_;
};

/// What an index's expressions and predicates are compared with: in the form in which PostgreSQL keeps those.
void describe_rows(const Query *query, touch::Sought &sought) {
  ListCell *cell = nullptr;
  foreach (cell, query->targetList)
    sought.expressions = lappend(
        sought.expressions,
        eval_const_expressions(nullptr, static_cast<Node *>(copyObjectImpl(lfirst_node(TargetEntry, cell)->expr))));
  if (query->jointree->quals == nullptr || query->hasSubLinks)
    return;
  Node *conditions = eval_const_expressions(nullptr, static_cast<Node *>(copyObjectImpl(query->jointree->quals)));
  sought.conditions = make_ands_implicit(canonicalize_qual(reinterpret_cast<Expr *>(conditions), false));
}

} // namespace

KeySieve::KeySieve(const Binding &binding)
    : binding_(binding), conversions_(pg::Plan::kept(installation_keys(binding), {}, pg::Planning::each_time)) {}

std::vector<char> KeySieve::find_mixed(const Batch &batch, const std::vector<std::vector<std::uint32_t>> &keys) const {
  if (binding_.installation_key.size() >= INDEX_MAX_KEYS)
    return {};
  pg::Context memory("attribution installation keys");
  const pg::Within within(memory);
  touch::Sought sought{};
  sought.relation = binding_.conversions.oid;
  sought.time = binding_.time.name.c_str();
  sought.since = core::kMinusInfinity;
  sought.until = core::kMinusInfinity;
  sought.count = static_cast<int>(binding_.installation_key.size());
  std::vector<core::Wanted> wanted;
  wanted.reserve(keys.size());
  for (std::uint32_t number = 0; number < keys.size(); ++number) {
    const core::Micros until = batch.times[keys[number].back()];
    wanted.push_back({0, number, core::kMinusInfinity, until});
    sought.until = std::max(sought.until, until);
  }
  pg::call([&] { describe_rows(conversions_.query(), sought); });
  const auto leaves = leaves_of(sought);
  if (!leaves)
    return {};
  if (leaves->empty())
    return std::vector<char>(keys.size(), 0);
  touch::KeyHasher hasher{};
  for (const Expression &key : binding_.installation_key)
    hasher.column[hasher.columns++] = {pg::call([&] { return touch::hash_function(key.type.oid, "installation_key"); }),
                                       key.type.collation};

  Count entries(batch, keys);
  std::vector<int> hashed;
  for (const touch::Leaf &leaf : *leaves) {
    std::vector<int> order(leaf.columns, leaf.columns + sought.count);
    if (order != hashed) {
      hashed = std::move(order);
      order_by_key(wanted, hasher, hashed, [&](std::uint32_t number, int place) {
        return batch.columns[binding_.columns.size() + static_cast<std::size_t>(place)].values[keys[number].front()];
      });
    }
    pg::call([&] { touch::find_entries(leaf.index, wanted, GetActiveSnapshot(), entries); });
  }
  return std::move(entries.mixed);
}

} // namespace attribution::engine
