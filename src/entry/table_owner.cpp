#include "entry/table_owner.hpp"

namespace attribution::entry {

Oid require_owner(Oid relation) {
  const std::string name =
      pg::call([&] { return DatumGetCString(DirectFunctionCall1(regclassout, ObjectIdGetDatum(relation))); });
  const Oid owner = pg::call([&] {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    const Oid found =
        HeapTupleIsValid(tuple) ? reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner : InvalidOid;
    if (HeapTupleIsValid(tuple))
      ReleaseSysCache(tuple);
    return found;
  });
  if (!OidIsValid(owner))
    throw pg::Error(ERRCODE_UNDEFINED_TABLE, "relation with OID " + name + " does not exist");
  if (!pg::call([&] { return has_privs_of_role(GetUserId(), owner); }))
    throw pg::Error(ERRCODE_INSUFFICIENT_PRIVILEGE, "must be owner of table " + name);
  return owner;
}

} // namespace attribution::entry
