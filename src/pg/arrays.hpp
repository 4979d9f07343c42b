// Arrays of texts as they come in, and arrays of rows as they go out.
#pragma once

#include "pg/guard.hpp"

namespace attribution::pg {

/// The texts of an array, in place: they live as long as it does.
class Texts {
public:
  /// Throws for an array of more than one dimension, or with a null in it; `what` names it.
  Texts(const ArrayType *array, const char *what);

  template <class F> void for_each(F f) const {
    const char *at = ARR_DATA_PTR(array_);
    for (int i = 0; i < count_; ++i) {
      at = reinterpret_cast<const char *>(att_align_pointer(at, TYPALIGN_INT, -1, at));
      f(std::string_view(VARDATA_ANY(at), VARSIZE_ANY_EXHDR(at)));
      at += VARSIZE_ANY(at);
    }
  }
  std::size_t size() const noexcept { return static_cast<std::size_t>(count_); }

private:
  const ArrayType *array_;
  int count_ = 0;
};

/// A text[] of these, in the present memory context.
Datum text_array(const std::vector<std::string_view> &texts);
Datum text(std::string_view text);

/// What an aggregate returns if it has many rows to say: an array of a composite type.
class RowArray {
public:
  /// For a function that returns such an array.
  explicit RowArray(FunctionCallInfo fcinfo);

  void set(std::size_t column, Datum value) noexcept {
    values_[column] = value;
    nulls_[column] = false;
  }
  void set(std::size_t column, double value) noexcept { set(column, Float8GetDatum(value)); }
  void set_text(std::size_t column, std::string_view text);
  /// Adds the row; what was not set since the last row is NULL.
  void put();
  Datum finish();

private:
  Oid type_ = InvalidOid;
  TupleDesc descriptor_ = nullptr;
  ArrayBuildState *rows_ = nullptr;
  std::vector<Datum> values_;
  std::vector<char> nulls_;
};

} // namespace attribution::pg
