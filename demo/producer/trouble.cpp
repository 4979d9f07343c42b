#include "trouble.hpp"

#include <iterator>

namespace producer {

std::vector<Message> Trouble::pass(Message message) {
  const std::int64_t number = counts_.events++;
  std::vector<Message> out;
  while (!held_.empty() && held_.begin()->first <= number) {
    out.push_back(std::move(held_.begin()->second));
    held_.erase(held_.begin());
  }
  if (chance_.happens(shares_.malformed)) {
    ++counts_.malformed;
    Message other = message;
    other.payload = broken(message.payload);
    out.push_back(std::move(other));
  }
  if (chance_.happens(shares_.duplicates)) {
    ++counts_.duplicates;
    hold(message, 0, 1000);
  }
  if (chance_.happens(shares_.late)) {
    ++counts_.late;
    hold(std::move(message), 2000, 20'000);
  } else if (chance_.happens(shares_.out_of_order)) {
    ++counts_.out_of_order;
    hold(std::move(message), 2, 100);
  } else {
    out.push_back(std::move(message));
  }
  return out;
}

std::vector<Message> Trouble::rest() {
  std::vector<Message> out;
  for (auto &[number, message] : held_)
    out.push_back(std::move(message));
  held_.clear();
  return out;
}

void Trouble::hold(Message message, std::int64_t soonest, std::int64_t latest) {
  held_.emplace(counts_.events + chance_.between(soonest, latest), std::move(message));
}

/// In one of the ways that are seen in life.
std::string Trouble::broken(const std::string &payload) {
  switch (chance_.below(6)) {
  case 0:
    return payload.substr(0, payload.size() / 2);
  case 1:
    return "[" + payload + "]";
  case 2:
    return payload + payload;
  case 3:
    // Nothing that is required is there.
    return "{}";
  case 4: {
    std::string other = payload;
    other.insert(other.find(':') + 2, "\xC3\x28");
    return other;
  }
  default:
    return "<html><body>502 Bad Gateway</body></html>";
  }
}

} // namespace producer
