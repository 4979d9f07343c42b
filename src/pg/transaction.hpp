// Transactions and subtransactions of our own: where an exception ends.
#pragma once

#include "pg/guard.hpp"

#include <functional>
#include <optional>

namespace attribution::pg {

/// Runs `work` in a transaction with SPI and a snapshot, and commits. For processes of our own, outside of any
/// transaction. Whatever escapes is an Error (copied out of the transaction's memory, which is gone): the transaction
/// has been aborted, and the process may go on.
void in_transaction(const std::function<void()> &work);

/// Runs `work` in a subtransaction. Returns the error that ended it, after which all of its effects are undone.
std::optional<Error> in_subtransaction(const std::function<void()> &work);

} // namespace attribution::pg
