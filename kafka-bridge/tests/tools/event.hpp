// The clicks that tests produce: about 450 bytes, all determined by their number.
#pragma once

#include <string>

namespace tools {

std::string event(long id);

} // namespace tools
