// Values of types known only at run time.
#pragma once

#include "pg/guard.hpp"

namespace attribution::pg {

/// A column's type, with what it takes to copy, print, order and pass its values. By value; holds no resources.
struct Type {
  Oid oid = InvalidOid;
  Oid collation = InvalidOid; ///< the column's
  std::int16_t length = 0;
  bool by_value = false;
  char align = 'i';

  static Type of(Oid oid, Oid collation);
  std::string name() const;
  /// As a column definition says it, with the collation; of no particular length.
  std::string definition() const;
  bool is_composite() const;

  /// The value as text, by the type's output function; in the present memory context.
  const char *text(Datum value) const;
  /// The value that a text stands for, by the type's input function.
  Datum parse(const char *text) const;
  Datum copy(Datum value) const;
  /// An array of this type's values, for a parameter of type array_oid().
  Datum array(Datum *values, bool *nulls, std::size_t count) const;
  Oid array_oid() const;
  /// The size of a value once it is out of line no more.
  std::size_t size(Datum value) const;
};

/// The btree order of a type; text under the C collation.
class Order {
public:
  Order() = default;
  explicit Order(Oid type);
  int operator()(Datum a, Datum b) const;
  explicit operator bool() const noexcept { return function_.fn_oid != InvalidOid; }

private:
  FmgrInfo function_{};
  Oid collation_ = InvalidOid;
};

/// The hash and the equality of a type whose equal values are the same to the last bit, for use without SQL.
struct Exact {
  FmgrInfo *hash = nullptr, *equal = nullptr;
  Oid collation = InvalidOid;

  /// Of none if equal values may differ, as 'a' and 'A' do for a type that ignores case.
  static Exact of(const Type &type);
  /// Nor if the other type is another one.
  static Exact of(const Type &type, const Type &other);
  explicit operator bool() const noexcept { return equal != nullptr; }
  /// These may raise an ERROR, and are no calls of their own: for use inside PostgreSQL's executor.
  std::uint32_t hashed(Datum value) const { return DatumGetUInt32(FunctionCall1Coll(hash, collation, value)); }
  bool same(Datum a, Datum b) const { return DatumGetBool(FunctionCall2Coll(equal, collation, a, b)); }
};

/// The equality of two types as SQL: "OPERATOR(schema.=)". Empty if no hash operator family has one: no common
/// equality that an index or a hash join could serve.
std::string equality(Oid left, Oid right);

/// " COLLATE schema.name", or nothing for a type without collations.
std::string collate(Oid collation);
bool is_deterministic(Oid collation);

} // namespace attribution::pg
