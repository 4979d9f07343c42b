#include "engine/ledger.hpp"

#include "engine/expression.hpp"
#include "engine/given.hpp"
#include "engine/horizon.hpp"
#include "engine/installations.hpp"
#include "engine/queries.hpp"

namespace attribution::engine {

namespace {

constexpr std::size_t kNone = SIZE_MAX;

/// The columns of a header, but for what history adds.
constexpr const char *kHeaderColumns =
    "conversion_id, conversion_time, outcome, kind, tier, lookback, value, rule_version, decided_at, run";

Datum text_datum(const char *text) {
  return pg::call([&] { return CStringGetTextDatum(text); });
}

/// A span of time that is not negative, as justify_hours() writes it.
Interval in_days(core::Micros span) {
  Interval interval{};
  interval.time = span % USECS_PER_DAY;
  interval.day = static_cast<std::int32_t>(span / USECS_PER_DAY);
  return interval;
}

/// The words that headers hold.
struct Words {
  Datum attributed = text_datum("attributed"), organic = text_datum("organic");
  Datum kinds[3] = {Datum(0), text_datum("new"), text_datum("reinstall")};
};

/// The columns that two tables have in common, quoted, with commas between them. (Users add columns of their own.)
std::string common_columns(Oid one, Oid other) {
  const pg::Rows rows =
      pg::query("SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM"
                " pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_attribute AS b ON b.attrelid = $2 AND b.attname ="
                " a.attname AND b.attnum > 0 WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped",
                {OIDOID, OIDOID}, {{ObjectIdGetDatum(one), false}, {ObjectIdGetDatum(other), false}});
  bool null = true;
  const Datum list = rows.get(0, 1, &null);
  return null ? "" : pg::call([&] { return TextDatumGetCString(list); });
}

/// Compares kept decisions with what was decided, as they are read.
class Comparison final : public pg::CheckedReceiver {
public:
  Comparison(const Claims &claims, const Claimed &claimed, const Decided &decided)
      : decided_(decided), conversion_of_(claims.size(), kNone), first_(claims.size(), kNone) {
    for (std::size_t i = 0; i < claimed.claims.size(); ++i)
      conversion_of_[claimed.claims[i]] = i;
    kept.reserve(claims.size());
    credit_columns_ = kCarried;
    for (const std::optional<pg::Type> &type : decided.binding.carried)
      credit_columns_ += type.has_value();
    header_columns_ = credit_columns_ + decided.binding.credit_columns.size();
  }

  std::vector<Kept> kept;

private:
  enum Column {
    kNumber,
    kTime,
    kOutcome,
    kKind,
    kTier,
    kValue,
    kDecidedAt, // of the header
    kPosition,
    kCreditTier,
    kTouchId,
    kTouchTime,
    kCredit,
    kCarried
  };

  /// A header with one of its credits.
  void take(TupleTableSlot *slot) override {
    values_ = slot->tts_values;
    nulls_ = slot->tts_isnull;
    const std::uint32_t claim = static_cast<std::uint32_t>(DatumGetInt32(values_[kNumber]));
    const core::Micros time = DatumGetTimestampTz(values_[kTime]);
    Kept &header = header_at(claim, time);
    const std::size_t i = conversion_of_[claim];
    if (i == kNone || decided_.batch.times[i] != time || nulls_[kPosition])
      return;
    const Decided::Header &wanted = decided_.headers[i];
    const BatchColumn &value = decided_.batch.value;
    const Kind kind = decided_.batch.kinds[i];
    header.same_header =
        same(kOutcome, TEXTOID, wanted.attributed ? words_.attributed : words_.organic, false) &&
        same(kKind, TEXTOID, words_.kinds[static_cast<int>(kind)], kind == Kind::none) &&
        same(kTier, TEXTOID, wanted.attributed ? decided_.tier_names[wanted.tier] : Datum(0), !wanted.attributed) &&
        (decided_.binding.value ? same(kValue, NUMERICOID, value.values[i], value.nulls[i] != 0)
                                : nulls_[kValue] != 0) &&
        same_kept(decided_.binding.header_columns, decided_.header_values, header_columns_, i);
    ++header.credits;
    const std::uint32_t position = static_cast<std::uint32_t>(DatumGetInt32(values_[kPosition]));
    if (position < 1 || position > wanted.count)
      return;
    const std::uint32_t at = wanted.first + position - 1;
    const Decided::Credit &credit = decided_.credits[at];
    const pg::Type &id = decided_.binding.touch_id;
    bool match =
        same(kCreditTier, TEXTOID, credit.organic ? Datum(0) : decided_.tier_names[credit.tier], credit.organic) &&
        same(kTouchId, id.by_value, id.length, credit.touch_id, credit.organic) &&
        same(kTouchTime, TIMESTAMPTZOID, TimestampTzGetDatum(credit.touch_time), credit.organic) &&
        same(kCredit, FLOAT8OID, Float8GetDatum(credit.credit), false);
    for (std::size_t c = 0, column = kCarried; c < decided_.carried.size(); ++c)
      if (const std::optional<pg::Type> &type = decided_.binding.carried[c])
        match = match && same(column++, type->by_value, type->length, decided_.carried[c].values[at],
                              decided_.carried[c].nulls[at] != 0);
    match = match && same_kept(decided_.binding.credit_columns, decided_.credit_values, credit_columns_, at);
    header.matched += match;
  }

