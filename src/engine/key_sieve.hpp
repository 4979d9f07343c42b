// Which installation keys have no rows but those at hand. Touch indexes alone can tell: they have an entry for every
// row.
#pragma once

#include "engine/batch.hpp"

namespace attribution::engine {

class KeySieve {
public:
  explicit KeySieve(const Binding &binding);

  /// Which keys may have conversions, up to the time of their last here, that are not among these; true for each.
  /// `keys` are the conversions of each key, by time. Empty if there is no index to tell by: one over exactly the key
  /// and the time in every partition, partial at most by what the rule's filter says.
  std::vector<char> find_mixed(const Batch &batch, const std::vector<std::vector<std::uint32_t>> &keys) const;

private:
  const Binding &binding_;
  pg::Plan conversions_; ///< the keys of those that pass the filter; never run
};

} // namespace attribution::engine
