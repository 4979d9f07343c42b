// Every difference between the supported PostgreSQL versions (15 to 18) stands here.
#pragma once

#include "pg/prelude.hpp"

namespace attribution::pg {

/// Raises "permission denied" unless the present user may do all that a planned statement asks of its relations.
inline void check_permissions(PlannedStmt *statement) {
#if PG_VERSION_NUM >= 160000 // a61b1f748: permissions moved out of the range table
  (void)ExecCheckPermissions(statement->rtable, statement->permInfos, true);
#else
  (void)ExecCheckRTPerms(statement->rtable, true);
#endif
}

/// The relation that a range table entry is checked for, and as whom: InvalidOid is the present user.
/// Returns InvalidOid for an entry that asks for nothing.
inline Oid checked_relation(PlannedStmt *statement, RangeTblEntry *entry, Oid *as_user) {
#if PG_VERSION_NUM >= 160000
  if (entry->perminfoindex == 0)
    return InvalidOid;
  RTEPermissionInfo *info = getRTEPermissionInfo(statement->permInfos, entry);
  *as_user = info->checkAsUser;
  return info->requiredPerms != 0 ? info->relid : InvalidOid;
#else
  (void)statement;
  *as_user = entry->checkAsUser;
  return entry->rtekind == RTE_RELATION && entry->requiredPerms != 0 ? entry->relid : InvalidOid;
#endif
}

/// Calls `walker(node, context)` for the children of a raw parse tree's node.
inline bool walk_raw_expression(Node *node, bool (*walker)(Node *, void *), void *context) {
#if PG_VERSION_NUM >= 160000 // 1c27d16e6: walkers got a prototype
  return raw_expression_tree_walker_impl(node, reinterpret_cast<tree_walker_callback>(walker), context);
#else
  return raw_expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker)), context);
#endif
}

} // namespace attribution::pg
