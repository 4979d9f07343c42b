// Produces events to Kafka: to a broker that is there, or else to an embedded one that lives as long as this program's
// input is open. Its address is the first line of the output. When all is delivered, a line of JSON says how much that
// was. The same seed and beginning make the same messages, in the same order. `--stream lines` sends those of its
// input.

#include "client.hpp"
#include "clock.hpp"
#include "lines.hpp"
#include "topics.hpp"
#include "trouble.hpp"

#include <chrono>
#include <iostream>
#include <thread>

#include <CLI/CLI.hpp>

namespace {

using namespace producer;
using namespace std::chrono;

struct Options {
  std::string brokers;
  std::string stream = "mobile";
  std::string prefix;
  std::string start;
  std::int64_t events = 100'000;
  std::int64_t rate = 0;
  std::int64_t density = 100;
  std::int64_t devices = 10'000;
  std::uint64_t seed = 1;
  int partitions = 8;
  Shares shares;
  std::vector<std::string> properties;
};

tools::Properties split(const std::vector<std::string> &texts) {
  tools::Properties out;
  for (const std::string &text : texts) {
    const auto at = text.find('=');
    if (at == std::string::npos)
      tools::fail("\"" + text + "\" is not like name=value");
    out.emplace_back(text.substr(0, at), text.substr(at + 1));
  }
  return out;
}

class Sender {
public:
  Sender(const std::string &brokers, const Options &options)
      : producer_(brokers, split(options.properties)), prefix_(options.prefix), rate_(options.rate),
        began_(steady_clock::now()) {}

  void send(const std::vector<Message> &messages) {
    for (const Message &message : messages) {
      // What is due by now is sent, and then waited for: a sleep for each would be too long.
      if (rate_ > 0 && sent_ % std::max<std::int64_t>(1, rate_ / 100) == 0)
        std::this_thread::sleep_until(began_ + microseconds(sent_ * 1'000'000 / rate_));
      std::optional<std::string_view> key;
      if (message.key)
        key = *message.key;
      producer_.send({prefix_ + message.topic, RD_KAFKA_PARTITION_UA, message.payload, key, 0});
      ++sent_;
    }
  }
  void flush() { producer_.flush(); }
  std::int64_t sent() const { return sent_; }

private:
  tools::Producer producer_;
  std::string prefix_;
  std::int64_t rate_;
  std::int64_t sent_ = 0;
  steady_clock::time_point began_;
};

std::unique_ptr<Stream> make_stream(const Options &options) {
  if (options.stream == "lines")
    return nullptr;
  return options.stream == "mobile" ? make_mobile(options.seed, options.devices) : make_checkout(options.seed);
}

/// On the embedded broker, or on one that may have them already.
void make_topics(tools::EmbeddedBrokers *embedded, const std::string &brokers, const Options &options,
                 const std::vector<std::string> &topics) {
  for (const std::string &topic : topics) {
    const std::string name = options.prefix + topic;
    if (embedded != nullptr) {
      embedded->make_topic(name, options.partitions);
      continue;
    }
    const tools::Producer administrator(brokers, split(options.properties));
    if (!tools::has_topic(administrator.handle(), name))
      tools::create_topic(administrator.handle(), name, options.partitions, {});
  }
}

void run(const Options &options) {
  std::unique_ptr<tools::EmbeddedBrokers> embedded;
  if (options.brokers.empty())
    embedded = std::make_unique<tools::EmbeddedBrokers>();
  const std::string brokers = embedded ? embedded->addresses() : options.brokers;
  const std::unique_ptr<Stream> stream = make_stream(options);
  if (stream)
    make_topics(embedded.get(), brokers, options, stream->topics());
  std::cout << brokers << std::endl;

  const std::int64_t since = options.start.empty()
                                 ? duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()
                                 : parse_time(options.start);
  Trouble trouble(options.seed, options.shares);
  Sender sender(brokers, options);
  if (stream) {
    for (std::int64_t number = 0; number < options.events; ++number)
      sender.send(trouble.pass(stream->next(since + number * 1000 / options.density)));
  } else {
    while (std::optional<Message> message = read_message(std::cin))
      sender.send(trouble.pass(*std::move(message)));
  }
  sender.send(trouble.rest());
  sender.flush();
  const Counts &counts = trouble.counts();
  std::cout << R"({"events":)" << counts.events << R"(,"messages":)" << sender.sent() << R"(,"duplicates":)"
            << counts.duplicates << R"(,"late":)" << counts.late << R"(,"out_of_order":)" << counts.out_of_order
            << R"(,"malformed":)" << counts.malformed << "}" << std::endl;
  if (embedded)
    for (std::string line; std::getline(std::cin, line);)
      continue;
}

} // namespace

int main(int argc, char **argv) {
  std::ios::sync_with_stdio(false);
  CLI::App app{"Produces events to Kafka, embedded if no broker is named."};
  Options options;
  app.add_option("--brokers", options.brokers, "host:port, ..; without, an embedded broker until the input ends");
  app.add_option("--stream", options.stream,
                 "mobile: clicks, impressions, events; checkout: clicks, checkouts; "
                 "lines: what the input has, into topics that are there")
      ->check(CLI::IsMember({"mobile", "checkout", "lines"}))
      ->capture_default_str();
  app.add_option("--prefix", options.prefix, "begins the names of the topics");
  app.add_option("--partitions", options.partitions, "of each topic that there is not")->capture_default_str();
  app.add_option("--events", options.events)->capture_default_str();
  app.add_option("--rate", options.rate, "messages a second; 0: as fast as it goes")->capture_default_str();
  app.add_option("--start", options.start, "when the first event happens, like 2026-01-31T12:00:00Z; now, without");
  app.add_option("--density", options.density, "events in a second of their own time")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--devices", options.devices, "of the mobile stream")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seed", options.seed)->capture_default_str();
  const auto share = [&](const std::string &name, double &to, const std::string &what) {
    app.add_option(name, to, what)->check(CLI::Range(0.0, 1.0))->capture_default_str();
  };
  share("--duplicates", options.shares.duplicates, "share of events that come twice");
  share("--late", options.shares.late, "share of events that come after thousands of later ones");
  share("--out-of-order", options.shares.out_of_order, "share of events that come after some later ones");
  share("--malformed", options.shares.malformed, "messages among the events that are none, as a share of these");
  app.add_option("--property", options.properties, "name=value, of librdkafka");
  CLI11_PARSE(app, argc, argv);
  if (options.stream == "lines" && options.brokers.empty())
    tools::fail("--stream lines needs --brokers: an embedded broker would end with the input");
  run(options);
  return 0;
}
