// Staged rows on their way into the event tables.
#include "engine/known.hpp"
#include "entry/bound_rule.hpp"
#include "entry/table_owner.hpp"
#include "pg/memory.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_known);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_is_among);
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_ingest_as_owner);
}

using namespace attribution;

// _known(relation, id_column, time_column, ids): for each id, whether there is a row with it.
Datum attribution_known(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    const Oid relation = DatumGetObjectId(entry::required(fcinfo, 0, "relation"));
    const engine::IdColumn column{relation, NameStr(*DatumGetName(entry::required(fcinfo, 1, "id_column"))),
                                  NameStr(*DatumGetName(entry::required(fcinfo, 2, "time_column")))};
    const Datum ids = entry::required(fcinfo, 3, "ids");
    pg::call([&] {
      const AclResult allowed = pg_class_aclcheck(relation, GetUserId(), ACL_SELECT);
      if (allowed != ACLCHECK_OK)
        aclcheck_error(allowed, OBJECT_TABLE, get_rel_name(relation));
    });
    std::vector<char> known;
    {
      const pg::Spi spi;
      known = engine::find_known(column, ids);
    }
    std::vector<Datum> values(known.size());
    std::transform(known.begin(), known.end(), values.begin(), [](char each) { return BoolGetDatum(each != 0); });
    return pg::call([&] {
      return PointerGetDatum(
          construct_array(values.data(), static_cast<int>(values.size()), BOOLOID, 1, true, TYPALIGN_CHAR));
    });
  });
}

// _is_among(place, places): whether a place is one of some that are in order. `ctid = ANY (places)` says the same, but
// the planner looks at every one of these constants: 17 ms for 50,000, four times a batch, a tenth of all that a batch
// took. Other than that one it leads to no place: all of the table is read, unless something beside it says between
// which places to look.
Datum attribution_is_among(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    const auto *place = reinterpret_cast<ItemPointerData *>(DatumGetPointer(entry::required(fcinfo, 0, "place")));
    const Datum datum = entry::required(fcinfo, 1, "places");
    const ArrayType *array = pg::call([&] { return DatumGetArrayTypeP(datum); });
    if (ARR_HASNULL(array)) // then there are fewer of them than it says
      throw pg::Error(ERRCODE_NULL_VALUE_NOT_ALLOWED, "places must not be null");
    const auto *places = reinterpret_cast<ItemPointerData *>(ARR_DATA_PTR(array));
    const int count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
    return BoolGetDatum(std::binary_search(places, places + count, *place, [](ItemPointerData a, ItemPointerData b) {
      return ItemPointerCompare(&a, &b) < 0;
    }));
  });
}

// _ingest_as_owner(target, state): _ingest_step() as the target's owner.
Datum attribution_ingest_as_owner(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    const Datum target = entry::required(fcinfo, 0, "target");
    const Datum state = entry::required(fcinfo, 1, "state");
    MemoryContext memory = CurrentMemoryContext;
    const pg::Spi spi;
    const pg::AsOwner as_owner(entry::require_owner(DatumGetObjectId(target)));
    const pg::Plan step("SELECT attribution._ingest_step($1, $2)", {REGCLASSOID, JSONBOID});
    bool null = false;
    const Datum next = step.execute({{target, false}, {state, false}}).get(0, 1, &null);
    const pg::Within within(memory);
    return pg::call([&] { return datumCopy(next, false, -1); });
  });
}
