// Messages that somebody else has made, one a line: TOPIC, tab, KEY, tab, PAYLOAD. An empty key is none.
#pragma once

#include "stream.hpp"

#include <istream>

namespace producer {

/// The next one; nothing at the end. Ends the program where a line is something else.
std::optional<Message> read_message(std::istream &input);

} // namespace producer
