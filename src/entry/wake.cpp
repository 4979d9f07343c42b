#include "entry/wake.hpp"

#include "entry/bound_rule.hpp"
#include "entry/workers.hpp"
#include "pg/compat.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_wake);
}

namespace {

using namespace attribution;

/// What this transaction has brought, for when it commits: the time at which the first of it is due.
core::Micros earliest = core::kInfinity;
/// Whether this process, which applies what is replicated, has prepared a transaction that brought something.
bool prepared = false;
/// The database whose worker is held back until this transaction ends.
Oid held = InvalidOid;

ProcessUtility_hook_type next_utility_hook = nullptr;

/// After a commit, when what was written is visible to all.
void transaction_ends(XactEvent event, void *) {
  if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
    return;
  if (IsLogicalWorker()) {
    // It commits what it has prepared by no statement, in a transaction that brings nothing else.
    if (event == XACT_EVENT_PREPARE && earliest != core::kInfinity)
      prepared = true;
    else if (event == XACT_EVENT_COMMIT && earliest == core::kInfinity && prepared)
      earliest = core::kMinusInfinity;
  }
  if (event == XACT_EVENT_COMMIT && earliest != core::kInfinity)
    entry::wake_worker(MyDatabaseId, earliest);
  earliest = core::kInfinity; // a prepared transaction's work is announced when it is committed
  if (OidIsValid(held))
    entry::release_worker(std::exchange(held, InvalidOid));
}

/// A database that the statement must be alone in, if the present user may run it.
Oid emptied_database(Node *statement) {
  const char *name = nullptr;
  switch (nodeTag(statement)) {
  case T_DropdbStmt:
    name = castNode(DropdbStmt, statement)->dbname;
    break;
  case T_RenameStmt:
    if (castNode(RenameStmt, statement)->renameType == OBJECT_DATABASE)
      name = castNode(RenameStmt, statement)->subname;
    break;
  case T_AlterDatabaseStmt: {
    ListCell *cell = nullptr;
    foreach (cell, castNode(AlterDatabaseStmt, statement)->options)
      if (strcmp(lfirst_node(DefElem, cell)->defname, "tablespace") == 0)
        name = castNode(AlterDatabaseStmt, statement)->dbname;
    break;
  }
  case T_CreatedbStmt: {
    name = "template1";
    ListCell *cell = nullptr;
    foreach (cell, castNode(CreatedbStmt, statement)->options)
      if (strcmp(lfirst_node(DefElem, cell)->defname, "template") == 0 && lfirst_node(DefElem, cell)->arg != nullptr)
        name = defGetString(lfirst_node(DefElem, cell));
    break;
  }
  default:
    break;
  }
  const Oid database = name != nullptr ? get_database_oid(name, true) : InvalidOid;
  return OidIsValid(database) && pg::owns_database(database) ? database : InvalidOid;
}

/// Whether a statement drops or alters the extension, and the present user may do so.
bool changes_extension(Node *statement) {
  const char *const name = "attribution";
  bool changes = false;
  if (IsA(statement, DropStmt)) {
    DropStmt *drop = castNode(DropStmt, statement);
    ListCell *cell = nullptr;
    foreach (cell, drop->objects) // dropping its schema drops the extension as well
      if (drop->removeType == OBJECT_EXTENSION || drop->removeType == OBJECT_SCHEMA)
        changes = changes || strcmp(strVal(lfirst(cell)), name) == 0;
  } else if (IsA(statement, AlterExtensionStmt))
    changes = strcmp(castNode(AlterExtensionStmt, statement)->extname, name) == 0;
  if (!changes)
    return false;
  const Oid extension = get_extension_oid(name, true);
  return OidIsValid(extension) && pg::owns_extension(extension);
}

/// Plain C in C++ clothes: an ERROR may pass through at any point.
void utility(PlannedStmt *planned, const char *text, bool read_only_tree, ProcessUtilityContext context,
             ParamListInfo params, QueryEnvironment *environment, DestReceiver *destination,
             QueryCompletion *completion) {
  Node *statement = planned->utilityStmt;
  // A procedure that ends its transaction may take the statement's tree along.
  const bool commits_prepared =
      IsA(statement, TransactionStmt) && castNode(TransactionStmt, statement)->kind == TRANS_STMT_COMMIT_PREPARED;
  const bool in_transaction = IsTransactionState(); // ROLLBACK and its like come here when there is none
  if (in_transaction) {
    const Oid database = changes_extension(statement) ? MyDatabaseId : emptied_database(statement);
    if (OidIsValid(database)) {
      held = database; // first, as the wait may be cancelled
      entry::hold_worker(database);
    }
  }
  (next_utility_hook != nullptr ? next_utility_hook : standard_ProcessUtility)(
      planned, text, read_only_tree, context, params, environment, destination, completion);
  // Nobody can tell what a prepared transaction has brought.
  if (commits_prepared)
    entry::announce(core::kMinusInfinity);
}

} // namespace

namespace attribution::entry {

void announce(core::Micros due) noexcept { earliest = std::min(earliest, due); }

void watch_transactions() {
  RegisterXactCallback(transaction_ends, nullptr);
  next_utility_hook = std::exchange(ProcessUtility_hook, utility);
}

} // namespace attribution::entry

// _wake(due): when this transaction commits, the worker is to know that something is due then.
Datum attribution_wake(PG_FUNCTION_ARGS) {
  if (!PG_ARGISNULL(0))
    entry::announce(PG_GETARG_TIMESTAMPTZ(0));
  PG_RETURN_VOID();
}
