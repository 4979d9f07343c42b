#include "pg/resultset.hpp"

namespace attribution::pg {

ResultSet::ResultSet(FunctionCallInfo fcinfo, std::initializer_list<Oid> types) {
  call([&] {
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    // Without the flag a record's descriptor would be the executor's own, and freed after the first call.
    if (result == nullptr || result->expectedDesc == nullptr)
      ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                      errmsg("function returning record called in context that cannot accept type record")));
    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
    shape_ = result->setDesc;
    store_ = result->setResult;
    row_ = MakeSingleTupleTableSlot(shape_, &TTSOpsMinimalTuple);
    scratch_ = AllocSetContextCreate(CurrentMemoryContext, "attribution result row", ALLOCSET_SMALL_SIZES);
  });
  values_.resize(static_cast<std::size_t>(shape_->natts));
  nulls_.assign(values_.size(), 1);
  // The caller of a function that returns a record says its columns: what they get is not to be taken for anything
  // else.
  if (types.size() != values_.size())
    throw Error(ERRCODE_DATATYPE_MISMATCH,
                "the result has " + std::to_string(types.size()) + " columns, not " + std::to_string(values_.size()));
  std::size_t column = 0;
  for (Oid type : types) {
    if (OidIsValid(type) && type != column_type(column))
      refuse(column, Type::of(type, InvalidOid));
    ++column;
  }
}

ResultSet::ResultSet(TupleDesc shape, DestReceiver *rows) : shape_(shape), rows_(rows) {
  call([&] {
    row_ = MakeSingleTupleTableSlot(shape_, &TTSOpsVirtual);
    scratch_ = AllocSetContextCreate(CurrentMemoryContext, "attribution result row", ALLOCSET_SMALL_SIZES);
  });
  values_.resize(static_cast<std::size_t>(shape_->natts));
  nulls_.assign(values_.size(), 1);
}

Oid ResultSet::column_type(std::size_t column) const {
  return TupleDescAttr(shape_, static_cast<int>(column))->atttypid;
}

void ResultSet::set_text(std::size_t column, const char *text) {
  set(column, call([&] {
        MemoryContext outer = MemoryContextSwitchTo(scratch_);
        Datum value = CStringGetTextDatum(text);
        MemoryContextSwitchTo(outer);
        return value;
      }));
}

void ResultSet::set_as(std::size_t column, const Type &type, Datum value) {
  if (column_type(column) == type.oid)
    set(column, value);
  else
    set_text(column, call([&] {
               MemoryContext outer = MemoryContextSwitchTo(scratch_);
               const char *text = type.text(value);
               MemoryContextSwitchTo(outer);
               return text;
             }));
}

void ResultSet::expect(std::size_t column, const Type &type) const {
  if (column_type(column) != type.oid && column_type(column) != TEXTOID)
    refuse(column, type);
}

void ResultSet::refuse(std::size_t column, const Type &type) const {
  throw Error(ERRCODE_DATATYPE_MISMATCH,
              "result column " + std::to_string(column + 1) + " is of type " + type.name() + ", not " +
                  Type::of(column_type(column), InvalidOid).name(),
              {}, "If the rule's tables have changed, attribution.activate() makes its functions anew.");
}

void ResultSet::put() {
  call([&] {
    auto *nulls = reinterpret_cast<bool *>(nulls_.data());
    if (rows_ == nullptr)
      tuplestore_putvalues(store_, shape_, values_.data(), nulls);
    else {
      ExecClearTuple(row_);
      std::copy_n(values_.data(), values_.size(), row_->tts_values);
      std::copy_n(nulls, nulls_.size(), row_->tts_isnull);
      ExecStoreVirtualTuple(row_);
      (void)rows_->receiveSlot(row_, rows_); // who does not take it any more has failed, and ends this process
    }
    MemoryContextReset(scratch_);
  });
  std::fill(nulls_.begin(), nulls_.end(), 1);
}

void ResultSet::put(MinimalTuple row) {
  ExecStoreMinimalTuple(row, row_, false);
  tuplestore_puttupleslot(store_, row_);
}

} // namespace attribution::pg
