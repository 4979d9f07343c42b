// From messages to rows of one table: the columns of a pipeline against the catalog.
#pragma once

#include "buffer.hpp"
#include "column.hpp"
#include "config.hpp"
#include "decoder.hpp"
#include "message.hpp"

#include <memory>
#include <string>
#include <vector>

namespace bridge {

/// The target as the catalog has it.
struct Target {
  /// Quoted and qualified.
  std::string name;
  /// Changes when a column does.
  std::string shape;
  std::vector<TargetColumn> columns;
};

class Mapper {
public:
  /// Throws ConfigError where pipeline and table don't fit.
  Mapper(const PipelineConfig &pipeline, const Target &target);

  /// Appends the row of a message, as COPY BINARY has it. Throws Rejected, and has appended nothing then.
  void append_row(const Message &message, Buffer &rows);

  /// The columns, quoted, as COPY wants them.
  const std::string &column_list() const noexcept { return column_list_; }
  /// Whether headers are looked at.
  bool wants_headers() const noexcept { return wants_headers_; }

private:
  void append_columns(const Message &message, Buffer &rows);
  void append_column(const Column &column, const Message &message, Buffer &rows);
  static bool append_place(const Column &column, const Message &message, Buffer &rows);
  Field field_of(const Column &column, const Message &message);

  std::vector<Column> columns_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<Field> fields_;
  std::string number_;
  std::string column_list_;
  bool wants_fields_ = false;
  bool wants_headers_ = false;
};

} // namespace bridge
