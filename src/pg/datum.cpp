#include "pg/datum.hpp"

namespace attribution::pg {

Type Type::of(Oid oid, Oid collation) {
  return call([&] {
    Type type;
    type.oid = oid;
    type.collation = collation;
    get_typlenbyvalalign(oid, &type.length, &type.by_value, &type.align);
    return type;
  });
}

std::string Type::name() const {
  return call([&] { return format_type_be(oid); });
}

std::string Type::definition() const {
  // Not name(): "character" means character(1) there, and "bit" bit(1).
  return call([&] { return format_type_extended(oid, -1, FORMAT_TYPE_TYPEMOD_GIVEN); }) + collate(collation);
}

bool Type::is_composite() const {
  return call([&] { return type_is_rowtype(oid); });
}

const char *Type::text(Datum value) const {
  return call([&] {
    Oid output = InvalidOid;
    bool varlena = false;
    getTypeOutputInfo(oid, &output, &varlena);
    return OidOutputFunctionCall(output, value);
  });
}

Datum Type::parse(const char *text) const {
  return call([&] {
    Oid input = InvalidOid;
    Oid parameter = InvalidOid;
    getTypeInputInfo(oid, &input, &parameter);
    return OidInputFunctionCall(input, const_cast<char *>(text), parameter, -1);
  });
}

Datum Type::copy(Datum value) const {
  if (by_value)
    return value;
  return call([&] { return datumCopy(value, by_value, length); });
}

Datum Type::array(Datum *values, bool *nulls, std::size_t count) const {
  return call([&] {
    int dimension = static_cast<int>(count);
    int lower = 1;
    return PointerGetDatum(construct_md_array(values, nulls, 1, &dimension, &lower, oid, length, by_value, align));
  });
}

Oid Type::array_oid() const {
  return call([&] { return get_array_type(oid); });
}

std::size_t Type::size(Datum value) const {
  if (by_value)
    return sizeof(Datum);
  if (length > 0)
    return static_cast<std::size_t>(length);
  return call([&] { return length == -1 ? toast_raw_datum_size(value) : datumGetSize(value, by_value, length); });
}

Order::Order(Oid type) {
  call([&] {
    TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_CMP_PROC);
    if (OidIsValid(entry->cmp_proc))
      fmgr_info(entry->cmp_proc, &function_);
    collation_ = type_is_collatable(type) ? C_COLLATION_OID : InvalidOid;
  });
}

int Order::operator()(Datum a, Datum b) const {
  return call([&] { return DatumGetInt32(FunctionCall2Coll(const_cast<FmgrInfo *>(&function_), collation_, a, b)); });
}

Exact Exact::of(const Type &type) {
  return call([&]() -> Exact {
    const Oid base = getBaseType(type.oid);
    if (base == BPCHAROID) // char(3) and char(5) are equal, but not the same
      return {};
    TypeCacheEntry *entry = lookup_type_cache(base, TYPECACHE_HASH_OPFAMILY | TYPECACHE_BTREE_OPFAMILY |
                                                        TYPECACHE_EQ_OPR_FINFO | TYPECACHE_HASH_PROC_FINFO);
    if (!OidIsValid(entry->btree_opf) || !OidIsValid(entry->hash_opf) || !OidIsValid(entry->eq_opr) ||
        !OidIsValid(entry->hash_proc_finfo.fn_oid) ||
        entry->eq_opr !=
            get_opfamily_member(entry->hash_opf, entry->hash_opintype, entry->hash_opintype, HTEqualStrategyNumber))
      return {};
    const Oid same =
        get_opfamily_proc(entry->btree_opf, entry->btree_opintype, entry->btree_opintype, BTEQUALIMAGE_PROC);
    if (!OidIsValid(same) ||
        !DatumGetBool(OidFunctionCall1Coll(same, type.collation, ObjectIdGetDatum(entry->btree_opintype))))
      return {};
    return {&entry->hash_proc_finfo, &entry->eq_opr_finfo, type.collation};
  });
}

Exact Exact::of(const Type &type, const Type &other) {
  return call([&] { return getBaseType(type.oid) == getBaseType(other.oid); }) ? of(type) : Exact();
}

std::string equality(Oid left, Oid right) {
  const char *name = call([&]() -> const char * {
    TypeCacheEntry *entry = lookup_type_cache(getBaseType(left), TYPECACHE_HASH_OPFAMILY);
    if (!OidIsValid(entry->hash_opf))
      return nullptr;
    TypeCacheEntry *other = lookup_type_cache(getBaseType(right), TYPECACHE_HASH_OPFAMILY);
    if (!OidIsValid(other->hash_opf))
      return nullptr;
    Oid symbol =
        get_opfamily_member(entry->hash_opf, entry->hash_opintype, other->hash_opintype, HTEqualStrategyNumber);
    // An enum, array or range shares its family with all others of its kind: the types must be one and the same.
    const bool polymorphic = IsPolymorphicType(entry->hash_opintype);
    if (!OidIsValid(symbol) || (polymorphic && getBaseType(left) != getBaseType(right)))
      return nullptr;
    HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(symbol));
    if (!HeapTupleIsValid(tuple))
      return nullptr;
    Form_pg_operator form = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
    const char *text =
        psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname));
    ReleaseSysCache(tuple);
    return text;
  });
  return name != nullptr ? name : "";
}

std::string collate(Oid collation) {
  if (!OidIsValid(collation))
    return {};
  return call([&]() -> const char * {
    HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
    if (!HeapTupleIsValid(tuple))
      elog(ERROR, "collation %u does not exist", collation);
    Form_pg_collation form = reinterpret_cast<Form_pg_collation>(GETSTRUCT(tuple));
    const char *text = psprintf(
        " COLLATE %s", quote_qualified_identifier(get_namespace_name(form->collnamespace), NameStr(form->collname)));
    ReleaseSysCache(tuple);
    return text;
  });
}

bool is_deterministic(Oid collation) {
  return !OidIsValid(collation) || call([&] { return get_collation_isdeterministic(collation); });
}

} // namespace attribution::pg
