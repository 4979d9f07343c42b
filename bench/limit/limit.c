/*
 * add_up(relation, first, count): the sum of the bytes of so many pages. Whoever looks for something in these pages can't be
 * faster than who only adds up what they hold: each is found in the buffer pool, pinned, locked, and read from its first byte to
 * its last.
 */
#include "postgres.h"

#include "access/relation.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(add_up);

Datum add_up(PG_FUNCTION_ARGS) {
  Relation relation = relation_open(PG_GETARG_OID(0), AccessShareLock);
  const BlockNumber first = (BlockNumber)PG_GETARG_INT64(1);
  const BlockNumber past = first + (BlockNumber)PG_GETARG_INT64(2);
  int64 sum = 0;

  for (BlockNumber block = first; block < past; ++block) {
    Buffer buffer = ReadBuffer(relation, block);
    const uint8 *bytes;

    CHECK_FOR_INTERRUPTS();
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    bytes = (const uint8 *)BufferGetPage(buffer);
    for (int i = 0; i < BLCKSZ; ++i)
      sum += bytes[i];
    UnlockReleaseBuffer(buffer);
  }
  relation_close(relation, NoLock);
  PG_RETURN_INT64(sum);
}