  bool same_kept(const std::vector<engine::Column> &columns, const std::vector<BatchColumn> &wanted, std::size_t first,
                 std::size_t at) const {
    for (std::size_t c = 0; c < columns.size(); ++c)
      if (!same(first + c, columns[c].type.by_value, columns[c].type.length, wanted[c].values[at],
                wanted[c].nulls[at] != 0))
        return false;
    return true;
  }

  Kept &header_at(std::uint32_t claim, core::Micros time) {
    // An id has one decision; should it have more, they lie side by side in the chain of its claim.
    std::size_t at = first_[claim];
    for (; at != kNone; at = next_[at])
      if (kept[at].time == time)
        return kept[at];
    kept.push_back({claim, time, DatumGetTimestampTz(values_[kDecidedAt]), false, 0, 0});
    next_.push_back(first_[claim]);
    first_[claim] = kept.size() - 1;
    return kept.back();
  }

  bool same(std::size_t column, bool by_value, int length, Datum wanted, bool null) const {
    if (nulls_[column] || null)
      return nulls_[column] && null;
    return pg::call([&] { return datum_image_eq(values_[column], wanted, by_value, length); });
  }
  bool same(std::size_t column, Oid type, Datum wanted, bool null) const {
    const bool varlena = type == TEXTOID || type == NUMERICOID;
    return same(column, !varlena, varlena ? -1 : 8, wanted, null);
  }

  const Decided &decided_;
  std::vector<std::size_t> conversion_of_;      ///< by claim
  std::vector<std::size_t> first_, next_;       ///< chains of `kept` by claim
  std::size_t credit_columns_, header_columns_; ///< where those of the binding begin
  Words words_;
  Datum *values_ = nullptr;
  bool *nulls_ = nullptr;
};

/// What is remembered of claimed ids: who of them is remembered rightly, and the rows that are wrong. Those from before
/// the horizon stay.
class Remembered final : public pg::CheckedReceiver {
public:
  Remembered(std::size_t claims, core::Micros horizon) : right(claims, false), horizon_(horizon) {}

  std::vector<char> right;
  std::vector<ItemPointerData> wrong;

private:
  void take(TupleTableSlot *slot) override {
    if (DatumGetBool(slot->tts_values[3]))
      right[static_cast<std::size_t>(DatumGetInt32(slot->tts_values[0]))] = true;
    else if (DatumGetTimestampTz(slot->tts_values[2]) >= horizon_)
      wrong.push_back(*reinterpret_cast<ItemPointerData *>(DatumGetPointer(slot->tts_values[1])));
  }

