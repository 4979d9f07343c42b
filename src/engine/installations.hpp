// New or reinstalled: what the conversions of a batch are, by all conversions of their keys.
#pragma once

#include "engine/given.hpp"
#include "engine/key_sieve.hpp"
#include "engine/queries.hpp"

namespace attribution::engine {

/// Whether a conversion of a batch has all parts of the installation key: none NULL or empty.
bool has_installation_key(const Binding &binding, const Batch &batch, std::uint32_t conversion);

class Installations {
public:
  /// `reader` must have SELECT on what is read.
  Installations(const Binding &binding, Oid reader);
  /// Sets the batch's kinds. Reads the keys' conversions up to the batch's last of each, and keeps none of them.
  void tell(Batch &batch) const;
  /// Whether several processes may ask side by side.
  bool is_parallel_safe() const;

private:
  /// Conversions of one key, by (time, id).
  using Members = std::vector<std::uint32_t>;
  /// The keys of a batch that are not empty, each once.
  std::vector<Members> keys_of(const Batch &batch) const;
  /// What a statement is to tell of some keys.
  struct Asked {
    Given given;
    KeysAsked keys;
  };
  Asked ask(const Batch &batch, const std::vector<Members> &keys, const std::vector<std::uint32_t> &numbers) const;
  /// Tells of keys that have no other conversions than these and those that are remembered. Returns the rest.
  std::vector<std::uint32_t> tell_alone(Batch &batch, const std::vector<Members> &keys) const;

  /// When the newest of some keys is that is remembered, up to the key's last conversion; -infinity: none is.
  std::vector<core::Micros> last_remembered(const Batch &batch, const std::vector<Members> &keys,
                                            const std::vector<std::uint32_t> &numbers) const;

  const Binding &binding_;
  pg::Order id_order_;
  std::vector<pg::Order> key_orders_;
  std::optional<KeySieve> sieve_; ///< if there is a key
  bool remembers_;
};

} // namespace attribution::engine
