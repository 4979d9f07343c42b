// Channels by number: paths are counted by numbers, and shown by names.
#pragma once

#include "core/hash_index.hpp"

#include <cstring>
#include <string>
#include <string_view>

namespace attribution::core {

/// A channel of a table of channels; numbers are given as names come, from 0.
using Channel = std::uint32_t;

class Channels {
public:
  /// The number of a name, which may be new.
  Channel number(std::string_view name) {
    const std::uint64_t hash = hash_of(name);
    const Channel known = index_.find(hash, [&](std::uint32_t place) { return this->name(place) == name; });
    if (known != HashIndex::kNone)
      return known;
    ends_.push_back(text_.size() + name.size());
    text_.append(name);
    return index_.add(hash);
  }
  /// The number of a name, or HashIndex::kNone.
  Channel find(std::string_view name) const {
    return index_.find(hash_of(name), [&](std::uint32_t place) { return this->name(place) == name; });
  }

  std::string_view name(Channel channel) const noexcept {
    const std::size_t begin = channel == 0 ? 0 : ends_[channel - 1];
    return std::string_view(text_).substr(begin, ends_[channel] - begin);
  }
  std::uint32_t size() const noexcept { return index_.size(); }
  /// All channels by name, bytewise: what is computed and shown must not depend on the order in which paths came.
  std::vector<Channel> by_name() const;
  std::size_t bytes() const noexcept {
    return text_.capacity() + ends_.capacity() * sizeof(std::size_t) + index_.bytes();
  }

private:
  static std::uint64_t hash_of(std::string_view name) noexcept {
    std::uint64_t hash = name.size() * 0x9e3779b97f4a7c15ULL;
    while (!name.empty()) {
      std::uint64_t word = 0;
      const std::size_t length = name.size() < sizeof word ? name.size() : sizeof word;
      std::memcpy(&word, name.data(), length);
      hash = mix(hash ^ word);
      name.remove_prefix(length);
    }
    return hash;
  }

  std::string text_;
  std::vector<std::size_t> ends_;
  HashIndex index_;
};

} // namespace attribution::core

#include "core/no_postgres.hpp"
