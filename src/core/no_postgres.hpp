// Included last by every core header: the core knows no PostgreSQL, and says so at compile time.
#if defined(POSTGRES_H) && !defined(ATTRIBUTION_WALL)
static_assert(false, "src/core is pure C++: postgres.h must not be seen here");
#endif
