// What PostgreSQL sees when it loads the library.
#include "entry/settings.hpp"
#include "pg/prelude.hpp"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

void _PG_init(void) { attribution::entry::define_settings(); }
