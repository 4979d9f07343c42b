#include "session.hpp"

#include "errors.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include <spdlog/spdlog.h>

namespace bridge {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto kLookEvery = 2s;
/// Before 2.3 librdkafka aborts the process when a consumer is destroyed that has joined a cooperative group and was
/// never assigned anything. Such a one stays behind.
constexpr int kSoundCooperative = 0x02030000;
/// So many messages.
constexpr std::uint64_t kLookAfter = 64;

std::int64_t number_at(const PgResult &result, int row, int column) {
  const std::string text = text_at(result, row, column);
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

} // namespace

Session::Session(const Config &config, const PipelineConfig &pipeline, std::string owner, Guard &guard,
                 PipelineMetrics &metrics, WorkerState &state)
    : config_(config), pipeline_(pipeline), owner_(std::move(owner)), metrics_(metrics), state_(state),
      postgres_(config, "kafka-bridge " + pipeline.name + " claims"), target_(read_target(postgres_, pipeline.table)),
      mapper_(pipeline, target_), loader_(config, pipeline, target_, mapper_.column_list(), guard, metrics),
      conveyor_([this](Batch &batch) {
        loader_.load(batch);
        std::int64_t rows = 0;
        std::int64_t last = -1;
        for (const Progress &progress : batch.progress) {
          rows += progress.rows;
          last = std::max(last, progress.last_unix_ms);
          if (progress.log_end >= 0)
            metrics_.lag(progress.claim.topic, progress.claim.partition)
                .Set(static_cast<double>(std::max<std::int64_t>(0, progress.log_end - progress.until)));
        }
        metrics_.rows->Increment(static_cast<double>(rows));
        metrics_.bytes->Increment(static_cast<double>(batch.bytes));
        metrics_.batches->Increment();
        if (last >= 0)
          metrics_.latency_seconds->Observe(
              std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count() -
              static_cast<double>(last) / 1000);
      }),
      kafka_(make_consumer(config, pipeline.group, on_rebalance, this)), nudge_(std::make_unique<Nudge>(kafka_.get())) {
  const PartitionList topics(rd_kafka_topic_partition_list_new(static_cast<int>(pipeline.topics.size())));
  for (const std::string &topic : pipeline.topics)
    rd_kafka_topic_partition_list_add(topics.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
  require(rd_kafka_subscribe(kafka_.get(), topics.get()), "subscribing");
}

Session::~Session() {
  state_.ready = false;
  close();
}

void Session::close() noexcept {
  // Its callback hands the partitions back; what is not committed by now is for the next owner.
  discard();
  nudge_.reset();
  if (!kafka_)
    return;
  const bool is_fragile = !was_assigned_ && rd_kafka_version() < kSoundCooperative &&
                          std::string_view(rd_kafka_rebalance_protocol(kafka_.get())) == "COOPERATIVE";
  rd_kafka_consumer_close(kafka_.get());
  if (is_fragile)
    static_cast<void>(kafka_.release());
  else
    let_go(std::move(kafka_));
}

void Session::run(const std::atomic<bool> &stop) {
  while (!stop) {
    const KafkaMessage message(rd_kafka_consumer_poll(kafka_.get(), conveyor_.filling().empty() ? 100 : 5));
    if (failure_)
      std::rethrow_exception(failure_);
    if (message)
      receive(*message);
    // Where more of them wait, not each is worth a look at the clock.
    const bool is_time_to_look = !message || ++received_ % kLookAfter == 0 || nudge_->is_empty();
    // While the batch before is being loaded, more would only wait: so a server that falls behind gets larger batches,
    // which it loads faster, and what waits does not grow into a backlog.
    if (is_heavy() || ((is_full() || (is_time_to_look && is_old())) && conveyor_.is_idle())) {
      metrics_.fill_seconds->Observe(std::chrono::duration<double>(Clock::now() - conveyor_.filling().began).count());
      // A slow server holds everything up here; heartbeats go on meanwhile.
      flush(std::chrono::milliseconds::max());
    }
    if (is_time_to_look) {
      nudge_->look();
      conveyor_.is_idle();
      if (Clock::now() - looked_ >= kLookEvery)
        look_at_claims();
    }
  }
  finish();
}

void Session::receive(const rd_kafka_message_t &message) {
  switch (message.err) {
  case RD_KAFKA_RESP_ERR_NO_ERROR:
    take(message);
    return;
  case RD_KAFKA_RESP_ERR__PARTITION_EOF:
    take_end(message);
    return;
  case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
  case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    // The next claim applies the policy.
    throw KafkaError(std::string("an offset is out of range: ") + rd_kafka_message_errstr(&message));
  case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
  case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    // librdkafka may never look again for a topic that was deleted; a new session does. What was read of it can't be
    // read twice.
    finish();
    throw KafkaError(rd_kafka_message_errstr(&message));
  default:
    if (rd_kafka_fatal_error(kafka_.get(), nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        message.err == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED)
      throw KafkaError(rd_kafka_message_errstr(&message));
    spdlog::warn("{}: Kafka: {}", pipeline_.name, rd_kafka_message_errstr(&message));
  }
}

/// Loads what is in hand.
void Session::finish() {
  if (!conveyor_.filling().empty())
    flush(config_.shutdown_timeout);
  if (!conveyor_.drain(config_.shutdown_timeout))
    throw KafkaError("the last batch was not loaded within bridge.shutdown_timeout");
}

/// Where nothing comes, no advance fails: a seek, or somebody else's claim, would go unnoticed.
void Session::look_at_claims() {
  looked_ = Clock::now();
  std::int64_t owned = 0;
  for (const auto &[topic, partitions] : owned_)
    owned += static_cast<std::int64_t>(partitions.size());
  const PgResult held = postgres_.run(
      "SELECT count(*) FROM attribution.bridge_ledger WHERE pipeline = $1 AND owner = $2", {pipeline_.name, owner_});
  if (number_at(held, 0, 0) < owned)
    throw KafkaError("partitions were claimed by somebody else, or set to another offset: they are claimed anew");
}

bool Session::is_full() {
  const Batch &batch = conveyor_.filling();
  return !batch.empty() && batch.messages >= pipeline_.batch_rows;
}

bool Session::is_heavy() {
  const Batch &batch = conveyor_.filling();
  return !batch.empty() && batch.memory() >= static_cast<std::size_t>(pipeline_.batch_bytes);
}

bool Session::is_old() {
  const Batch &batch = conveyor_.filling();
  return !batch.empty() && Clock::now() - batch.began >= pipeline_.batch_age;
}

void Session::flush(std::chrono::milliseconds within) {
  Batch &batch = conveyor_.filling();
  for (Progress &progress : batch.progress) {
    std::int64_t low = -1;
    std::int64_t high = -1;
    rd_kafka_get_watermark_offsets(kafka_.get(), progress.claim.topic.c_str(), progress.claim.partition, &low, &high);
    progress.log_end = high >= 0 ? std::max(high, progress.until) : -1;
  }
  const auto until = within == std::chrono::milliseconds::max() ? Clock::time_point::max() : Clock::now() + within;
  while (!conveyor_.pass(1000ms))
    if (Clock::now() >= until)
      throw KafkaError("PostgreSQL did not take a batch in time");
  ++batch_number_;
}

void Session::discard() {
  conveyor_.filling().clear();
  ++batch_number_;
}

Session::Owned *Session::owned(const rd_kafka_message_t &message) {
  // Messages come in runs of one partition.
  if (last_owned_ != nullptr && message.rkt == last_topic_ && message.partition == last_owned_->claim.partition)
    return last_owned_;
  const auto topic = owned_.find(rd_kafka_topic_name(message.rkt));
  if (topic == owned_.end())
    return nullptr;
  const auto partition = topic->second.find(message.partition);
  if (partition == topic->second.end())
    return nullptr;
  last_topic_ = message.rkt;
  return last_owned_ = &partition->second;
}

Progress &Session::progress_of(Owned &owned) {
  Batch &batch = conveyor_.filling();
  if (owned.batch != batch_number_) {
    if (batch.empty())
      batch.began = Clock::now();
    owned.batch = batch_number_;
    owned.progress = batch.progress.size();
    batch.progress.push_back({owned.claim, owned.next, owned.next});
  }
  return batch.progress[owned.progress];
}

void Session::take_end(const rd_kafka_message_t &message) {
  Owned *owned = this->owned(message);
  if (owned == nullptr || message.offset <= owned->next)
    return;
  // First the batch's progress, which begins at what is next until now.
  Progress &progress = progress_of(*owned);
  progress.until = owned->next = message.offset;
}

void Session::take(const rd_kafka_message_t &raw) {
  Owned *owned = this->owned(raw);
  if (owned == nullptr || raw.offset < owned->next) {
    metrics_.dropped->Increment();
    return;
  }
  Progress &progress = progress_of(*owned);
  owned->next = progress.until = raw.offset + 1;
  Batch &batch = conveyor_.filling();
  ++batch.messages;
  describe(raw, true, message_);
  progress.last_unix_ms = std::max(progress.last_unix_ms, message_.unix_ms);
  if (!message_.payload && pipeline_.tombstones == Tombstones::skip)
    return;
  const Kept kept = batch.keep(message_, owned->progress);
  try {
    if (!message_.payload && pipeline_.tombstones == Tombstones::dead_letter)
      throw Rejected(Stage::decode, "22004", "the message is a tombstone: it has no value");
    // From here on in memory that is ours, with padding behind it.
    if (message_.payload)
      message_.payload = batch.bytes_of(kept.payload);
    mapper_.append_row(message_, batch.rows);
    batch.ends.push_back(batch.rows.size());
    batch.kept.push_back(kept);
    ++progress.rows;
  } catch (const Rejected &rejected) {
    set_aside(kept, rejected);
    ++progress.dead;
  }
}

void Session::set_aside(const Kept &kept, const Rejected &rejected) {
  conveyor_.filling().dead.push_back({kept, rejected.stage, rejected.field, rejected.sqlstate, rejected.what()});
  (rejected.stage == Stage::decode ? metrics_.dead_decode : metrics_.dead_map)->Increment();
}

void Session::on_rebalance(rd_kafka_t *, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *partitions,
                           void *opaque) {
  auto *session = static_cast<Session *>(opaque);
  try {
    session->rebalance(error, partitions);
  } catch (...) {
    // Through librdkafka's frames nothing may be thrown; the group has to go on without these partitions.
    if (!session->failure_)
      session->failure_ = std::current_exception();
    session->discard();
    session->owned_.clear();
    session->last_owned_ = nullptr;
    rd_kafka_assign(session->kafka_.get(), nullptr);
  }
}

void Session::rebalance(rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *partitions) {
  metrics_.rebalances->Increment();
  last_owned_ = nullptr;
  if (error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    claim(partitions);
    spdlog::info("{}: {} partitions claimed", pipeline_.name, partitions->cnt);
    apply(error, partitions);
    state_.ready = was_assigned_ = true;
    return;
  }
  if (rd_kafka_assignment_lost(kafka_.get()) != 0 || failure_) {
    discard();
  } else {
    finish();
  }
  for (int i = 0; i < partitions->cnt; ++i) {
    owned_[partitions->elems[i].topic].erase(partitions->elems[i].partition);
    metrics_.lag(partitions->elems[i].topic, partitions->elems[i].partition).Set(0);
  }
  spdlog::info("{}: {} partitions given back", pipeline_.name, partitions->cnt);
  apply(error, partitions);
}

void Session::apply(rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *partitions) {
  // While closing there is none.
  if (nudge_) {
    std::set<Nudge::Partition> all;
    for (const auto &[topic, its] : owned_)
      for (const auto &[partition, owned] : its)
        all.emplace(topic, partition);
    nudge_->set(std::move(all));
  }
  const bool is_assign = error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
  if (std::string_view(rd_kafka_rebalance_protocol(kafka_.get())) == "COOPERATIVE") {
    rd_kafka_error_t *failed = is_assign ? rd_kafka_incremental_assign(kafka_.get(), partitions)
                                         : rd_kafka_incremental_unassign(kafka_.get(), partitions);
    if (failed != nullptr) {
      const std::string text = rd_kafka_error_string(failed);
      rd_kafka_error_destroy(failed);
      throw KafkaError("taking partitions: " + text);
    }
    return;
  }
  require(rd_kafka_assign(kafka_.get(), is_assign ? partitions : nullptr), "taking partitions");
}

void Session::claim(rd_kafka_topic_partition_list_t *partitions) {
  std::map<std::string, std::vector<rd_kafka_topic_partition_t *>> by_topic;
  for (int i = 0; i < partitions->cnt; ++i)
    by_topic[partitions->elems[i].topic].push_back(&partitions->elems[i]);
  for (const auto &[topic, elements] : by_topic)
    claim_topic(topic, elements);
}

void Session::claim_topic(const std::string &topic, const std::vector<rd_kafka_topic_partition_t *> &elements) {
  const PgResult known =
      postgres_.run("SELECT kafka_partition FROM attribution.bridge_ledger WHERE pipeline = $1 AND topic = $2",
                    {pipeline_.name, topic});
  std::vector<std::int64_t> read;
  read.reserve(static_cast<std::size_t>(PQntuples(known.get())));
  for (int row = 0; row < PQntuples(known.get()); ++row)
    read.push_back(number_at(known, row, 0));
  // The policy is for all partitions that a topic has at first sight, whoever gets them; those that are added later are
  // read from their beginning.
  Start start = pipeline_.start;
  if (!read.empty())
    start.policy = Start::Policy::earliest;
  PgArray partitions;
  PgArray starting;
  PgArray starts;
  for (const rd_kafka_topic_partition_t *element : elements)
    partitions.add(std::int64_t{element->partition});
  const bool is_complete =
      std::all_of(elements.begin(), elements.end(), [&](const rd_kafka_topic_partition_t *element) {
        return std::find(read.begin(), read.end(), element->partition) != read.end();
      });
  if (!is_complete)
    for (int partition = 0, count = partition_count(kafka_.get(), topic); partition < count; ++partition)
      if (std::find(read.begin(), read.end(), partition) == read.end()) {
        starting.add(std::int64_t{partition});
        starts.add(resolve_start(kafka_.get(), start, topic, partition));
      }
  const PgResult claimed =
      postgres_.run("SELECT kafka_partition, next_offset, epoch FROM attribution._bridge_claim($1, $2, $3, $4, $5, $6)",
                    {pipeline_.name, topic, partitions.text(), starting.text(), starts.text(), owner_});
  if (PQntuples(claimed.get()) != static_cast<int>(elements.size()))
    throw KafkaError("the ledger has not all partitions of topic " + topic);
  for (int row = 0; row < PQntuples(claimed.get()); ++row) {
    const auto partition = static_cast<std::int32_t>(number_at(claimed, row, 0));
    Owned owned{{topic, partition, number_at(claimed, row, 2)}, number_at(claimed, row, 1), 0, 0};
    const std::int64_t next = within_range(topic, partition, owned.next);
    // What is passed over by the policy is a batch without rows: the ledger moves on, and the gap is on record.
    for (rd_kafka_topic_partition_t *element : elements)
      if (element->partition == partition)
        element->offset = next;
    if (next != owned.next) {
      postgres_.run("INSERT INTO attribution.bridge_dead_letter (pipeline, topic, kafka_partition, kafka_offset, "
                    "stage, error) VALUES ($1, $2, $3, $4, 'gap', $5)",
                    {pipeline_.name, topic, std::to_string(partition), std::to_string(owned.next),
                     "offset " + std::to_string(owned.next) + " is not there any more; reading goes on at " +
                         std::to_string(next)});
      const PgResult moved = postgres_.run(
          "UPDATE attribution.bridge_ledger SET next_offset = $4 WHERE pipeline = $1 AND topic = $2 AND "
          "kafka_partition = $3 AND epoch = $5 RETURNING 1",
          {pipeline_.name, topic, std::to_string(partition), std::to_string(next), std::to_string(owned.claim.epoch)});
      if (PQntuples(moved.get()) != 1)
        throw KafkaError("somebody else has claimed a partition meanwhile");
      owned.next = next;
    }
    owned_[topic][partition] = owned;
  }
}

std::int64_t Session::within_range(const std::string &topic, std::int32_t partition, std::int64_t next) {
  const Watermarks ends = watermarks_of(kafka_.get(), topic, partition);
  if (next >= ends.low && next <= ends.high)
    return next;
  metrics_.out_of_range->Increment();
  const std::string what =
      fmt::format("partition {} of topic {} has offsets from {} to {}, and the next one to read is {}", partition,
                  topic, ends.low, ends.high, next);
  if (pipeline_.out_of_range == OutOfRange::fail)
    throw Fault(what + "; \"kafka-bridge seek\" says where to go on");
  spdlog::error("{}: {}; going on at the {}", pipeline_.name, what,
                pipeline_.out_of_range == OutOfRange::earliest ? "beginning" : "end");
  return pipeline_.out_of_range == OutOfRange::earliest ? ends.low : ends.high;
}

} // namespace bridge
