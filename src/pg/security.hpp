// A rule runs as its owner: with the owner's rights, security-restricted, and with a pinned search_path.
#pragma once

#include "pg/guard.hpp"

namespace attribution::pg {

/// Sets a setting for the present nest level, if it is not so already: a look costs less.
inline void pin(const char *setting, const char *value) {
  if (strcmp(GetConfigOption(setting, false, false), value) == 0)
    return;
  set_config_option(setting, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/// Makes a role the present user for a scope. After an error the transaction's abort puts everything back.
class AsOwner {
public:
  explicit AsOwner(Oid owner) {
    call([this, owner] {
      GetUserIdAndSecContext(&caller_, &context_);
      SetUserIdAndSecContext(owner, context_ | SECURITY_RESTRICTED_OPERATION);
      nest_level_ = NewGUCNestLevel();
      pin("search_path", "pg_catalog, pg_temp");
      // The same data gives the same decision in every session: what steers how values are read and printed is pinned
      // too.
      pin("timezone", "UTC");
      pin("datestyle", "ISO, YMD");
      pin("intervalstyle", "postgres");
      pin("extra_float_digits", "1");
      pin("bytea_output", "hex");
      pin("xmloption", "content");
      pin("xmlbinary", "base64");
      pin("array_nulls", "on");
      pin("default_text_search_config", "pg_catalog.simple");
      pin("lc_monetary", "C");
      pin("lc_numeric", "C");
      pin("lc_time", "C");
      pin("standard_conforming_strings", "on");
      pin("transform_null_equals", "off");
      pin("jit", "off"); // compiling a batch's plans took 0.75 s of a first call's 3.1 s, and gained nothing
    });
  }
  ~AsOwner() {
    if (std::uncaught_exceptions() > 0)
      return;
    AtEOXact_GUC(false, nest_level_);
    SetUserIdAndSecContext(caller_, context_);
  }
  AsOwner(const AsOwner &) = delete;
  AsOwner &operator=(const AsOwner &) = delete;

  Oid caller() const noexcept { return caller_; }

private:
  Oid caller_ = InvalidOid;
  int context_ = 0;
  int nest_level_ = 0;
};

} // namespace attribution::pg