  core::Micros horizon_;
};

} // namespace

Decided::Decided(const Binding &binding, const Batch &batch, Crediting &crediting, std::size_t most)
    : binding(binding), batch(batch), crediting(crediting), memory("attribution decided"),
      carried(binding.carried.size()), header_values(binding.header_columns.size()),
      credit_values(binding.credit_columns.size()), most_(most) {
  pg::Within within(memory);
  for (const TierSpec &tier : binding.spec.tiers)
    tier_names.push_back(text_datum(tier.name.c_str()));
}

void Decided::add(const core::Decision &decision, TouchRowStore &rows) {
  if (is_full())
    return;
  pg::Within within(memory);
  const auto conversion = static_cast<std::uint32_t>(headers.size());
  Header header{!decision.path.empty(), 0, static_cast<std::uint32_t>(credits.size()), 0};
  double most = 0;
  const auto add_credit = [&](int position, const core::Touch *touch, double share) {
    Credit credit{conversion, position, touch == nullptr, 0, Datum(0), 0, share};
    if (touch != nullptr) {
      credit.tier = touch->tier;
      credit.touch_id = binding.touch_id.copy(rows.id(*touch));
      credit.touch_time = touch->time;
      if (share >= most) {
        most = share;
        header.tier = touch->tier;
      }
      bytes_ += binding.touch_id.size(credit.touch_id);
    }
    bytes_ += sizeof credit;
    for (std::size_t i = 0; i < carried.size(); ++i) {
      bool null = true;
      const Datum value = touch == nullptr ? Datum(0) : rows.carried(*touch, i, &null);
      carried[i].values.push_back(null ? Datum(0) : binding.carried[i]->copy(value));
      carried[i].nulls.push_back(null);
      bytes_ += sizeof(Datum) + 1 + (null ? 0 : binding.carried[i]->size(value));
    }
    credits.push_back(credit);
    ++header.count;
  };
  crediting.for_each(batch.times[conversion], decision, rows, add_credit);
  headers.push_back(header);
  if (binding.spec.path_summary)
    add_path_summary(decision, rows);
}

void Decided::add_path_summary(const core::Decision &decision, const TouchRowStore &rows) {
  const auto add = [&](std::size_t column, Datum value, bool null) {
    header_values[column].values.push_back(value);
    header_values[column].nulls.push_back(null);
  };
  const bool empty = decision.path.empty();
  add(0, Int32GetDatum(static_cast<std::int32_t>(decision.path.size())), false);
  const auto add_end = [&](std::size_t column, const core::Touch &touch) {
    add(column, binding.touch_id.copy(rows.id(touch)), false);
    add(column + 1, TimestampTzGetDatum(touch.time), false);
  };
  if (empty) {
    for (std::size_t column = 1; column <= 5; ++column)
      add(column, Datum(0), true);
    return;
  }
  add_end(1, decision.path.front());
  add_end(3, decision.path.back());
  std::string channels;
  for (const core::Touch &touch : decision.path) {
    channels += channels.empty() ? "" : " > ";
    channels +=
        binding.spec.channel.empty() ? std::string_view(binding.spec.tiers[touch.tier].name) : rows.channel(touch);
  }
  add(5, text_datum(channels.c_str()), false);
}

void Decided::assign_nulls(BatchColumn &column, std::size_t count) {
  column.values.assign(count, Datum(0));
  column.nulls.assign(count, true);
}

Ledger::Ledger(const Binding &binding)
    : binding_(binding), decisions_(relation_name(binding.spec.storage->decisions)),
      credits_(relation_name(binding.spec.storage->credits)),
      decisions_history_(relation_name(binding.spec.storage->decisions_history)),
      credits_history_(relation_name(binding.spec.storage->credits_history)),
      header_columns_(common_columns(binding.spec.storage->decisions, binding.spec.storage->decisions_history)),
      credit_columns_(common_columns(binding.spec.storage->credits, binding.spec.storage->credits_history)),
      collation_(pg::collate(id_collation(binding))) {}

std::vector<Kept> Ledger::read(const Claims &claims, const Claimed &claimed, const Decided &decided) const {
  std::string carried;
  std::vector<Oid> columns = {INT4OID,        TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID,
                              NUMERICOID,     TIMESTAMPTZOID, INT4OID, TEXTOID, binding_.touch_id.oid,
                              TIMESTAMPTZOID, FLOAT8OID};
  for (std::size_t i = 0; i < binding_.carried.size(); ++i)
    if (binding_.carried[i]) {
      carried += joined({", credit.", pg::quoted(binding_.spec.carry[i])});
      columns.push_back(binding_.carried[i]->oid);
    }
  const auto also = [&](const char *what, const std::vector<Column> &kept) {
    for (const Column &column : kept) {
      carried += joined({", ", what, ".", column.quoted});
      columns.push_back(column.type.oid);
    }
  };
  also("credit", binding_.credit_columns);
  also("decision", binding_.header_columns);
  const auto query = [&](const Given &given, const std::string &at) {
    return joined({("SELECT given.number, decision.conversion_time, decision.outcome, decision.kind, decision.tier,"
                    " decision.value, decision.decided_at, credit.credit_position, credit.tier, credit.touch_id,"
                    " credit.touch_time, credit.credit"),
                   carried, " FROM ", given.rows(), " CROSS JOIN LATERAL (SELECT * FROM ", decisions_,
                   " AS decision WHERE decision.conversion_id = given.id", collation_, " AND ", at,
                   " OFFSET 0) AS decision LEFT JOIN LATERAL (SELECT * FROM ", credits_,
                   (" AS credit WHERE credit.conversion_id = decision.conversion_id"
                    " AND credit.conversion_time = decision.conversion_time OFFSET 0) AS credit ON true")});
  };
  const auto id_of = [&](std::uint32_t claim) { return pg::Param{claims.ids[claim], false}; };
  // Before the horizon rows of an id may be gone that its decision is of: there all of its times are looked through.
  const core::Micros horizon = binding_.spec.horizon.value_or(core::kMinusInfinity);
  Comparison comparison(claims, claimed, decided);

  std::vector<Claimed::Place> places;
  for (const Claimed::Place &place : claimed.places)
    if (!claims.elsewhere[place.claim] && place.time >= horizon)
      places.push_back(place);
  if (!places.empty()) {
    Given given(all_of(places.size()));
    given.add_int4("number", [&](std::uint32_t i) { return static_cast<std::int32_t>(places[i].claim); })
        .add("id", binding_.id.type, [&](std::uint32_t i) { return id_of(places[i].claim); })
        .add_time("at", [&](std::uint32_t i) { return places[i].time; });
    given.run(query(given, "decision.conversion_time = given.at"), columns, comparison, pg::Planning::once);
  }
  const auto look_through = [&](const std::vector<std::uint32_t> &which, core::Micros since, core::Micros until) {
    if (which.empty())
      return;
    Given given(which);
    given.add_int4("number", [](std::uint32_t claim) { return static_cast<std::int32_t>(claim); })
        .add("id", binding_.id.type, id_of);
    const std::string from = given.also(TIMESTAMPTZOID, at_time(since));
    const std::string to = given.also(TIMESTAMPTZOID, at_time(until));
    given.run(query(given, joined({"decision.conversion_time >= ", from, " AND decision.conversion_time < ", to})),
              columns, comparison, pg::Planning::once);
  };
  std::vector<std::uint32_t> anywhere;
  for (std::uint32_t claim = 0; claim < claimed.done; ++claim)
    if (claims.elsewhere[claim])
      anywhere.push_back(claim);
  look_through(anywhere, horizon, core::kInfinity);
  if (horizon != core::kMinusInfinity)
    look_through(all_of(claimed.done), core::kMinusInfinity, horizon);
  comparison.check();
  return std::move(comparison.kept);
}

std::vector<std::optional<core::Micros>> Ledger::write(const Claims &claims, const Claimed &claimed,
                                                       const Decided &decided, const std::vector<Kept> &kept,
                                                       std::int64_t run, Tally &tally) const {
  const Batch &batch = decided.batch;
  const core::Micros now = pg::call([] { return GetCurrentTimestamp(); });
  std::vector<std::optional<core::Micros>> places(claims.size());
  std::vector<core::Micros> at(claims.size(), now); ///< when, after all that was decided of the id before
  std::vector<std::size_t> conversion_of(claims.size(), kNone);
  for (std::size_t i = 0; i < claimed.claims.size(); ++i) {
    conversion_of[claimed.claims[i]] = i;
    places[claimed.claims[i]] = batch.times[i];
  }
  enum class Fate : char { write, same, keep };
  std::vector<Fate> fates(claims.size(), Fate::write);
  for (const Kept &header : kept) {
    const std::size_t i = conversion_of[header.claim];
    at[header.claim] = std::max(at[header.claim], header.decided_at + 1);
    const bool there = i != kNone && batch.times[i] == header.time;
    if ((binding_.spec.horizon && header.time < *binding_.spec.horizon) ||
        (i != kNone && is_beyond_horizon(binding_, header.time))) {
      fates[header.claim] = Fate::keep;
      places[header.claim] = header.time;
    } else if (there && fates[header.claim] != Fate::keep && header.same_header &&
               header.credits == decided.headers[i].count && header.matched == header.credits)
      fates[header.claim] = Fate::same;
  }

  std::vector<Kept> gone;
  std::vector<core::Micros> gone_at;
  std::vector<char> had(claims.size(), false);
  for (const Kept &header : kept) {
    const std::size_t i = conversion_of[header.claim];
    const bool stays = fates[header.claim] != Fate::write && places[header.claim] == header.time;
    if (stays)
      continue;
    gone.push_back(header);
    gone_at.push_back(at[header.claim]);
    had[header.claim] = true;
    tally.withdrawn += i == kNone;
  }
  supersede(claims, gone, gone_at, run);

  // Of whom something may be remembered: who has been decided before. (To look for all was a fifth of a run over 40 M
  // installations.)
  std::vector<char> may_be_remembered = claims.elsewhere;
  for (const Kept &header : kept)
    may_be_remembered[header.claim] = true;
  std::vector<std::uint32_t> changed, remembered, redecided;
  std::vector<core::Micros> decided_at(batch.size());
  for (std::uint32_t i = 0; i < claimed.claims.size(); ++i) {
    const std::uint32_t claim = claimed.claims[i];
    ++tally.decided;
    if (fates[claim] == Fate::write) {
      changed.push_back(i);
      decided_at[i] = at[claim];
      ++tally.changed;
      tally.restated += had[claim];
    }
    if (fates[claim] != Fate::keep)
      redecided.push_back(i);
  }
  for (std::uint32_t claim = 0; claim < claimed.done; ++claim) {
    if (fates[claim] == Fate::keep)
      ++tally.kept;
    else if (may_be_remembered[claim])
      remembered.push_back(claim);
  }
  insert(decided, changed, decided_at, run);
  remember(claims, claimed, remembered, redecided);
  return places;
}

void Ledger::supersede(const Claims &claims, const std::vector<Kept> &gone, const std::vector<core::Micros> &at,
                       std::int64_t run) const {
  if (gone.empty())
    return;
  Given given(all_of(gone.size()));
  given.add("id", binding_.id.type,
            [&](std::uint32_t i) {
              return pg::Param{claims.ids[gone[i].claim], false};
            })
      .add_time("at", [&](std::uint32_t i) { return gone[i].time; })
      .add_time("superseded_at", [&](std::uint32_t i) { return at[i]; });
  const auto where = [&](const char *what) {
    return joined({" USING ", given.rows(), " WHERE ", what, ".conversion_id = given.id", collation_, " AND ", what,
                   ".conversion_time = given.at"});
  };
  const std::string by = given.also(INT8OID, {Int64GetDatum(run), false});
  given.execute(joined({"WITH gone AS (DELETE FROM ", credits_, " AS credit", where("credit"),
                        " RETURNING credit.*) INSERT INTO ", credits_history_, " (", credit_columns_, ") SELECT ",
                        credit_columns_, " FROM gone"}));
  given.execute(
      joined({"WITH gone AS (DELETE FROM ", decisions_, " AS decision", where("decision"),
              " RETURNING decision.*, given.superseded_at) INSERT INTO ", decisions_history_, " (", header_columns_,
              ", superseded_at, superseded_by) SELECT ", header_columns_, ", superseded_at, ", by, " FROM gone"}));
}

void Ledger::insert(const Decided &decided, const std::vector<std::uint32_t> &conversions,
                    const std::vector<core::Micros> &at, std::int64_t run) const {
  if (conversions.empty())
    return;
  pg::Context memory("attribution ledger");
  pg::Within within(memory);
  insert_headers(decided, conversions, at, run);
  insert_credits(decided, conversions, at);
}

void Ledger::insert_headers(const Decided &decided, const std::vector<std::uint32_t> &conversions,
                            const std::vector<core::Micros> &at, std::int64_t run) const {
  const Batch &batch = decided.batch;
  const Words words;
  core::Micros longest = 0; // the window of an organic one: nothing was found in any
  std::vector<Interval> lookbacks;
  for (const core::Tier &tier : binding_.rule.tiers) {
    longest = std::max(longest, tier.lookback);
    lookbacks.push_back(in_days(tier.lookback));
  }
  lookbacks.push_back(in_days(longest));
  const auto text = [&](Datum word, bool null = false) { return pg::Param{word, null}; };
  Given given(conversions);
  given.add("conversion_id", binding_.id.type,
            [&](std::uint32_t i) {
              return pg::Param{batch.ids[i], false};
            })
      .add_time("conversion_time", [&](std::uint32_t i) { return batch.times[i]; })
      .add("outcome", type_of(TEXTOID),
           [&](std::uint32_t i) { return text(decided.headers[i].attributed ? words.attributed : words.organic); })
      .add("kind", type_of(TEXTOID),
           [&](std::uint32_t i) {
             return text(words.kinds[static_cast<int>(batch.kinds[i])], batch.kinds[i] == Kind::none);
           })
      .add("tier", type_of(TEXTOID),
           [&](std::uint32_t i) {
             const Decided::Header &header = decided.headers[i];
             return header.attributed ? text(decided.tier_names[header.tier]) : pg::Param{};
           })
      .add(
          "lookback", type_of(INTERVALOID),
          [&](std::uint32_t i) {
            const Decided::Header &header = decided.headers[i];
            return pg::Param{IntervalPGetDatum(header.attributed ? &lookbacks[header.tier] : &lookbacks.back()), false};
          })
      .add("value", type_of(NUMERICOID),
           [&](std::uint32_t i) {
             return binding_.value ? pg::Param{batch.value.values[i], batch.value.nulls[i] != 0} : pg::Param{};
           })
      .add_time("decided_at", [&](std::uint32_t i) { return at[i]; });
  std::string besides;
  for (std::size_t c = 0; c < binding_.header_columns.size(); ++c) {
    const Column &column = binding_.header_columns[c];
    besides += ", " + column.quoted;
    given.add(column.quoted, column.type, [&, c](std::uint32_t i) {
      return pg::Param{decided.header_values[c].values[i], decided.header_values[c].nulls[i] != 0};
    });
  }
  const std::string version = given.also(INT4OID, {Int32GetDatum(binding_.spec.version), false});
  const std::string by = given.also(INT8OID, {Int64GetDatum(run), false});
  given.execute(joined({"INSERT INTO ", decisions_, " (", kHeaderColumns, besides,
                        ") SELECT conversion_id, conversion_time, outcome, kind, tier, lookback, value, ", version,
                        ", decided_at, ", by, besides, " FROM ", given.rows()}),
                pg::Planning::once);
}

void Ledger::insert_credits(const Decided &decided, const std::vector<std::uint32_t> &conversions,
                            const std::vector<core::Micros> &at) const {
  std::vector<std::uint32_t> credits;
  for (const std::uint32_t i : conversions)
    for (std::uint32_t c = decided.headers[i].first; c < decided.headers[i].first + decided.headers[i].count; ++c)
      credits.push_back(c);
  using Credit = Decided::Credit;
  const Batch &batch = decided.batch;
  Given given(std::move(credits));
  const auto add = [&](const char *name, const pg::Type &type, auto value) {
    given.add(name, type, [&, value](std::uint32_t c) { return value(decided.credits[c]); });
  };
  add("conversion_id", binding_.id.type, [&](const Credit &c) { return pg::Param{batch.ids[c.conversion], false}; });
  add("conversion_time", type_of(TIMESTAMPTZOID), [&](const Credit &c) { return at_time(batch.times[c.conversion]); });
  add("credit_position", type_of(INT4OID), [](const Credit &c) { return pg::Param{Int32GetDatum(c.position), false}; });
  add("decided_at", type_of(TIMESTAMPTZOID), [&](const Credit &c) { return at_time(at[c.conversion]); });
  add("tier", type_of(TEXTOID), [&](const Credit &c) {
    return c.organic ? pg::Param{} : pg::Param{decided.tier_names[c.tier], false};
  });
  add("touch_id", binding_.touch_id, [](const Credit &c) { return pg::Param{c.touch_id, c.organic}; });
  add("touch_time", type_of(TIMESTAMPTZOID), [](const Credit &c) {
    return pg::Param{TimestampTzGetDatum(c.touch_time), c.organic};
  });
  add("credit", type_of(FLOAT8OID), [](const Credit &c) { return pg::Param{Float8GetDatum(c.credit), false}; });
  for (std::size_t i = 0; i < decided.carried.size(); ++i)
    if (binding_.carried[i])
      given.add(pg::quoted(binding_.spec.carry[i]), *binding_.carried[i], [&](std::uint32_t c) {
        return pg::Param{decided.carried[i].values[c], decided.carried[i].nulls[c] != 0};
      });
  for (std::size_t i = 0; i < binding_.credit_columns.size(); ++i)
    given.add(binding_.credit_columns[i].quoted, binding_.credit_columns[i].type, [&, i](std::uint32_t c) {
      return pg::Param{decided.credit_values[i].values[c], decided.credit_values[i].nulls[c] != 0};
    });
  given.execute(joined({"INSERT INTO ", credits_, " (", given.names(), ") SELECT * FROM ", given.rows()}),
                pg::Planning::once);
}

void Ledger::remember(const Claims &claims, const Claimed &claimed, const std::vector<std::uint32_t> &remembered,
                      const std::vector<std::uint32_t> &conversions) const {
  if (!OidIsValid(binding_.spec.storage->installations) || binding_.installation_key.empty())
    return;
  pg::Context memory("attribution installations");
  pg::Within within(memory);
  const Batch &batch = claimed.batch;
  const core::Micros horizon = binding_.spec.horizon.value_or(core::kMinusInfinity);
  std::vector<std::size_t> new_of(claims.size(), kNone); ///< the conversion that is to be remembered of a claim
  std::vector<std::uint32_t> asked = remembered;
  for (const std::uint32_t i : conversions)
    if (batch.kinds[i] == Kind::new_installation && has_installation_key(binding_, batch, i)) {
      new_of[claimed.claims[i]] = i;
      if (batch.times[i] < horizon) // where others than runs may have told of installations
        asked.push_back(claimed.claims[i]);
    }

  const auto value_of = [&](std::size_t key, std::size_t i) {
    return pg::Param{batch.columns[binding_.columns.size() + key].values[i], false};
  };
  const std::string table = relation_name(binding_.spec.storage->installations);
  Remembered found(claims.size(), horizon);
  if (!asked.empty()) {
    Given given(asked);
    given.add_int4("number", [](std::uint32_t claim) { return static_cast<std::int32_t>(claim); })
        .add("id", binding_.id.type,
             [&](std::uint32_t claim) {
               return pg::Param{claims.ids[claim], false};
             })
        .add("at", type_of(TIMESTAMPTZOID), [&](std::uint32_t claim) {
          return new_of[claim] == kNone ? pg::Param{} : at_time(batch.times[new_of[claim]]);
        });
    std::string same = "old.conversion_time = given.at";
    for (std::size_t key = 0; key < binding_.installation_key.size(); ++key) {
      const pg::Type &type = binding_.installation_key[key].type;
      const std::string name = "key" + std::to_string(key + 1);
      given.add(name, type, [&, key](std::uint32_t claim) {
        return new_of[claim] == kNone ? pg::Param{} : value_of(key, new_of[claim]);
      });
      same += joined(
          {" AND given.", name, pg::collate(type.collation), " ", pg::equality(type.oid, type.oid), " old.", name});
    }
    // Who changed what is remembered of these ids before they were claimed has committed.
    const pg::FreshSnapshot snapshot;
    given.run(joined({"SELECT given.number, old.\"?place\", old.conversion_time, COALESCE(", same, ", false) FROM ",
                      given.rows(), " CROSS JOIN LATERAL (SELECT old.ctid AS \"?place\", old.* FROM ", table,
                      " AS old WHERE old.conversion_id = given.id", collation_, " OFFSET 0) AS old"}),
              {INT4OID, TIDOID, TIMESTAMPTZOID, BOOLOID}, found, pg::Planning::once);
    found.check();
  }
  if (!found.wrong.empty()) {
    Given given(all_of(found.wrong.size()));
    given.add("place", type_of(TIDOID), [&](std::uint32_t i) {
      return pg::Param{PointerGetDatum(&found.wrong[i]), false};
    });
    given.execute(joined({"DELETE FROM ", table, " AS old USING ", given.rows(), " WHERE old.ctid = given.place"}),
                  pg::Planning::once);
  }

  std::vector<std::uint32_t> fresh;
  for (std::uint32_t claim = 0; claim < claims.size(); ++claim)
    if (new_of[claim] != kNone && !found.right[claim])
      fresh.push_back(static_cast<std::uint32_t>(new_of[claim]));
  if (fresh.empty())
    return;
  Given given(std::move(fresh));
  given.add("conversion_id", binding_.id.type,
            [&](std::uint32_t i) {
              return pg::Param{batch.ids[i], false};
            })
      .add_time("conversion_time", [&](std::uint32_t i) { return batch.times[i]; });
  for (std::size_t key = 0; key < binding_.installation_key.size(); ++key)
    given.add("key" + std::to_string(key + 1), binding_.installation_key[key].type,
              [&, key](std::uint32_t i) { return value_of(key, i); });
  given.execute(joined({"INSERT INTO ", table, " (", given.names(), ") SELECT * FROM ", given.rows()}),
                pg::Planning::once);
}

} // namespace attribution::engine
