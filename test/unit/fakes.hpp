// Touchpoints without a database, for the tests of the core.
#pragma once

#include "core/touch.hpp"

#include <deque>
#include <string>

namespace attribution::core::test {

/// Rows with an id and a text; a touch's handle is the row's place.
class FakeRows final : public TouchRows {
public:
  Touch touch(Micros time, std::uint32_t tier, int id, std::string text = "") {
    rows_.push_back({id, std::move(text)});
    Touch touch;
    touch.time = time;
    touch.tier = tier;
    touch.row = rows_.size() - 1;
    return touch;
  }
  int id(const Touch &touch) const { return rows_[touch.row].id; }
  const std::string &text(const Touch &touch) const { return rows_[touch.row].text; }

  int compare_ids(const Touch &a, const Touch &b) override { return (id(a) > id(b)) - (id(a) < id(b)); }
  int compare_texts(const Touch &a, const Touch &b) override { return text(a).compare(text(b)); }

private:
  struct Row {
    int id;
    std::string text;
  };
  std::deque<Row> rows_;
};

} // namespace attribution::core::test
