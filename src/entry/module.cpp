// What PostgreSQL sees when it loads the library.
#include "entry/launcher.hpp"
#include "entry/settings.hpp"
#include "entry/wake.hpp"
#include "entry/workers.hpp"
#include "pg/prelude.hpp"
#include "touch/collect.hpp"
#include "touch/options.hpp"
#include "touch/recent.hpp"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

void _PG_init(void) {
  using namespace attribution::entry;
  define_settings();
  attribution::touch::define_options();
  attribution::touch::watch_transactions();
  // Loaded on demand there are functions, and no workers; nor while pg_upgrade runs.
  if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
    return;
  request_shared_table();
  attribution::touch::request_shared_places();
  watch_transactions();
  register_launcher();
}
