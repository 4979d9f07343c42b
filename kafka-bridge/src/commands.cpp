#include "commands.hpp"

#include "catalog.hpp"
#include "errors.hpp"
#include "kafka.hpp"
#include "mapper.hpp"
#include "postgres.hpp"

#include <algorithm>
#include <charconv>
#include <iostream>

#include <fmt/format.h>

namespace bridge {

namespace {

const PipelineConfig &pipeline_named(const Config &config, const std::string &name) {
  for (const PipelineConfig &pipeline : config.pipelines)
    if (pipeline.name == name)
      return pipeline;
  throw ConfigError("there is no pipeline \"" + name + "\"");
}

std::string bytes_of_hex(const std::string &hex) {
  std::string out;
  for (std::size_t i = 2; i + 1 < hex.size(); i += 2) {
    unsigned byte = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
    out += static_cast<char>(byte);
  }
  return out;
}

} // namespace

int check(const Config &config) {
  Postgres postgres(config, "kafka-bridge check");
  for (const PipelineConfig &pipeline : config.pipelines) {
    const Mapper mapper(pipeline, read_target(postgres, pipeline.table));
    const KafkaHandle kafka = make_consumer(config, pipeline.group, nullptr, nullptr);
    for (const std::string &topic : pipeline.topics) {
      if (topic.starts_with('^'))
        continue;
      std::cout << fmt::format("{}: topic {} with {} partitions into {}\n", pipeline.name, topic,
                               partition_count(kafka.get(), topic), pipeline.table);
    }
  }
  return kDone;
}

int status(const Config &config) {
  Postgres postgres(config, "kafka-bridge status");
  std::cout << fmt::format("{:<16} {:<16} {:>4} {:>12} {:>12} {:>10} {:<26} {}\n", "pipeline", "topic", "part", "next",
                           "end", "lag", "advanced", "owner");
  for (const PipelineConfig &pipeline : config.pipelines) {
    const KafkaHandle kafka = make_consumer(config, pipeline.group, nullptr, nullptr);
    const PgResult rows =
        postgres.run("SELECT topic, kafka_partition, next_offset, coalesce(advanced_at::text, ''), coalesce(owner, '') "
                     "FROM attribution.bridge_ledger WHERE pipeline = $1 ORDER BY 1, 2",
                     {pipeline.name});
    for (int row = 0; row < PQntuples(rows.get()); ++row) {
      const std::int64_t next = std::stoll(text_at(rows, row, 2));
      std::string end = "?";
      std::string lag = "?";
      try {
        const Watermarks ends = watermarks_of(kafka.get(), text_at(rows, row, 0), std::stoi(text_at(rows, row, 1)));
        end = std::to_string(ends.high);
        lag = std::to_string(ends.high - next);
      } catch (const KafkaError &) {
        // What the ledger says is of use without Kafka.
      }
      std::cout << fmt::format("{:<16} {:<16} {:>4} {:>12} {:>12} {:>10} {:<26} {}\n", pipeline.name,
                               text_at(rows, row, 0), text_at(rows, row, 1), next, end, lag, text_at(rows, row, 3),
                               text_at(rows, row, 4));
    }
    const PgResult dead = postgres.run("SELECT stage, coalesce(field, ''), coalesce(sqlstate, ''), letters, last_error "
                                       "FROM attribution.bridge_dead_letters WHERE pipeline = $1",
                                       {pipeline.name});
    for (int row = 0; row < PQntuples(dead.get()); ++row)
      std::cout << fmt::format("{}: {} dead letters: {} {} {}: {}\n", pipeline.name, text_at(dead, row, 3),
                               text_at(dead, row, 0), text_at(dead, row, 1), text_at(dead, row, 2),
                               text_at(dead, row, 4));
  }
  return kDone;
}

int seek(const Config &config, const std::string &name, const std::string &topic, std::optional<int> only,
         const std::string &to) {
  const PipelineConfig &pipeline = pipeline_named(config, name);
  Postgres postgres(config, "kafka-bridge seek");
  const KafkaHandle kafka = make_consumer(config, pipeline.group, nullptr, nullptr);
  Start start;
  std::optional<std::int64_t> offset;
  std::int64_t number = 0;
  if (to == "latest")
    start.policy = Start::Policy::latest;
  else if (const auto parsed = std::from_chars(to.data(), to.data() + to.size(), number);
           parsed.ec == std::errc() && parsed.ptr == to.data() + to.size())
    offset = number;
  else if (const auto time = parse_iso_time(to, Zone())) {
    start.policy = Start::Policy::timestamp;
    start.unix_ms = (*time + kMicrosTo2000) / 1000;
  } else if (to != "earliest")
    throw ConfigError("--to: \"" + to +
                      "\" is none of earliest, latest, an offset, nor a time such as 2026-01-31T12:00:00Z");
  if (offset && !only)
    throw ConfigError("an offset is one of a partition: --partition");
  for (int partition = 0, count = partition_count(kafka.get(), topic); partition < count; ++partition) {
    if (only && *only != partition)
      continue;
    const std::int64_t next = offset ? *offset : resolve_start(kafka.get(), start, topic, partition);
    postgres.run("SELECT attribution.bridge_seek($1, $2, $3, $4)",
                 {name, topic, std::to_string(partition), std::to_string(next)});
    std::cout << fmt::format("{}: partition {} of {} goes on at {}\n", name, partition, topic, next);
  }
  return kDone;
}

int replay_dead_letters(const Config &config, const std::string &name) {
  const PipelineConfig &pipeline = pipeline_named(config, name);
  Postgres postgres(config, "kafka-bridge replay");
  const Target target = read_target(postgres, pipeline.table);
  Mapper mapper(pipeline, target);
  const std::string copy = "COPY " + target.name + " (" + mapper.column_list() + ") FROM STDIN (FORMAT binary)";
  std::int64_t loaded = 0;
  std::int64_t failed = 0;
  std::string last = "0";
  for (;;) {
    // One by one: they are few, and each is its own question. Two replays at once share the work.
    postgres.run("BEGIN");
    const PgResult row = postgres.run("SELECT d.letter, d.topic, d.kafka_partition, d.kafka_offset, (extract(epoch "
                                      "FROM d.kafka_time) * 1000)::bigint, d.key, d.payload "
                                      "FROM attribution.bridge_dead_letter AS d WHERE d.pipeline = $1 AND "
                                      "d.replayed_at IS NULL AND d.stage <> 'gap' AND d.letter > $2 "
                                      "ORDER BY d.letter LIMIT 1 FOR UPDATE SKIP LOCKED",
                                      {name, last});
    if (PQntuples(row.get()) == 0)
      break;
    last = text_at(row, 0, 0);
    const std::string topic = text_at(row, 0, 1);
    const bool has_payload = PQgetisnull(row.get(), 0, 6) == 0;
    std::string payload = bytes_of_hex(text_at(row, 0, 6));
    const std::size_t length = payload.size();
    payload.append(Decoder::kPadding, '\0');
    const std::string key = bytes_of_hex(text_at(row, 0, 5));
    std::vector<std::pair<std::string, std::optional<std::string>>> headers;
    const PgResult pairs =
        postgres.run("SELECT h ->> 0, decode(h ->> 1, 'base64') FROM attribution.bridge_dead_letter AS d, "
                     "jsonb_array_elements(d.headers) WITH ORDINALITY AS e(h, n) WHERE d.letter = $1 ORDER BY n",
                     {last});
    headers.reserve(static_cast<std::size_t>(PQntuples(pairs.get())));
    for (int i = 0; i < PQntuples(pairs.get()); ++i)
      headers.emplace_back(text_at(pairs, i, 0), PQgetisnull(pairs.get(), i, 1) != 0
                                                     ? std::nullopt
                                                     : std::optional(bytes_of_hex(text_at(pairs, i, 1))));
    Message message;
    message.topic = topic;
    message.partition = std::stoi(text_at(row, 0, 2));
    message.offset = std::stoll(text_at(row, 0, 3));
    if (PQgetisnull(row.get(), 0, 4) == 0)
      message.unix_ms = std::stoll(text_at(row, 0, 4));
    if (PQgetisnull(row.get(), 0, 5) == 0)
      message.key = key;
    if (has_payload)
      message.payload = std::string_view(payload).substr(0, length);
    for (const auto &[header, value] : headers)
      message.headers.emplace_back(header, value ? std::optional<std::string_view>(*value) : std::nullopt);
    std::string problem;
    std::string sqlstate;
    std::string stage = "map";
    std::string field;
    try {
      Buffer out;
      mapper.append_row(message, out);
      postgres.run("SAVEPOINT letter");
      postgres.copy(copy, out.view(0, out.size()));
      postgres.run("UPDATE attribution.bridge_dead_letter SET replayed_at = clock_timestamp() WHERE letter = $1",
                   {last});
      ++loaded;
    } catch (const Rejected &rejected) {
      problem = rejected.what();
      sqlstate = rejected.sqlstate;
      stage = name_of(rejected.stage);
      field = rejected.field;
    } catch (const PgError &error) {
      if (!error.is_of_row())
        throw;
      postgres.run("ROLLBACK TO letter");
      problem = error.what();
      sqlstate = error.sqlstate;
      stage = "load";
      field = error.column;
    }
    if (!problem.empty()) {
      ++failed;
      postgres.run("UPDATE attribution.bridge_dead_letter SET error = $2, sqlstate = $3, stage = $4, field = "
                   "nullif($5, '') WHERE letter = $1",
                   {last, problem, sqlstate, stage, field});
    }
    postgres.run("COMMIT");
  }
  postgres.run("COMMIT");
  std::cout << fmt::format("{}: {} loaded, {} not\n", name, loaded, failed);
  return kDone;
}

} // namespace bridge
