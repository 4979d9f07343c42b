#include "pg/arrays.hpp"

namespace attribution::pg {

Texts::Texts(const ArrayType *array, const char *what) : array_(array) {
  if (ARR_NDIM(array) > 1)
    throw Error(ERRCODE_ARRAY_SUBSCRIPT_ERROR, std::string(what) + " must have one dimension");
  if (ARR_NDIM(array) == 0)
    return;
  count_ = ARR_DIMS(array)[0];
  if (call([&] { return array_contains_nulls(const_cast<ArrayType *>(array)); }))
    throw Error(ERRCODE_NULL_VALUE_NOT_ALLOWED, std::string(what) + " must not hold null", {},
                "array_remove(path, NULL) leaves nulls out; coalesce() gives them a name.");
}

Datum text(std::string_view text) {
  return call([&] { return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size()))); });
}

Datum text_array(const std::vector<std::string_view> &texts) {
  std::vector<Datum> values;
  values.reserve(texts.size());
  for (const std::string_view value : texts)
    values.push_back(text(value));
  return call([&] {
    return PointerGetDatum(
        construct_array(values.data(), static_cast<int>(values.size()), TEXTOID, -1, false, TYPALIGN_INT));
  });
}

RowArray::RowArray(FunctionCallInfo fcinfo) {
  call([&] {
    type_ = get_element_type(get_func_rettype(fcinfo->flinfo->fn_oid));
    descriptor_ = lookup_rowtype_tupdesc_copy(type_, -1);
    rows_ = initArrayResult(type_, CurrentMemoryContext, true);
  });
  values_.resize(static_cast<std::size_t>(descriptor_->natts));
  nulls_.assign(values_.size(), 1);
}

void RowArray::set_text(std::size_t column, std::string_view text) { set(column, pg::text(text)); }

void RowArray::put() {
  call([&] {
    HeapTuple tuple = heap_form_tuple(descriptor_, values_.data(), reinterpret_cast<bool *>(nulls_.data()));
    accumArrayResult(rows_, HeapTupleGetDatum(tuple), false, type_, CurrentMemoryContext);
    pfree(tuple);
  });
  std::fill(nulls_.begin(), nulls_.end(), 1);
}

Datum RowArray::finish() {
  return call([&] { return makeArrayResult(rows_, CurrentMemoryContext); });
}

} // namespace attribution::pg
