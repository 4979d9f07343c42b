// A column of the target table: what it takes, and how a field is written for it in COPY BINARY.
#pragma once

#include "buffer.hpp"
#include "config.hpp"
#include "field.hpp"

#include <cstdint>
#include <string>

namespace bridge {

using Oid = std::uint32_t;

/// What the catalog says.
struct TargetColumn {
  std::string name;
  /// Of a domain, its base type's.
  Oid type = 0;
  std::string type_name;
  bool is_enum = false;
  bool not_null = false;
  bool has_default = false;
  bool is_generated = false;
};

struct Column;
/// Appends length and value. Throws Rejected, with what it appended to be taken back.
using Encode = void (*)(const Column &, const Field &, Buffer &);

struct Column {
  ColumnConfig config;
  TargetColumn target;
  Encode encode = nullptr;
  /// Among the decoder's fields, where the source is one.
  std::size_t field = 0;
  /// Length and value of the default, or empty.
  std::string default_bytes;
  /// Length and value of the constant, likewise.
  bool is_constant = false;
};

/// How fields are written for a column of this type. Throws ConfigError for a type that is not supported.
Encode encoder_for(const TargetColumn &target);

} // namespace bridge
