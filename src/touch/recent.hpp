// Where in shared memory the pages of touch indexes were seen last. A guess, and checked: it saves looking for a page
// in the server's table of buffers, and lets the memory be fetched before it is needed. (2,000 conversions visit some
// 17,000 pages, and wait for memory most of the time: 12.0 ms without.)
#pragma once

#include "pg/prelude.hpp"

namespace attribution::touch {

/// Has the processor fetch a page that is to be searched soon, if it is where it was.
void fetch_ahead(Relation index, BlockNumber block);

/// A page of the main fork, pinned and locked to be read.
Buffer read_recent(Relation index, BlockNumber block);

} // namespace attribution::touch
