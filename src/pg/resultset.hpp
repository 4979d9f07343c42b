// The rows of a set-returning function: materialised, so that they spill to disk beyond work_mem; or sent to who does
// that.
#pragma once

#include "pg/datum.hpp"

namespace attribution::pg {

class ResultSet {
public:
  /// For a function that returns a table, or a record with a column definition list. Its columns must be of these
  /// types; InvalidOid stands for one that expect() and set_as() see to.
  ResultSet(FunctionCallInfo fcinfo, std::initializer_list<Oid> types);
  /// One whose rows go elsewhere.
  ResultSet(TupleDesc shape, DestReceiver *rows);

  void set(std::size_t column, Datum value) noexcept {
    values_[column] = value;
    nulls_[column] = false;
  }
  void set_text(std::size_t column, const char *text);
  /// Sets a value of `type` in a column of that type, or of type text.
  void set_as(std::size_t column, const Type &type, Datum value);
  /// Raises an error unless set_as(column, type, ..) will do.
  void expect(std::size_t column, const Type &type) const;
  /// Adds the row; what was not set since the last row is NULL.
  void put();
  /// Adds a row that is made already. For use inside PostgreSQL.
  void put(MinimalTuple row);
  TupleDesc shape() const noexcept { return shape_; }

private:
  Oid column_type(std::size_t column) const;
  [[noreturn]] void refuse(std::size_t column, const Type &type) const;

  TupleDesc shape_;
  Tuplestorestate *store_ = nullptr;
  DestReceiver *rows_ = nullptr; ///< without a store
  TupleTableSlot *row_;          ///< for rows that are sent, or were received
  std::vector<Datum> values_;
  std::vector<char> nulls_;
  MemoryContext scratch_;
};

} // namespace attribution::pg
