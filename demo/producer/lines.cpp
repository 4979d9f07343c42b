#include "lines.hpp"

#include "client.hpp"

namespace producer {

std::optional<Message> read_message(std::istream &input) {
  std::string line;
  if (!std::getline(input, line))
    return std::nullopt;
  const auto first = line.find('\t');
  const auto second = first == std::string::npos ? first : line.find('\t', first + 1);
  if (first == 0 || second == std::string::npos)
    tools::fail("\"" + line.substr(0, 80) + "\" is not like TOPIC, tab, KEY, tab, PAYLOAD");
  Message message;
  message.topic = line.substr(0, first);
  if (second > first + 1)
    message.key = line.substr(first + 1, second - first - 1);
  message.payload = line.substr(second + 1);
  return message;
}

} // namespace producer
