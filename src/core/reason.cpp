#include "core/reason.hpp"

#include "core/model.hpp"

namespace attribution::core {

const char *code_of(Reason reason) noexcept {
  switch (reason) {
  case Reason::won:
    return "won";
  case Reason::later_touch:
    return "later_touch";
  case Reason::earlier_touch:
    return "earlier_touch";
  case Reason::stronger_tier:
    return "stronger_tier";
  case Reason::tie:
    return "tie";
  case Reason::duplicate:
    return "duplicate";
  case Reason::outside_window:
    return "outside_window";
  case Reason::after_conversion:
    return "after_conversion";
  case Reason::empty_key:
    return "empty_key";
  case Reason::conflict:
    return "conflict";
  case Reason::filtered:
    return "filtered";
  case Reason::predicate:
    return "predicate";
  case Reason::no_match:
    return "no_match";
  case Reason::duplicate_conversion:
    return "duplicate_conversion";
  case Reason::beyond_horizon:
    return "beyond_horizon";
  }
  return "unknown";
}

namespace {

Reason reason_of(Eligibility eligibility) noexcept {
  switch (eligibility) {
  case Eligibility::empty_key:
    return Reason::empty_key;
  case Eligibility::after_conversion:
    return Reason::after_conversion;
  case Eligibility::outside_window:
    return Reason::outside_window;
  case Eligibility::filtered:
    return Reason::filtered;
  case Eligibility::conflict:
    return Reason::conflict;
  case Eligibility::predicate:
    return Reason::predicate;
  case Eligibility::eligible:
    break;
  }
  return Reason::won;
}

bool same_touchpoint(const Rule &rule, const Touch &a, const Touch &b, TouchRows &rows) {
  return a.time == b.time && rule.tiers[a.tier].relation == rule.tiers[b.tier].relation && rows.compare_ids(a, b) == 0;
}

} // namespace

Reason explain(const Rule &rule, Micros conversion_time, const Decision &decision, const Touch &touch,
               TouchRows &rows) {
  const Eligibility eligibility = judge(rule.tiers[touch.tier], conversion_time, touch);
  if (eligibility != Eligibility::eligible)
    return reason_of(eligibility);

  // An eligible touchpoint means a path, and a path a winner.
  const Touch &winner = decision.path[core::winner(rule.model.kind, decision.path.size())];

  if (same_touchpoint(rule, touch, winner, rows)) {
    if (touch.tier != winner.tier)
      return Reason::stronger_tier;
    return rows.compare_texts(touch, winner) == 0 ? Reason::won : Reason::duplicate;
  }
  if (rule.path == PathKind::first_match && touch.tier != winner.tier)
    return Reason::stronger_tier;
  if (touch.time < winner.time)
    return Reason::later_touch;
  if (touch.time > winner.time)
    return Reason::earlier_touch;
  // At the same microsecond the stronger tier is later: that wins "last" and loses "first".
  return touch.tier > winner.tier ? Reason::stronger_tier : Reason::tie;
}

} // namespace attribution::core
