// Every difference between the supported PostgreSQL versions (15 to 18) stands here.
#pragma once

#include "pg/prelude.hpp"

namespace attribution::pg {

#if PG_VERSION_NUM >= 160000 // a61b1f748: permissions moved out of the range table
inline List *permissions_of(const Query *query) { return query->rteperminfos; }
inline List *permissions_of(const PlannedStmt *statement) { return statement->permInfos; }
#endif

/// Raises "permission denied" unless the present user may do all that a query, or a plan, asks of its own relations.
template <class Statement> void check_permissions(Statement *statement) {
#if PG_VERSION_NUM >= 160000
  (void)ExecCheckPermissions(statement->rtable, permissions_of(statement), true);
#else
  (void)ExecCheckRTPerms(statement->rtable, true);
#endif
}

/// The relation that a range table entry is checked for, and as whom: InvalidOid is the present user.
/// Returns InvalidOid for an entry that asks for nothing.
template <class Statement>
Oid checked_relation([[maybe_unused]] Statement *statement, RangeTblEntry *entry, Oid *as_user) {
#if PG_VERSION_NUM >= 160000
  if (entry->perminfoindex == 0)
    return InvalidOid;
  RTEPermissionInfo *info = getRTEPermissionInfo(permissions_of(statement), entry);
  *as_user = info->checkAsUser;
  return info->requiredPerms != 0 ? info->relid : InvalidOid;
#else
  *as_user = entry->checkAsUser;
  return entry->rtekind == RTE_RELATION && entry->requiredPerms != 0 ? entry->relid : InvalidOid;
#endif
}

/// Calls `walker(node, context)` for the children of an analyzed tree's node; for those of a query, its subqueries too.
inline bool walk_expression(Node *node, bool (*walker)(Node *, void *), void *context) {
#if PG_VERSION_NUM >= 160000 // 1c27d16e6: walkers got a prototype
  return IsA(node, Query)
             ? query_tree_walker_impl(castNode(Query, node), reinterpret_cast<tree_walker_callback>(walker), context, 0)
             : expression_tree_walker_impl(node, reinterpret_cast<tree_walker_callback>(walker), context);
#else
  const auto untyped = reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker));
  return IsA(node, Query) ? query_tree_walker(castNode(Query, node), untyped, context, 0)
                          : expression_tree_walker(node, untyped, context);
#endif
}

/// Calls `walker(node, context)` for the children of a raw parse tree's node.
inline bool walk_raw_expression(Node *node, bool (*walker)(Node *, void *), void *context) {
#if PG_VERSION_NUM >= 160000
  return raw_expression_tree_walker_impl(node, reinterpret_cast<tree_walker_callback>(walker), context);
#else
  return raw_expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker)), context);
#endif
}

/// Whether the present user owns a database, or an extension.
inline bool owns_database(Oid database) {
#if PG_VERSION_NUM >= 160000 // c727f511b: one function for the ownership of all objects
  return object_ownercheck(DatabaseRelationId, database, GetUserId());
#else
  return pg_database_ownercheck(database, GetUserId());
#endif
}
inline bool owns_extension(Oid extension) {
#if PG_VERSION_NUM >= 160000
  return object_ownercheck(ExtensionRelationId, extension, GetUserId());
#else
  return pg_extension_ownercheck(extension, GetUserId());
#endif
}

/// A new page at the end of a relation, locked exclusively.
inline Buffer extend(Relation relation) {
#if PG_VERSION_NUM >= 160000 // 31966b151: relations are extended through one function
  return ExtendBufferedRel(BMR_REL(relation), MAIN_FORKNUM, nullptr, EB_LOCK_FIRST);
#else
  const bool is_shared = !RELATION_IS_LOCAL(relation);
  if (is_shared)
    LockRelationForExtension(relation, ExclusiveLock);
  Buffer buffer = ReadBuffer(relation, P_NEW);
  LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
  if (is_shared)
    UnlockRelationForExtension(relation, ExclusiveLock);
  return buffer;
#endif
}

