#include "core/model.hpp"

namespace attribution::core {

std::size_t winner(Model model, std::size_t length) noexcept { return model == Model::first_touch ? 0 : length - 1; }

double credit(Model model, std::size_t position, std::size_t length) noexcept {
  return position == winner(model, length) ? 1.0 : 0.0;
}

} // namespace attribution::core
