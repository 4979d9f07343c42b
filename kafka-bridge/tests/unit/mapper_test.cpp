// Messages as they come, and what becomes of them.

#include "errors.hpp"
#include "mapper.hpp"

#include <gtest/gtest.h>

namespace bridge {

namespace {

constexpr Oid kText = 25;
constexpr Oid kInt4 = 23;
constexpr Oid kInt8 = 20;
constexpr Oid kNumeric = 1700;
constexpr Oid kTimestamptz = 1184;
constexpr Oid kJsonb = 3802;

/// One column "c" of a type, mapped as `mapping` says.
class Row {
public:
  Row(const std::string &mapping, Oid type, const std::string &type_name = "type", bool not_null = false)
      : config_(parse_config(
            "[kafka]\nbrokers = 'b'\n[[pipeline]]\nname = 'p'\ntopics = 't'\ntable = 't'\n[pipeline.columns]\nc = " +
                mapping,
            "test")),
        mapper_(config_.pipelines[0], {"t", "", {{"c", type, type_name, false, not_null, false, false}}}) {}

  /// The value's bytes; "NULL"; "SQLSTATE stage" of what is rejected.
  std::string of(const std::string &payload) {
    const std::string padded = payload + std::string(Decoder::kPadding, '\0');
    Message message;
    message.payload = std::string_view(padded).substr(0, payload.size());
    Buffer rows;
    try {
      mapper_.append_row(message, rows);
    } catch (const Rejected &rejected) {
      EXPECT_EQ(rows.size(), 0U);
      return rejected.sqlstate + " " + name_of(rejected.stage);
    }
    const std::string_view all = rows.view(2, rows.size() - 2);
    return all.substr(0, 4) == "\xFF\xFF\xFF\xFF" ? "NULL" : std::string(all.substr(4));
  }

private:
  Config config_;
  Mapper mapper_;
};

std::string int64_bytes(std::int64_t value) {
  Buffer out;
  out.int64(value);
  return std::string(out.view(0, out.size()));
}

TEST(Mapper, FindsNestedPaths) {
  Row row("{ path = 'device.id' }", kText);
  EXPECT_EQ(row.of(R"({"device":{"os":"x","id":"d"},"id":"other"})"), "d");
  EXPECT_EQ(row.of(R"({"device":null})"), "NULL");
  EXPECT_EQ(row.of(R"({"device":[1]})"), "NULL");
  EXPECT_EQ(row.of(R"({"device":{"id":"first"},"device":{"os":"x"}})"), "NULL")
      << "of a name that comes twice nothing is left";
  EXPECT_EQ(row.of(R"({"device":{"id":"first","id":"last"}})"), "last");
  EXPECT_EQ(row.of(R"({"\u0064evice":{"i\u0064":"escaped"}})"), "escaped");
  EXPECT_EQ(Row("{ path = ['a.b'] }", kText).of(R"({"a":{"b":"no"},"a.b":"yes"})"), "yes");
}

TEST(Mapper, RejectsWhatIsNoJson) {
  Row row("{}", kText);
  for (const char *payload : {"", "{", "x", "[1]", "1", "null", R"({"c":})", R"({"c":tru})", R"({"c":1)", R"({"c":01})",
                              R"({"c":"\ud800"})", R"({"c":"x"} {})"})
    EXPECT_EQ(row.of(payload), "22P02 decode") << payload;
  EXPECT_EQ(row.of("{\"c\":\"\xFF\"}"), "22021 decode");
  EXPECT_EQ(row.of("\xEF\xBB\xBF{\"c\":\"bom\"}"), "bom");
  EXPECT_EQ(row.of(R"({"c":")" + std::string(100'000, 'x') + "\"}"), std::string(100'000, 'x'));
}

TEST(Mapper, KeepsNulOutOfText) {
  EXPECT_EQ(Row("{}", kText).of(R"({"c":"a\u0000b"})"), "22021 map");
  EXPECT_EQ(Row("{ nul = 'strip' }", kText).of(R"({"c":"a\u0000b"})"), "ab");
  EXPECT_EQ(Row("{}", kJsonb, "jsonb").of(R"({"c":["a\u0000b"]})"), "22P05 map");
  EXPECT_EQ(Row("{ nul = 'strip' }", kJsonb, "jsonb").of(R"({"c":["a\u0000\\u0000b"]})"), "\1[\"a\\\\u0000b\"]");
}

TEST(Mapper, KeepsUnknownFields) {
  Row row("{ rest = true }", kJsonb, "jsonb");
  EXPECT_EQ(row.of(R"({"a": 1 ,"b":{"c" : [1, 2]},"d":"\u00e4"})"),
            "\1{\"a\":1,\"b\":{\"c\" : [1, 2]},\"d\":\"\\u00e4\"}");
  EXPECT_EQ(row.of("{}"), "NULL");
  EXPECT_EQ(row.of(R"({"a":tru})"), "22P02 map");
  EXPECT_EQ(row.of(R"({"a":123456789012345678901234567890})"), "\1{\"a\":123456789012345678901234567890}");
  const std::string deep = row.of("{\"a\":" + std::string(2000, '[') + std::string(2000, ']') + "}");
  EXPECT_TRUE(deep == "54001 map" || deep == "22P02 decode") << deep;
}

TEST(Mapper, ReadsWholeNumbers) {
  Row row("{}", kInt4);
  EXPECT_EQ(row.of(R"({"c":258})"), std::string("\0\0\1\2", 4));
  EXPECT_EQ(row.of(R"({"c":"258"})"), std::string("\0\0\1\2", 4));
  EXPECT_EQ(row.of(R"({"c":2.58e2})"), std::string("\0\0\1\2", 4));
  EXPECT_EQ(row.of(R"({"c":258.0})"), std::string("\0\0\1\2", 4));
  EXPECT_EQ(row.of(R"({"c":0.0})"), std::string("\0\0\0\0", 4));
  EXPECT_EQ(row.of(R"({"c":0.5})"), "22P02 map");
  EXPECT_EQ(row.of(R"({"c":2147483648})"), "22003 map");
  EXPECT_EQ(row.of(R"({"c":1e999999999999})"), "22003 map");
  EXPECT_EQ(row.of(R"({"c":true})"), "22P02 map");
  EXPECT_EQ(Row("{}", kInt8).of(R"({"c":9223372036854775807})"), int64_bytes(INT64_MAX));
  EXPECT_EQ(Row("{}", kInt8).of(R"({"c":9223372036854775808})"), "22003 map");
}

TEST(Mapper, LosesNoDigitOfADecimal) {
  Row row("{}", kNumeric);
  // Count of digits of base 10000, weight of the first, sign, scale; the digits.
  EXPECT_EQ(row.of(R"({"c":0.1})"), std::string("\0\1\xFF\xFF\0\0\0\1\x03\xE8", 10));
  EXPECT_EQ(row.of(R"({"c":10000})"), std::string("\0\1\0\1\0\0\0\0\0\1", 10));
  EXPECT_EQ(row.of(R"({"c":-0.00005})"), std::string("\0\1\xFF\xFE\x40\0\0\5\x13\x88", 10));
  EXPECT_EQ(row.of(R"({"c":1e-5})"), std::string("\0\1\xFF\xFE\0\0\0\5\x03\xE8", 10));
  EXPECT_EQ(row.of(R"({"c":0.00})"), std::string("\0\0\0\0\0\0\0\2", 8));
  EXPECT_EQ(row.of(R"({"c":1e200000})"), "22P02 map");
}

TEST(Mapper, ReadsTimes) {
  Row iso("{}", kTimestamptz);
  EXPECT_EQ(iso.of(R"({"c":"2000-01-01T00:00:01Z"})"), int64_bytes(1'000'000));
  EXPECT_EQ(iso.of(R"({"c":"2000-01-01 01:00:00.1234567+01:00"})"), int64_bytes(123'456));
  EXPECT_EQ(iso.of(R"({"c":"1999-12-31T23:59:59.999999Z"})"), int64_bytes(-1));
  EXPECT_EQ(iso.of(R"({"c":"2000-02-30T00:00:00Z"})"), "22007 map");
  EXPECT_EQ(iso.of(R"({"c":946684801})"), "22007 map") << "a number says not of what";
  EXPECT_EQ(Row("{ time = 'epoch_s' }", kTimestamptz).of(R"({"c":946684801.000001})"), int64_bytes(1'000'001));
  EXPECT_EQ(Row("{ time = 'epoch_ms' }", kTimestamptz).of(R"({"c":"946684801000"})"), int64_bytes(1'000'000));
  EXPECT_EQ(Row("{ time = 'epoch_us' }", kTimestamptz).of(R"({"c":9.46684801e14})"), int64_bytes(1'000'000));
  EXPECT_EQ(Row("{ time = 'epoch_s' }", kTimestamptz).of(R"({"c":1e30})"), "22007 map");
}

TEST(Mapper, ReadsTimesOfAZone) {
  Row row("{ zone = 'Europe/Berlin' }", kTimestamptz);
  const auto at = [&](const std::string &time) { return row.of("{\"c\":\"" + time + "\"}"); };
  const auto exactly = [](const std::string &time) { return Row("{}", kTimestamptz).of("{\"c\":\"" + time + "\"}"); };
  EXPECT_EQ(at("2026-01-15T12:00:00"), exactly("2026-01-15T11:00:00Z"));
  EXPECT_EQ(at("2026-07-15T12:00:00"), exactly("2026-07-15T10:00:00Z"));
  EXPECT_EQ(at("2026-03-29T02:30:00"), exactly("2026-03-29T01:30:00Z")) << "skipped: as before the change";
  EXPECT_EQ(at("2026-10-25T02:30:00"), exactly("2026-10-25T01:30:00Z")) << "shown twice: as after the change";
  EXPECT_EQ(at("2060-07-15T12:00:00"), exactly("2060-07-15T10:00:00Z"));
  EXPECT_EQ(Row("{ zone = '-03:30' }", kTimestamptz).of(R"({"c":"2026-01-15T12:00:00"})"),
            exactly("2026-01-15T15:30:00Z"));
  EXPECT_THROW(Row("{ zone = 'Mars/Olympus' }", kTimestamptz), ConfigError);
}

TEST(Mapper, FollowsWhatTheConfigurationSaysOfMissingAndWrongFields) {
  EXPECT_EQ(Row("{}", kText).of("{}"), "NULL");
  EXPECT_EQ(Row("{ required = true }", kText).of("{}"), "23502 map");
  EXPECT_EQ(Row("{}", kText, "text", true).of(R"({"c":null})"), "23502 map");
  EXPECT_EQ(Row("{ default = 'd' }", kText).of("{}"), "d");
  EXPECT_EQ(Row("{ default = 'd' }", kText).of(R"({"c":null})"), "NULL");
  EXPECT_EQ(Row("{ on_error = 'null' }", kInt4).of(R"({"c":"x"})"), "NULL");
  EXPECT_EQ(Row("{ on_error = 'default', default = 0 }", kInt4).of(R"({"c":"x"})"), std::string("\0\0\0\0", 4));
  EXPECT_THROW(Row("{ default = 'x' }", kInt4), ConfigError);
  EXPECT_THROW(Row("{ paht = 'x' }", kInt4), ConfigError) << "a misspelt setting";
}

} // namespace

} // namespace bridge
