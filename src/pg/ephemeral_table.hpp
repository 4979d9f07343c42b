// Rows of ours that a statement reads as a table, in the way in which triggers read their transition tables. (Arrays
// that it unnests take a value at a time through a tuplestore, and every one has to fit into memory.)
#pragma once

#include "pg/spi.hpp"

namespace attribution::pg {

/// Takes memory up to work_mem, and a temporary file beyond that.
class EphemeralTable {
public:
  /// A table of columns of these types, under their types' own collations.
  explicit EphemeralTable(const std::vector<Type> &columns);
  ~EphemeralTable() {
    if (std::uncaught_exceptions() == 0) // else the abort closes its file, and its memory is its context's
      tuplestore_end(rows_);
  }
  EphemeralTable(const EphemeralTable &) = delete;
  EphemeralTable &operator=(const EphemeralTable &) = delete;

  /// Adds rows: `value(row, column)` gives a Param.
  template <class F> void fill(std::size_t count, F value) {
    const auto columns = static_cast<std::size_t>(shape_->natts);
    call([&] {
      auto *values = static_cast<Datum *>(palloc(columns * sizeof(Datum)));
      auto *nulls = static_cast<bool *>(palloc(columns * sizeof(bool)));
      for (std::size_t row = 0; row < count; ++row) {
        CHECK_FOR_INTERRUPTS();
        for (std::size_t column = 0; column < columns; ++column) {
          const Param param = value(row, column);
          values[column] = param.value;
          nulls[column] = param.null;
        }
        tuplestore_putvalues(rows_, shape_, values, nulls);
      }
    });
  }

  /// From now on it is the Spi::kGiven of statements, which are planned for about so many rows.
  void give(double expected) const { Spi::give(shape_, rows_, expected); }

private:
  TupleDesc shape_;
  Tuplestorestate *rows_;
};

} // namespace attribution::pg
