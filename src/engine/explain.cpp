#include "engine/explain.hpp"

#include "core/eligibility.hpp"
#include "engine/credits.hpp"

namespace attribution::engine {

namespace {

using core::Reason;

/// "7 d", "00:03:18", "2 d 00:00:00.000001": a duration of either sign, without it.
std::string in_words(core::Micros duration) {
  const std::uint64_t micros =
      duration < 0 ? 0 - static_cast<std::uint64_t>(duration) : static_cast<std::uint64_t>(duration);
  const std::uint64_t seconds = micros / 1000000;
  const std::uint64_t days = seconds / 86400;
  std::string words = days > 0 ? std::to_string(days) + " d" : "";
  if (micros == days * 86400 * 1000000 && days > 0)
    return words;
  char clock[40];
  snprintf(clock, sizeof clock, "%02d:%02d:%02d", static_cast<int>(seconds / 3600 % 24),
           static_cast<int>(seconds / 60 % 60), static_cast<int>(seconds % 60));
  words += (words.empty() ? "" : " ") + std::string(clock);
  if (micros % 1000000 != 0) {
    snprintf(clock, sizeof clock, ".%06d", static_cast<int>(micros % 1000000));
    words += clock;
  }
  return words;
}

std::string time_text(core::Micros time) {
  return pg::Type::of(TIMESTAMPTZOID, InvalidOid).text(TimestampTzGetDatum(time));
}

std::string list(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// What speaks for one tier of one conversion.
class Narrator {
public:
  Narrator(const Binding &binding, const Batch &batch, const core::Touch *winner)
      : binding_(binding), time_(batch.times[0]), batch_(batch), winner_(winner) {}

  std::string verdict(Reason reason, const core::Touch &touch, double credit) const {
    const TierSpec &spec = binding_.spec.tiers[touch.tier];
    const core::Tier &tier = binding_.rule.tiers[touch.tier];
    const core::Micros age = core::minus(time_, touch.time);
    const std::string when = in_words(age) + (age < 0 ? " after" : " before") + " the conversion";
    switch (reason) {
    case Reason::won:
      if (!core::is_single_touch(binding_.rule.model.kind))
        return "gets " + pg::call([&] { return std::string(psprintf("%.6g", 100 * credit)); }) + " % by model " +
               binding_.spec.model + ", " + when;
      return std::string(binding_.rule.model.kind == core::Model::last_touch ? "the last" : "the first") +
             " eligible touchpoint of its path, " + when;
    case Reason::later_touch:
      if (!core::is_single_touch(binding_.rule.model.kind))
        return "eligible and in the path, but model " + binding_.spec.model + " gives it nothing";
      return "eligible, but a touchpoint " + in_words(core::minus(winner_->time, touch.time)) + " later won";
    case Reason::earlier_touch:
      return "eligible, but a touchpoint " + in_words(core::minus(touch.time, winner_->time)) + " earlier won";
    case Reason::stronger_tier:
      return "eligible, but tier \"" + binding_.spec.tiers[winner_->tier].name + "\" is stronger";
    case Reason::tie:
      return "eligible, but another touchpoint of the same microsecond comes " +
             std::string(binding_.rule.model.kind == core::Model::last_touch ? "later" : "earlier") +
             " in the path's order";
    case Reason::duplicate:
      return "the winning touchpoint again: the same id and time";
    case Reason::outside_window:
      return when + "; the lookback window is " + in_words(std::min(tier.lookback, touch.lookback)) +
             (touch.lookback < tier.lookback ? " (its own)" : "");
    case Reason::after_conversion:
      return (age == 0 ? "at the time of the conversion; strict wants it before" : when) +
             (tier.skew > 0 ? "; the skew tolerated is " + in_words(tier.skew) : "");
    case Reason::empty_key:
      return "a match column (" + list(spec.match) + ") is NULL or holds an empty value";
    case Reason::conflict:
      return "a conflict column (" + list(spec.conflict) + ") differs from the conversion's";
    case Reason::filtered:
      return "the tier's filter does not hold: " + spec.filter;
    case Reason::predicate:
      return "the tier's predicate does not hold: " + spec.predicate;
    default:
      return "";
    }
  }

  /// Of a tier in which nothing was found.
  Explained nothing_found(std::size_t number) const {
    const TierSpec &spec = binding_.spec.tiers[number];
    const BoundTier &tier = binding_.tiers[number];
    Explained line;
    line.tier = &spec;
    const core::Window window = core::window_of(binding_.rule.tiers[number], time_);
    if (!batch_.has_key(tier, 0)) {
      std::vector<std::string> names;
      for (const Pair &pair : tier.match) {
        const BatchColumn &column = batch_.columns[pair.conversion];
        if (column.nulls[0] || column.empty[0])
          names.push_back(binding_.columns[pair.conversion].name + (column.nulls[0] ? " is NULL" : " is empty"));
      }
      line.reason = Reason::empty_key;
      line.verdict = "the conversion has no key here: " + list(names);
    } else if (spec.horizon && *spec.horizon > window.since) {
      line.reason = Reason::beyond_horizon;
      line.verdict = "nothing was found, but " + tier.touchpoints.name + " reaches back to " +
                     time_text(*spec.horizon) + " only; the window begins at " + time_text(window.since);
    } else {
      line.reason = Reason::no_match;
      line.verdict = "nothing in " + tier.touchpoints.name + " has this (" + list(spec.match) +
                     ") within twice the lookback window of " + in_words(spec.lookback);
    }
    return line;
  }

private:
  const Binding &binding_;
  core::Micros time_;
  const Batch &batch_;
  const core::Touch *winner_;
};

/// Keeps the candidates of one tier.
class Collector final : public CandidateSink {
public:
  Collector(std::vector<core::Touch> &touches, TouchRowStore &rows) : touches_(touches), rows_(rows) {}
  bool offer(std::uint32_t, const core::Touch &candidate, TupleTableSlot *row) noexcept override {
    if (touches_.size() == touches_.capacity())
      return false;
    core::Touch touch = candidate;
    touch.row = rows_.keep(candidate.tier, row);
    touches_.push_back(touch);
    return true;
  }
  bool wants(std::uint32_t, const core::Touch &) const noexcept override { return true; }

private:
  std::vector<core::Touch> &touches_;
  TouchRowStore &rows_;
};

/// A candidate and its reason.
struct Line {
  core::Touch touch;
  Reason reason;
  double credit = 0;
};

/// The winners first, then what was eligible, then what was not.
void sort_lines(std::vector<Line> &lines) {
  std::stable_sort(lines.begin(), lines.end(), [](const Line &a, const Line &b) {
    const auto rank = [](Reason reason) { return reason == Reason::won ? 0 : reason <= Reason::duplicate ? 1 : 2; };
    if (rank(a.reason) != rank(b.reason))
      return rank(a.reason) < rank(b.reason);
    return a.touch.tier < b.touch.tier;
  });
}

/// Candidates with their reasons: the winner first, then those that were eligible, then those that were not.
std::vector<Line> reasons_of(const Binding &binding, core::Micros time, const std::vector<core::Touch> &touches,
                             const core::Decision &decision, const core::Touch *winner, TouchRowStore &rows) {
  std::vector<Line> lines;
  bool won = false;
  for (const core::Touch &touch : touches) {
    Reason reason = core::explain(binding.rule, time, decision, touch, rows);
    if (reason == Reason::won && won)
      reason = Reason::duplicate;
    won = won || reason == Reason::won;
    lines.push_back({touch, reason, reason == Reason::won ? 1.0 : 0.0});
  }
  if (winner != nullptr && !won) // so many are nearer in time that it was left out
    lines.push_back({*winner, Reason::won, 1});
  sort_lines(lines);
  return lines;
}

/// Several touchpoints may have won: each line gets the credit of its touchpoint.
void share_credit(std::vector<Line> &lines, std::span<const double> credits, const core::Decision &decision,
                  TouchRowStore &rows) {
  for (Line &line : lines) {
    if (line.reason >= Reason::duplicate)
      continue;
    line.credit = 0;
    for (std::size_t at = 0; at < credits.size(); ++at) {
      const core::Touch &touch = decision.path[at];
      if (touch.time != line.touch.time || touch.tier != line.touch.tier || rows.compare_ids(touch, line.touch) != 0)
        continue;
      line.credit = credits[at];
      if (rows.compare_texts(touch, line.touch) != 0)
        line.reason = Reason::duplicate;
      else
        line.reason = credits[at] > 0 ? Reason::won : Reason::later_touch;
    }
  }
  sort_lines(lines);
}

/// The rows with the id: the one that counts goes into the batch, the others are explained.
void choose_row(const Binding &binding, Batch &batch, const pg::Rows &rows, const ExplanationSink &sink) {
  std::vector<std::uint64_t> duplicates;
  std::uint64_t chosen = rows.count;
  for (std::uint64_t row = 0; row < rows.count; ++row) {
    bool null = true;
    const core::Micros time = DatumGetTimestampTz(rows.get(row, kConversionTime, &null));
    if (null || !DatumGetBool(rows.get(row, kConversionPasses, &null))) {
      Explained line;
      line.reason = Reason::filtered;
      line.verdict = null ? "a row without a time is no conversion"
                          : "the row at " + time_text(time) +
                                " is no conversion; the rule's filter does not hold: " + binding.spec.filter;
      sink(line);
      continue;
    }
    if (chosen == rows.count) {
      batch.add(binding, {rows, row});
      chosen = row;
      continue;
    }
    Batch other;
    other.add(binding, {rows, row});
    const bool wins = other.times[0] == batch.times[0] && compare_texts(binding, other, batch) < 0;
    duplicates.push_back(wins ? chosen : row);
    if (wins) {
      batch.clear();
      batch.add(binding, {rows, row});
      chosen = row;
    }
  }
  for (std::uint64_t row : duplicates) {
    bool null = true;
    Explained line;
    line.reason = Reason::duplicate_conversion;
    line.verdict = "the id again at " + time_text(DatumGetTimestampTz(rows.get(row, kConversionTime, &null))) +
                   "; the conversion is the row at " + time_text(batch.times[0]);
    sink(line);
  }
}

} // namespace

void explain(const Binding &binding, IndexTouchSource &source, Datum conversion_id, Oid reader, std::size_t memory,
             const ExplanationSink &sink) {
  Batch batch;
  {
    pg::Plan plan(conversions_by_id(binding), {binding.id.type.oid, TEXTARRAYOID});
    plan.check_reader(reader);
    pg::Cursor cursor(plan, {{conversion_id, false}, text_array(binding.spec.empty)});
    const pg::Rows rows = cursor.fetch(FETCH_ALL);
    if (rows.count == 0)
      throw pg::Error(ERRCODE_NO_DATA_FOUND,
                      "conversion " + std::string(binding.id.type.text(conversion_id)) + " does not exist",
                      "No row of relation " + binding.conversions.name + " has this " + binding.id.quoted + ".");
    choose_row(binding, batch, rows, sink);
  }
  if (batch.size() == 0)
    return;

  Crediting crediting(binding);
  Decider decider(binding, source, keep_for(binding), memory);
  decider.decide(batch, [&](std::uint32_t, const core::Decision &decision, TouchRowStore &rows) {
    const core::Touch *winner =
        decision.path.empty() ? nullptr : &decision.path[core::winner(binding.rule.model.kind, decision.path.size())];
    const Narrator narrator(binding, batch, winner);
    std::vector<core::Touch> touches;
    touches.reserve(binding.tiers.size() * (kMostExplained + 1));
    std::vector<bool> found(binding.tiers.size(), false);
    for (std::size_t tier = 0; tier < binding.tiers.size(); ++tier) {
      if (!batch.has_key(binding.tiers[tier], 0))
        continue; // what shares an empty value with it are strangers
      Collector collector(touches, rows);
      source.gather_near(batch, 0, tier, kMostExplained + 1, collector);
      found[tier] = !touches.empty() && touches.back().tier == tier;
    }

    std::vector<Line> lines = reasons_of(binding, batch.times[0], touches, decision, winner, rows);
    if (winner != nullptr && !core::is_single_touch(binding.rule.model.kind))
      share_credit(lines, crediting.credits(batch.times[0], decision, rows), decision, rows);
    for (std::size_t i = 0; i < lines.size() && i < kMostExplained; ++i) {
      const core::Touch &touch = lines[i].touch;
      Explained line;
      line.tier = &binding.spec.tiers[touch.tier];
      line.touch = &touch;
      line.touch_id = rows.id(touch);
      line.reason = lines[i].reason;
      line.credit = lines[i].credit;
      line.way = source.last_way(touch.tier);
      line.verdict = narrator.verdict(line.reason, touch, line.credit);
      sink(line);
    }
    for (std::size_t tier = 0; tier < binding.tiers.size(); ++tier)
      if (!found[tier]) {
        Explained line = narrator.nothing_found(tier);
        line.way = source.last_way(tier);
        sink(line);
      }
    if (lines.size() > kMostExplained)
      pg::call([] {
        ereport(NOTICE, (errmsg("there are more candidates and near misses than the %d shown",
                                static_cast<int>(kMostExplained))));
      });
  });
}

} // namespace attribution::engine
