#include "pg/ephemeral_table.hpp"

namespace attribution::pg {

EphemeralTable::EphemeralTable(const std::vector<Type> &columns) {
  call([&] {
    const int count = static_cast<int>(columns.size());
    shape_ = CreateTemplateTupleDesc(count);
    for (int i = 0; i < count; ++i)
      TupleDescInitEntry(shape_, static_cast<AttrNumber>(i + 1), psprintf("column%d", i + 1),
                         columns[static_cast<std::size_t>(i)].oid, -1, 0);
    rows_ = tuplestore_begin_heap(false, false, work_mem);
  });
}

} // namespace attribution::pg
