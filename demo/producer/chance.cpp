#include "chance.hpp"

#include <array>
#include <cstdio>

namespace producer {

std::string Chance::uuid() {
  const auto high = static_cast<unsigned long long>((engine_() & ~0xF000ULL) | 0x4000ULL);
  const auto low = static_cast<unsigned long long>((engine_() & ~(3ULL << 62)) | (2ULL << 62));
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%08llx-%04llx-%04llx-%04llx-%012llx", high >> 32, high >> 16 & 0xFFFF,
                high & 0xFFFF, low >> 48, low & 0xFFFFFFFFFFFFULL);
  return text.data();
}

} // namespace producer
