// What can be said of a touch index WITH (..).
#pragma once

#include "pg/prelude.hpp"

namespace attribution::touch {

/// Makes the options known to the server. Once for each process, when the library is loaded.
void define_options();

/// amoptions
bytea *parse_options(Datum reloptions, bool validate);

/// How full the pages of an index are that is built, in percent.
int fillfactor(Relation index);

/// How many pages a bucket may have before it is cut in two.
int bucket_pages(Relation index);

} // namespace attribution::touch
