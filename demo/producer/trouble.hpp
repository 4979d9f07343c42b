// What goes wrong on the way: events come twice, late, in another order, and among them what is no event.
#pragma once

#include "chance.hpp"
#include "stream.hpp"

#include <map>

namespace producer {

/// Shares of the events.
struct Shares {
  double duplicates = 0;
  double late = 0;
  double out_of_order = 0;
  double malformed = 0;
};

struct Counts {
  std::int64_t events = 0;
  std::int64_t duplicates = 0;
  std::int64_t late = 0;
  std::int64_t out_of_order = 0;
  std::int64_t malformed = 0;
};

class Trouble {
public:
  Trouble(std::uint64_t seed, Shares shares) : chance_(seed ^ 0x5EED), shares_(shares) {}

  /// What is sent now: this event perhaps, and others that were held back.
  std::vector<Message> pass(Message message);
  /// All that is held back yet.
  std::vector<Message> rest();
  const Counts &counts() const { return counts_; }

private:
  void hold(Message message, std::int64_t soonest, std::int64_t latest);
  std::string broken(const std::string &payload);

  Chance chance_;
  Shares shares_;
  Counts counts_;
  /// By the number of the event before which it is sent.
  std::multimap<std::int64_t, Message> held_;
};

} // namespace producer
