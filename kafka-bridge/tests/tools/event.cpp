#include "event.hpp"

#include <array>
#include <cstdio>

namespace tools {

std::string event(long id) {
  std::array<char, 700> text{};
  const unsigned long mixed = static_cast<unsigned long>(id) * 0x9E3779B97F4A7C15UL;
  const int length = std::snprintf(
      text.data(), text.size(),
      R"({"event_id":"%08lx-0000-4000-8000-%012lx","event_time":"2026-01-%02ldT%02ld:%02ld:%02ld.%03ldZ","device":{"id":"%08lx-0000-4000-8000-000000000000","os":"android"},)"
      R"("app_id":"com.example.game%ld","campaign":"spring sale %ld","network":"network%ld","creative":"banner %ld of many","ip":"10.%ld.%ld.%ld","country":"DE",)"
      R"("user_agent":"Mozilla/5.0 (Linux; Android 14; Phone %ld) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124 Mobile","click_cost":0.%04ld,"is_view_through":%s})",
      static_cast<unsigned long>(id) & 0xFFFFFFFF, static_cast<unsigned long>(id) & 0xFFFFFFFFFFFF, id % 28 + 1,
      id / 60 % 24, id / 7 % 60, id % 60, id % 1000, mixed >> 40, id % 20, id % 300, id % 15, id % 900, id % 256,
      id / 256 % 256, id / 65536 % 256, id % 40, id % 10000, id % 3 == 0 ? "true" : "false");
  return std::string(text.data(), static_cast<std::size_t>(length));
}

} // namespace tools
