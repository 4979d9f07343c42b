#include "core/model.hpp"

namespace attribution::core {

double credit(Model model, std::size_t position, std::size_t length) noexcept {
  switch (model) {
  case Model::first_touch:
    return position == 0 ? 1.0 : 0.0;
  case Model::last_touch:
    return position + 1 == length ? 1.0 : 0.0;
  }
  return 0.0;
}

} // namespace attribution::core
