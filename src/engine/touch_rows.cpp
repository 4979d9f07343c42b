#include "engine/touch_rows.hpp"

#include "engine/batch.hpp"
#include "engine/queries.hpp"
#include "pg/compat.hpp"

namespace attribution::engine {

namespace {

/// So many columns of a touch query come before those that are kept.
constexpr int kNotKept = kTouchId - 1;

} // namespace

TouchRowStore::TouchRowStore(const Binding &binding, MemoryContext memory)
    : binding_(binding), memory_(memory), id_order_(binding.touch_id.oid), shapes_(binding.tiers.size(), nullptr),
      are_ids_(binding.tiers.size(), 0) {
  scratch_ = pg::call(
      [&] { return AllocSetContextCreate(memory, "attribution touchpoint comparison", ALLOCSET_SMALL_SIZES); });
}

std::uintptr_t TouchRowStore::keep(std::size_t tier, TupleTableSlot *slot) {
  MemoryContext outer = MemoryContextSwitchTo(memory_);
  TupleDesc &shape = shapes_[tier];
  if (shape == nullptr) {
    shape = CreateTemplateTupleDesc(slot->tts_tupleDescriptor->natts - kNotKept);
    for (int i = 1; i <= shape->natts; ++i)
      TupleDescCopyEntry(shape, static_cast<AttrNumber>(i), slot->tts_tupleDescriptor,
                         static_cast<AttrNumber>(i + kNotKept));
    are_ids_[tier] = shape->natts == 1 && TupleDescAttr(shape, 0)->attbyval;
  }
  slot_getallattrs(slot);
  if (is_id(tier)) {
    MemoryContextSwitchTo(outer);
    return slot->tts_values[kNotKept];
  }
  MinimalTuple tuple = pg::form_minimal_tuple(shape, slot->tts_values + kNotKept, slot->tts_isnull + kNotKept);
  MemoryContextSwitchTo(outer);
  bytes_ += tuple->t_len;
  return reinterpret_cast<std::uintptr_t>(tuple);
}

void TouchRowStore::release(const core::Touch &touch) {
  if (is_id(touch.tier))
    return;
  MinimalTuple tuple = reinterpret_cast<MinimalTuple>(touch.row);
  bytes_ -= tuple->t_len;
  pfree(tuple);
}

Datum TouchRowStore::get(const core::Touch &touch, int column, bool *null) const {
  HeapTupleData tuple{};
  tuple.t_data = reinterpret_cast<HeapTupleHeader>(touch.row - MINIMAL_TUPLE_OFFSET);
  tuple.t_len = reinterpret_cast<MinimalTuple>(touch.row)->t_len + MINIMAL_TUPLE_OFFSET;
  return heap_getattr(&tuple, column - kNotKept, shapes_[touch.tier], null);
}

Datum TouchRowStore::id(const core::Touch &touch) const {
  if (is_id(touch.tier))
    return touch.row;
  bool null = true;
  return get(touch, kTouchId, &null);
}

Datum TouchRowStore::carried(const core::Touch &touch, std::size_t i, bool *null) const {
  const int place = binding_.tiers[touch.tier].carried[i];
  *null = place != kTouchTime;
  if (place == kTouchTime)
    return TimestampTzGetDatum(touch.time);
  if (place == kTouchId) {
    *null = false;
    return id(touch);
  }
  return place == 0 ? Datum(0) : get(touch, place, null);
}

std::string_view TouchRowStore::channel(const core::Touch &touch) const {
  bool null = true;
  const Datum value = get(touch, channel_column(touch.tier), &null);
  // As it was kept: rows in memory are not toasted, though they may have been made of values that are.
  const text *channel = pg::call([&] { return DatumGetTextPP(value); });
  return {VARDATA_ANY(channel), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(channel))};
}

bool TouchRowStore::has(std::size_t tier, int column) const noexcept {
  return column <= shapes_[tier]->natts + kNotKept;
}

int TouchRowStore::channel_column(std::size_t tier) const noexcept {
  return kTouchColumns + static_cast<int>(binding_.tiers[tier].columns.size());
}

Datum TouchRowStore::carried_texts(const core::Touch &touch) const {
  const pg::Type text = pg::Type::of(TEXTOID, InvalidOid);
  std::vector<Datum> values;
  std::vector<char> nulls;
  for (std::size_t i = 0; i < binding_.carried.size(); ++i) {
    bool null = true;
    const Datum value = carried(touch, i, &null);
    nulls.push_back(null);
    values.push_back(null ? Datum(0) : pg::call([&, printed = binding_.carried[i]->text(value)] {
      return CStringGetTextDatum(printed);
    }));
  }
  return text.array(values.data(), reinterpret_cast<bool *>(nulls.data()), values.size());
}

int TouchRowStore::compare_ids(const core::Touch &a, const core::Touch &b) {
  pg::Within within(scratch_);
  const int order = id_order_(id(a), id(b));
  MemoryContextReset(scratch_);
  return order;
}

int TouchRowStore::compare_texts(const core::Touch &a, const core::Touch &b) {
  pg::Within within(scratch_);
  const int order = compare_texts_within(a, b);
  MemoryContextReset(scratch_);
  return order;
}

int TouchRowStore::compare_texts_within(const core::Touch &a, const core::Touch &b) const {
  // Ids may be equal in order and differ in text: 'AB' and 'ab' of a type that ignores case.
  if (int order = engine::compare_texts(binding_.touch_id.text(id(a)), binding_.touch_id.text(id(b))))
    return order;
  const std::vector<Column> &columns = binding_.tiers[a.tier].columns;
  for (std::size_t i = 0; i < columns.size() && has(a.tier, kTouchColumns + static_cast<int>(i)); ++i) {
    const auto text = [&](const core::Touch &touch) {
      bool null = true;
      const Datum value = get(touch, kTouchColumns + static_cast<int>(i), &null);
      return null ? nullptr : columns[i].type.text(value);
    };
    if (int order = engine::compare_texts(text(a), text(b)))
      return order;
  }
  if (!binding_.spec.channel.empty() && has(a.tier, channel_column(a.tier)))
    return channel(a).compare(channel(b));
  return 0;
}

} // namespace attribution::engine
