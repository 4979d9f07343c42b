// Entries of rows that this transaction has inserted, before they are written to their indexes.
//
// Nobody else can see the rows until the transaction commits, so their entries can wait, and be written bucket by
// bucket: a page is touched once for many of them. They are written before anything of this transaction reads the
// index, before a subtransaction begins, when they are too many, and before the transaction commits or is prepared.
#pragma once

#include "pg/prelude.hpp"

namespace attribution::touch {

/// aminsert
bool insert(Relation index, Datum *values, bool *nulls, ItemPointer row, Relation table, IndexUniqueCheck unique,
            bool unchanged, IndexInfo *info);

/// Writes what is collected for an index: before it is read.
void write_collected(Relation index);

/// Writes all that is collected: before others read for this transaction.
void write_collected();

/// Forgets what is collected for an index: it is being built, from all rows of its table.
void forget_collected(Oid index);

/// Has collected entries written when transactions end. Once for each process.
void watch_transactions();

} // namespace attribution::touch
