#include "client.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace tools {

namespace {

constexpr int kTimeoutMs = 60'000;

void on_delivery(rd_kafka_t *, const rd_kafka_message_t *message, void *) {
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
    fail(std::string("a message was not delivered: ") + rd_kafka_err2str(message->err));
}

} // namespace

void fail(const std::string &what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  // Not exit(): this may be a callback of librdkafka, which would wait for itself.
  std::_Exit(1);
}

void require(rd_kafka_error_t *error) {
  if (error != nullptr)
    fail(rd_kafka_error_string(error));
}

void require(rd_kafka_resp_err_t error, const std::string &what) {
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    fail(what + ": " + rd_kafka_err2str(error));
}

EmbeddedBrokers::EmbeddedBrokers() {
  std::array<char, 512> error{};
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  // It would warn that it knows no broker.
  if (rd_kafka_conf_set(conf, "log_level", "4", error.data(), error.size()) != RD_KAFKA_CONF_OK)
    fail(error.data());
  keeper_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, error.data(), error.size()));
  if (!keeper_)
    fail(error.data());
  cluster_.reset(rd_kafka_mock_cluster_new(keeper_.get(), 3));
}

void EmbeddedBrokers::make_topic(const std::string &name, int partitions) {
  require(rd_kafka_mock_topic_create(cluster_.get(), name.c_str(), partitions, 1), "making topic " + name);
}

void EmbeddedBrokers::set_down(bool down) {
  require(down ? rd_kafka_mock_broker_set_down(cluster_.get(), -1) : rd_kafka_mock_broker_set_up(cluster_.get(), -1),
          "taking brokers down or up");
}

Producer::Producer(const std::string &brokers, const Properties &properties) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  std::array<char, 512> error{};
  const auto set = [&](const std::string &name, const std::string &value) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error.data(), error.size()) != RD_KAFKA_CONF_OK)
      fail(error.data());
  };
  set("bootstrap.servers", brokers);
  set("linger.ms", "5");
  set("compression.codec", "zstd");
  // Brokers go away in these tests.
  set("log_level", "2");
  set("queue.buffering.max.messages", "1000000");
  for (const auto &[name, value] : properties)
    set(name, value);
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  kafka_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, error.data(), error.size()));
  if (!kafka_)
    fail(error.data());
}

void Producer::send(const Record &record) {
  const auto bytes = [](const std::optional<std::string_view> &text) {
    return text ? const_cast<char *>(text->data()) : nullptr;
  };
  const auto size = [](const std::optional<std::string_view> &text) { return text ? text->size() : 0; };
  for (;;) {
    const rd_kafka_resp_err_t error =
        rd_kafka_producev(kafka_.get(), RD_KAFKA_V_TOPIC(record.topic.c_str()), RD_KAFKA_V_PARTITION(record.partition),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(bytes(record.key), size(record.key)),
                          RD_KAFKA_V_VALUE(bytes(record.payload), size(record.payload)),
                          RD_KAFKA_V_TIMESTAMP(record.unix_ms), RD_KAFKA_V_END);
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      require(error, "producing to " + record.topic);
      // So that reports of deliveries don't pile up.
      rd_kafka_poll(kafka_.get(), 0);
      return;
    }
    rd_kafka_poll(kafka_.get(), 50);
  }
}

void Producer::flush() { require(rd_kafka_flush(kafka_.get(), kTimeoutMs), "delivering"); }

} // namespace tools
