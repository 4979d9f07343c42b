// Messages of any bytes, against a row of all types: each is a row that COPY could read, or rejected with nothing left
// behind; and what came before makes no difference.

#include "errors.hpp"
#include "json_text.hpp"
#include "mapper.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace {

using namespace bridge;

constexpr char kConfig[] = R"(
[kafka]
brokers = "b"
[[pipeline]]
name = "p"
topics = "t"
table = "t"
[pipeline.columns]
id = { required = true, on_error = "dead_letter" }
at = { time = ["iso", "epoch_ms"], on_error = "null" }
local = { path = "a.at", zone = "Europe/Berlin", time = ["iso", "epoch_us"], on_error = "null" }
day = { path = "a.day", on_error = "null" }
flag = { on_error = "null" }
small = { path = "n", on_error = "null" }
medium = { path = "n", on_error = "null" }
large = { path = "n", on_error = "null" }
single = { path = "n", on_error = "null" }
double = { path = "n", on_error = "null" }
decimal = { path = "n", on_error = "null" }
text = { path = "s", nul = "strip" }
strict = { path = "s", on_error = "null" }
ip = { path = "a.ip", on_error = "null" }
net = { path = "a.ip", on_error = "null" }
whole = { path = "a", on_error = "null" }
inner = { path = "a.b.c", nul = "strip", on_error = "null" }
others = { rest = true, nul = "strip", on_error = "null" }
bytes = { meta = "value" }
)";

const Target &target() {
  static const Target made{"t",
                           "",
                           {{"id", 2950, "uuid"},
                            {"at", 1184, "timestamptz"},
                            {"local", 1114, "timestamp"},
                            {"day", 1082, "date"},
                            {"flag", 16, "bool"},
                            {"small", 21, "int2"},
                            {"medium", 23, "int4"},
                            {"large", 20, "int8"},
                            {"single", 700, "float4"},
                            {"double", 701, "float8"},
                            {"decimal", 1700, "numeric"},
                            {"text", 25, "text"},
                            {"strict", 25, "text"},
                            {"ip", 869, "inet"},
                            {"net", 650, "cidr"},
                            {"whole", 3802, "jsonb"},
                            {"inner", 114, "json"},
                            {"others", 3802, "jsonb"},
                            {"bytes", 17, "bytea"}}};
  return made;
}

[[noreturn]] void wrong(const char *what) {
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

/// The row, or why there is none.
std::string outcome(Mapper &mapper, const std::string &padded, std::size_t length) {
  Message message;
  message.payload = std::string_view(padded).substr(0, length);
  Buffer rows;
  rows.append("before");
  const std::size_t before = rows.size();
  try {
    mapper.append_row(message, rows);
  } catch (const Rejected &rejected) {
    if (rows.size() != before)
      wrong("something of a rejected row is left");
    return rejected.sqlstate + rejected.what();
  }
  return std::string(rows.view(before, rows.size() - before));
}

std::int32_t int32_at(const std::string &row, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(row[at + i]);
  return static_cast<std::int32_t>(value);
}

/// What COPY reads: a length for each column, and so many bytes; text without NUL, JSON that is some.
void check_row(const PipelineConfig &pipeline, const std::string &row) {
  std::size_t at = 2;
  for (const ColumnConfig &mapped : pipeline.columns) {
    const TargetColumn &column = *std::find_if(target().columns.begin(), target().columns.end(),
                                               [&](const TargetColumn &one) { return one.name == mapped.name; });
    if (row.size() - at < 4)
      wrong("a row ends before its columns do");
    const std::int32_t length = int32_at(row, at);
    at += 4;
    if (length < 0)
      continue;
    if (row.size() - at < static_cast<std::size_t>(length))
      wrong("a column is longer than its row");
    std::string_view value = std::string_view(row).substr(at, static_cast<std::size_t>(length));
    at += value.size();
    if (column.type_name == "text" && value.find('\0') != std::string_view::npos)
      wrong("a NUL in a text");
    if (column.type_name == "jsonb")
      value.remove_prefix(1);
    if (column.type_name.starts_with("json") && flaw_of_json(value) != JsonFlaw::none)
      wrong("what is not JSON in a column of JSON");
  }
  if (at != row.size())
    wrong("a row goes on after its columns");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const Config config = parse_config(kConfig, "fuzz");
  static Mapper experienced(config.pipelines[0], target());
  const std::string padded =
      std::string(reinterpret_cast<const char *>(data), size) + std::string(Decoder::kPadding, '\0');
  const std::string first = outcome(experienced, padded, size);
  Mapper fresh(config.pipelines[0], target());
  if (outcome(fresh, padded, size) != first)
    wrong("what came before makes a difference");
  if (first[0] == '\0')
    check_row(config.pipelines[0], first);
  return 0;
}
