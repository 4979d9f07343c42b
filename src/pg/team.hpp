// Processes that help with one call: they take pieces of its work, as the leader does, and send it rows.
//
// They are PostgreSQL's own parallel workers. They act as the leader's present user, in its transaction, with its
// active snapshot and its settings; as long as there is a team nobody writes, the leader no more than they.
#pragma once

#include "pg/resultset.hpp"

#include <optional>

namespace attribution::pg {

/// What leader and helpers share.
struct TeamState;

class Team {
public:
  /// At most so many helpers run the exported function `entry`, of (dsm_segment *, shm_toc *). `message` is for them;
  /// `shared` is what the memory that all share begins with; the work is pieces 0 .. `pieces` - 1; the rows are those
  /// of `result`.
  Team(const char *entry, int helpers, const std::string &message, std::string_view shared, std::uint32_t pieces,
       ResultSet &result);
  ~Team();
  Team(const Team &) = delete;
  Team &operator=(const Team &) = delete;

  /// Whether no helper could be had.
  bool empty() const noexcept { return readers_.empty(); }
  std::span<char> shared() const noexcept { return shared_; }
  /// A piece that nobody has taken.
  std::optional<std::uint32_t> take_piece() noexcept;
  /// Takes over the rows that have been sent by now. To be called now and then: helpers wait if nobody does.
  void receive();
  /// Takes over all rows, and waits for the helpers' end. Raises the error that ended one.
  void finish();

private:
  ResultSet &result_;
  ParallelContext *context_ = nullptr;
  TeamState *state_ = nullptr;
  std::span<char> shared_;
  std::vector<TupleQueueReader *> readers_; ///< null: has sent all
};

/// In a helper: its place in the team.
class Helper {
public:
  Helper(dsm_segment *segment, shm_toc *contents);
  ~Helper();
  Helper(const Helper &) = delete;
  Helper &operator=(const Helper &) = delete;

  std::string_view message() const noexcept { return message_; }
  std::span<char> shared() const noexcept { return shared_; }
  std::optional<std::uint32_t> take_piece() noexcept;
  /// Where its rows go.
  ResultSet &result() noexcept { return *result_; }

private:
  TeamState *state_;
  std::string_view message_;
  std::span<char> shared_;
  DestReceiver *rows_;
  std::optional<ResultSet> result_;
};

/// Whether there can be helpers for this call at all.
bool may_have_helpers();

} // namespace attribution::pg
