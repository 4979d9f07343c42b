#include "engine/known.hpp"

#include "engine/wanted.hpp"
#include "pg/memory.hpp"
#include "touch/candidates.hpp"
#include "touch/leaves.hpp"

namespace attribution::engine {

namespace {

/// How many rows with an id's hash are looked at first; if none of them has the id, it is ever more.
constexpr std::uint32_t kFirstLook = 2;
constexpr std::uint32_t kMoreLooks = 16;
constexpr std::uint32_t kMostLooks = UINT32_MAX / kMoreLooks;
/// What the list of candidates may take.
constexpr std::size_t kMemory = 16 << 20;

struct Ids {
  Oid type = InvalidOid; ///< of the elements
  Datum *values = nullptr;
  bool *nulls = nullptr;
  int count = 0;
};

Ids read(Datum array) {
  return pg::call([&] {
    Ids ids;
    ArrayType *read = DatumGetArrayTypeP(array);
    ids.type = ARR_ELEMTYPE(read);
    std::int16_t length = 0;
    bool by_value = false;
    char align = 0;
    get_typlenbyvalalign(ids.type, &length, &by_value, &align);
    deconstruct_array(read, ids.type, length, by_value, align, &ids.values, &ids.nulls, &ids.count);
    return ids;
  });
}

/// Notes which of the ids the rows have.
class KnownRows final : public touch::RowTaker {
public:
  KnownRows(const Ids &ids, FmgrInfo *equal, Oid collation, std::vector<char> &known)
      : ids_(ids), equal_(equal), collation_(collation), known_(known) {}
  void begin_table(AttrNumber attribute) { attribute_ = attribute; }

  bool take(const touch::Candidate &candidate, TupleTableSlot *row) noexcept override {
    slot_getsomeattrs(row, attribute_);
    if (!row->tts_isnull[attribute_ - 1] &&
        DatumGetBool(
            FunctionCall2Coll(equal_, collation_, row->tts_values[attribute_ - 1], ids_.values[candidate.conversion])))
      known_[candidate.conversion] = 1;
    return true;
  }

private:
  const Ids &ids_;
  FmgrInfo *equal_;
  Oid collation_;
  std::vector<char> &known_;
  AttrNumber attribute_ = 0;
};

/// What is done to find the ids by touch indexes.
class Search {
public:
  Search(const Ids &ids, KnownRows &rows, std::vector<char> &known) : ids_(ids), rows_(rows), known_(known) {}

  void begin(const touch::KeyHasher &key) {
    wanted_.reserve(static_cast<std::size_t>(ids_.count));
    for (int i = 0; i < ids_.count; ++i)
      if (!ids_.nulls[i])
        wanted_.push_back({0, static_cast<std::uint32_t>(i), core::kMinusInfinity, core::kInfinity});
    constexpr int kId[] = {0};
    order_by_key(wanted_, key, kId, [this](std::uint32_t id, int) { return ids_.values[id]; });
  }

  /// Who is found in one partition is not looked for in another.
  void look_into(const touch::Leaf &leaf, const char *id) {
    rows_.begin_table(pg::call([&] { return get_attnum(leaf.table, id); }));
    still_ = wanted_;
    for (std::uint32_t most = kFirstLook; !still_.empty(); most = std::min(most, kMostLooks) * kMoreLooks) {
      next_.clear();
      for (std::span<const core::Wanted> left = still_; !left.empty();)
        left = left.subspan(look(leaf, left, most));
      still_.swap(next_);
    }
    std::erase_if(wanted_, [this](const core::Wanted &wanted) { return known_[wanted.conversion] != 0; });
  }

private:
  std::size_t look(const touch::Leaf &leaf, std::span<const core::Wanted> wanted, std::uint32_t most) {
    pg::Context memory("attribution known ids");
    const pg::Within within(memory);
    auto *candidates = static_cast<touch::Candidates *>(pg::call([&] { return palloc(sizeof(touch::Candidates)); }));
    std::size_t done = 0;
    pg::call([&] {
      new (candidates) touch::Candidates(static_cast<std::uint32_t>(ids_.count), true, most, kMemory);
      done = touch::find_candidates(leaf.index, wanted, GetActiveSnapshot(), *candidates);
      (void)candidates->look_up(leaf.table, GetActiveSnapshot(), &rows_);
    });
    for (core::Wanted more : wanted.first(done)) {
      const core::Micros *worst = candidates->beyond(more.conversion);
      if (worst == nullptr || known_[more.conversion] != 0)
        continue;
      more.until = std::min(more.until, *worst - 1);
      if (more.since <= more.until)
        next_.push_back(more);
    }
    return done;
  }

