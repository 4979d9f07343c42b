#include "engine/known.hpp"

#include "engine/newest_rows.hpp"
#include "pg/memory.hpp"

namespace attribution::engine {

namespace {

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

/// By touch indexes; false if that can't be done.
bool find_by_index(const IdColumn &column, const Ids &ids, const pg::Type &type, std::vector<char> &known) {
  KeysWanted keys{column.relation, column.time, {{column.id, type}}};
  keys.count = static_cast<std::uint32_t>(ids.count);
  keys.value = [&ids](std::uint32_t i, int) { return pg::Param{ids.values[i], ids.nulls[i]}; };
  keys.until = [](std::uint32_t) { return core::kInfinity; };
  keys.any = true;
  const auto newest = find_newest(keys);
  if (newest)
    std::transform(newest->begin(), newest->end(), known.begin(), [](const auto &time) { return time.has_value(); });
  return newest.has_value();
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
