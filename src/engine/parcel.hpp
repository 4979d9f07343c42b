// Values as a row of bytes, for another process of the same server.
#pragma once

#include "engine/spec.hpp"

#include <type_traits>

namespace attribution::engine {

/// Puts values into a parcel.
class Packer {
public:
  template <class... Values> void operator()(const Values &...values) { (pack(values), ...); }
  const std::string &bytes() const noexcept { return bytes_; }

private:
  template <class T> void pack(const T &value) {
    if constexpr (std::is_trivially_copyable_v<T>)
      bytes_.append(reinterpret_cast<const char *>(&value), sizeof value);
    else
      for_each_field(*this, value);
  }
  void pack(const std::string &text) { pack(std::string_view(text)); }
  void pack(const std::string_view &text) {
    pack(text.size());
    bytes_ += text;
  }
  template <class T> void pack(const std::vector<T> &values) {
    pack(values.size());
    for (const T &value : values)
      pack(value);
  }

  std::string bytes_;
};

/// Takes them out again, in the same order.
class Unpacker {
public:
  explicit Unpacker(std::string_view bytes) : left_(bytes) {}
  template <class... Values> void operator()(Values &...values) { (unpack(values), ...); }

private:
  template <class T> void unpack(T &value) {
    if constexpr (std::is_trivially_copyable_v<T>)
      memcpy(&value, take(sizeof value).data(), sizeof value);
    else
      for_each_field(*this, value);
  }
  void unpack(std::string &text) {
    std::string_view here;
    unpack(here);
    text = here;
  }
  void unpack(std::string_view &text) { // where it lies
    std::size_t size = 0;
    unpack(size);
    text = take(size);
  }
  template <class T> void unpack(std::vector<T> &values) {
    std::size_t size = 0;
    unpack(size);
    values.resize(size);
    for (T &value : values)
      unpack(value);
  }
  std::string_view take(std::size_t size) {
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }

  std::string_view left_;
};

// To name all fields is the point: a new one makes these fail to compile.
template <class Archive, class Spec>
requires std::is_same_v<std::remove_const_t<Spec>, TierSpec>
void for_each_field(Archive &archive, Spec &tier) {
  auto &[name, touchpoints, id_column, time_column, match, conversion_match, conflict, conversion_conflict, filter,
         predicate, lookback_column, lookback, skew, strict, horizon] = tier;
  archive(name, touchpoints, id_column, time_column, match, conversion_match, conflict, conversion_conflict, filter,
          predicate, lookback_column, lookback, skew, strict, horizon);
}

template <class Archive, class Spec>
requires std::is_same_v<std::remove_const_t<Spec>, EnrichmentSpec>
void for_each_field(Archive &archive, Spec &enrichment) {
  auto &[name, dimension, match, given, of_touch, columns, names, valid_from, valid_to, valid_during] = enrichment;
  archive(name, dimension, match, given, of_touch, columns, names, valid_from, valid_to, valid_during);
}

template <class Archive, class Spec>
requires std::is_same_v<std::remove_const_t<Spec>, RuleSpec>
void for_each_field(Archive &archive, Spec &rule) {
  auto &[name, version, owner, conversions, id_column, time_column, filter, path, model, empty, value_column, channel,
         carry, installation_key, reattribution_window, allowed_lateness, horizon, storage, tiers, enrichments,
         path_summary] = rule;
  archive(name, version, owner, conversions, id_column, time_column, filter, path, model, empty, value_column, channel,
          carry, installation_key, reattribution_window, allowed_lateness, horizon, storage, tiers, enrichments,
          path_summary);
}

} // namespace attribution::engine
