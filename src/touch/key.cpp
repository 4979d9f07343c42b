#include "touch/key.hpp"

namespace attribution::touch {

FmgrInfo *hash_function(Oid type, const char *column) {
  TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_HASH_PROC_FINFO);
  if (!OidIsValid(entry->hash_proc_finfo.fn_oid))
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("column \"%s\" is of type %s, which has no hash function", column, format_type_be(type)),
                    errhint("A touch index needs one for each column but the last.")));
  return &entry->hash_proc_finfo;
}

KeyHasher KeyHasher::of(Relation index) {
  TupleDesc shape = RelationGetDescr(index);
  const auto type_of = [shape](int i) { return TupleDescAttr(shape, i)->atttypid; };
  if (shape->natts < 2 || getBaseType(type_of(shape->natts - 1)) != TIMESTAMPTZOID)
    ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                    errmsg("the last column of a touch index must be the time, of type timestamp with time zone, "
                           "and others before it the key"),
                    errhint("CREATE INDEX ON clicks USING touch (app, device, clicked_at);")));
  KeyHasher hasher{};
  hasher.columns = shape->natts - 1;
  for (int i = 0; i < hasher.columns; ++i)
    hasher.column[i] = {hash_function(type_of(i), NameStr(TupleDescAttr(shape, i)->attname)),
                        index->rd_indcollation[i]};
  return hasher;
}

} // namespace attribution::touch
