// Partitions, looked after with the rights of who owns them.
#include "entry/bound_rule.hpp"
#include "entry/table_owner.hpp"
#include "pg/resultset.hpp"
#include "pg/spi.hpp"

extern "C" {
PGDLLEXPORT PG_FUNCTION_INFO_V1(attribution_maintain_as_owner);
}

using namespace attribution;

// _maintain_as_owner(relation): _maintain_relation() as the owner.
Datum attribution_maintain_as_owner(PG_FUNCTION_ARGS) {
  return pg::boundary([&] {
    enum Column { kMade, kDropped, kMoved };
    pg::ResultSet result(fcinfo, {INT4OID, INT4OID, INT8OID});
    const Datum relation = entry::required(fcinfo, 0, "relation");
    const pg::Spi spi;
    const pg::AsOwner as_owner(entry::require_owner(DatumGetObjectId(relation)));
    const pg::Plan maintain("SELECT m.made, m.dropped, m.moved FROM attribution._maintain_relation($1) AS m",
                            {REGCLASSOID});
    const pg::Rows rows = maintain.execute({{relation, false}});
    for (const int column : {kMade, kDropped, kMoved}) {
      bool null = false;
      const Datum value = rows.get(0, column + 1, &null);
      if (!null)
        result.set(column, value);
    }
    result.put();
    return Datum(0);
  });
}