  const Ids &ids_;
  KnownRows &rows_;
  std::vector<char> &known_;
  std::vector<core::Wanted> wanted_; ///< by hash
  std::vector<core::Wanted> still_, next_;
};

/// By touch indexes; false if that can't be done.
bool find_by_index(const IdColumn &column, const Ids &ids, const pg::Type &type, std::vector<char> &known) {
  touch::Sought sought{};
  sought.relation = column.relation;
  sought.time = column.time;
  sought.since = core::kMinusInfinity;
  sought.until = core::kInfinity;
  sought.columns[sought.count++] = column.id;
  int count = 0;
  touch::Leaf *leaves = pg::call([&] { return touch::find_leaves(sought, GetActiveSnapshot(), &count); });
  if (leaves == nullptr)
    return false;
  TypeCacheEntry *entry = pg::call(
      [&] { return lookup_type_cache(getBaseType(type.oid), TYPECACHE_HASH_OPFAMILY | TYPECACHE_EQ_OPR_FINFO); });
  KnownRows rows(ids, &entry->eq_opr_finfo, type.collation, known);
  Search search(ids, rows, known);
  touch::KeyHasher key{};
  key.column[key.columns++] = {pg::call([&] { return touch::hash_function(type.oid, column.id); }), type.collation};
  search.begin(key);
  for (const touch::Leaf &leaf : std::span(leaves, static_cast<std::size_t>(count)))
    search.look_into(leaf, column.id);
  return true;
}

void find_by_sql(const IdColumn &column, Datum array, const Ids &ids, const pg::Type &type, std::vector<char> &known) {
  const std::string equal = pg::equality(type.oid, ids.type);
  if (equal.empty())
    throw pg::Error(ERRCODE_UNDEFINED_FUNCTION, std::string("ids of type ") + type.name() + " can't be hashed");
  const std::string relation = pg::call([&] {
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(column.relation)),
                                      get_rel_name(column.relation));
  });
  const pg::Plan plan("SELECT u.n::int4 FROM unnest($1) WITH ORDINALITY AS u(id, n) WHERE EXISTS (SELECT FROM " +
                          relation + " AS t WHERE t." + pg::quoted(column.id) + ' ' + equal + " (u.id" +
                          pg::collate(type.collation) + "))",
                      {pg::Type::of(ids.type, InvalidOid).array_oid()});
  const pg::Rows rows = plan.execute({{array, false}}, true);
  for (std::uint64_t row = 0; row < rows.count; ++row) {
    bool null = false;
    known[static_cast<std::size_t>(DatumGetInt32(rows.get(row, 1, &null)) - 1)] = 1;
  }
}

} // namespace

std::vector<char> find_known(const IdColumn &column, Datum array) {
  pg::Context memory("attribution known ids");
  const pg::Within within(memory);
  const Ids ids = read(array);
  const pg::Type type = pg::call([&] {
    Oid oid = InvalidOid, collation = InvalidOid;
    std::int32_t modifier = 0;
    get_atttypetypmodcoll(column.relation, get_attnum(column.relation, column.id), &oid, &modifier, &collation);
    return pg::Type{oid, collation};
  });
  if (pg::call([&] { return getBaseType(type.oid) != getBaseType(ids.type); }))
    throw pg::Error(ERRCODE_DATATYPE_MISMATCH, std::string("ids of column ") + pg::quoted(column.id) + " are of type " +
                                                   type.name() + ", not " + pg::Type{ids.type, InvalidOid}.name());
  std::vector<char> known(static_cast<std::size_t>(ids.count), 0);
  if (ids.count > 0 && !find_by_index(column, ids, type, known))
    find_by_sql(column, array, ids, type, known);
  return known;
}

} // namespace attribution::engine