/// Of the first segment of the main fork, palloc'ed.
inline const char *path_of(Relation relation) {
#if PG_VERSION_NUM >= 180000 // 37c87e63f: no memory is allocated for it
  return pstrdup(relpathbackend(relation->rd_locator, relation->rd_backend, MAIN_FORKNUM).str);
#elif PG_VERSION_NUM >= 160000 // b0a55e432: relfilenodes became locators
  return relpathbackend(relation->rd_locator, relation->rd_backend, MAIN_FORKNUM);
#else
  return relpathbackend(relation->rd_node, relation->rd_backend, MAIN_FORKNUM);
#endif
}

/// Pins a page of the main fork, if this buffer still has it.
inline bool read_where_it_was(Relation relation, BlockNumber block, Buffer buffer) {
#if PG_VERSION_NUM >= 160000 // b0a55e432: relfilenodes became locators
  const bool is_there = ReadRecentBuffer(relation->rd_locator, MAIN_FORKNUM, block, buffer);
#else
  const bool is_there = ReadRecentBuffer(relation->rd_node, MAIN_FORKNUM, block, buffer);
#endif
  if (is_there) {
    // As with ReadBuffer(), which ReadRecentBuffer() leaves out: what is used often stays.
    pg_atomic_uint32 &place = GetBufferDescriptor(buffer - 1)->state;
    std::uint32_t state = pg_atomic_read_u32(&place);
    if ((state & BM_LOCKED) == 0 && BUF_STATE_GET_USAGECOUNT(state) < BM_MAX_USAGE_COUNT)
      (void)pg_atomic_compare_exchange_u32(&place, &state, state + BUF_USAGECOUNT_ONE);
    pgstat_count_buffer_read(relation);
    pgstat_count_buffer_hit(relation);
  }
  return is_there;
}

/// Whether a buffer has a page of the main fork, for all that can be told without holding it.
inline bool seems_to_have(Buffer buffer, Relation relation, BlockNumber block) {
  const BufferTag &tag = GetBufferDescriptor(buffer - 1)->tag;
#if PG_VERSION_NUM >= 160000 // b0a55e432
  return tag.blockNum == block && BufTagMatchesRelFileLocator(&tag, &relation->rd_locator) &&
         BufTagGetForkNum(&tag) == MAIN_FORKNUM;
#else
  return tag.blockNum == block && RelFileNodeEquals(tag.rnode, relation->rd_node) && tag.forkNum == MAIN_FORKNUM;
#endif
}

/// Where a scan of a heap by its rows' places has the page that it holds a pin of.
inline Buffer &page_at_hand(IndexFetchTableData *heap) {
  static_assert(PG_VERSION_NUM < 190000, "look at what IndexFetchHeapData has");
  return reinterpret_cast<IndexFetchHeapData *>(heap)->xs_cbuf;
}

/// A tuple in memory, palloc'ed.
inline MinimalTuple form_minimal_tuple(TupleDesc shape, Datum *values, bool *nulls) {
#if PG_VERSION_NUM >= 180000 // room in front of it may be asked for
  return heap_form_minimal_tuple(shape, values, nulls, 0);
#else
  return heap_form_minimal_tuple(shape, values, nulls);
#endif
}

/// Reads from a temporary file, which must have as much.
inline void read_exactly(BufFile *file, void *to, std::size_t size) {
#if PG_VERSION_NUM >= 160000 // 20428d344: reading too little is an error of its own
  BufFileReadExact(file, to, size);
#else
  if (BufFileRead(file, to, size) != size)
    ereport(ERROR, (errcode_for_file_access(), errmsg("could not read from a temporary file")));
#endif
}

/// Lets VACUUM be cancelled, and rest.
inline void vacuum_delay() {
#if PG_VERSION_NUM >= 180000 // e5b0b0ce1: ANALYZE delays are told apart
  vacuum_delay_point(false);
#else
  vacuum_delay_point();
#endif
}

/// What pg_stat_activity says of a process that sleeps.
inline std::uint32_t wait_event([[maybe_unused]] const char *name) {
#if PG_VERSION_NUM >= 170000 // c9af05465: extensions name their own wait events
  return WaitEventExtensionNew(name);
#else
  return PG_WAIT_EXTENSION;
#endif
}

} // namespace attribution::pg
