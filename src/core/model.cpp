#include "core/model.hpp"

#include "core/sum.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace attribution::core {

namespace {

void divide_by_sum(std::span<double> weights) noexcept {
  double greatest = 0;
  for (const double weight : weights)
    greatest = std::max(greatest, weight);
  Sum sum; // of what can't overflow
  for (double &weight : weights)
    sum.add(weight /= greatest);
  for (double &weight : weights)
    weight /= sum.value();
}

} // namespace

std::size_t winner(Model model, std::size_t length) noexcept { return model == Model::first_touch ? 0 : length - 1; }

Weigher::Weigher(ModelSpec model, std::vector<Channel> named) : model_(std::move(model)), named_(std::move(named)) {}

bool Weigher::is_named(Channel channel) const noexcept { return std::ranges::find(named_, channel) != named_.end(); }

void Weigher::weigh(std::span<const PathStep> path, std::span<double> credits) {
  switch (model_.kind) {
  case Model::last_touch:
  case Model::first_touch:
    std::ranges::fill(credits, 0);
    credits[winner(model_.kind, path.size())] = 1;
    return;
  case Model::last_non_direct: {
    std::ranges::fill(credits, 0);
    std::size_t at = path.size();
    while (at > 0 && is_named(path[at - 1].channel))
      --at;
    credits[(at > 0 ? at : path.size()) - 1] = 1;
    return;
  }
  case Model::linear:
    std::ranges::fill(credits, 1 / static_cast<double>(path.size()));
    return;
  case Model::linear_distinct:
    weigh_distinct(path, credits);
    return;
  case Model::position_based:
    weigh_position(credits);
    return;
  case Model::time_decay:
    weigh_decay(path, credits);
    return;
  case Model::w_shaped:
    weigh_w(path, credits);
    return;
  case Model::weighted:
    divide_by_sum(credits);
    return;
  }
}

void Weigher::weigh_distinct(std::span<const PathStep> path, std::span<double> credits) {
  double distinct = 0;
  for (const PathStep &step : path) {
    if (step.channel >= times_.size())
      times_.resize(std::size_t{step.channel} + 1);
    distinct += times_[step.channel]++ == 0;
  }
  for (std::size_t i = 0; i < path.size(); ++i)
    credits[i] = 1 / (distinct * times_[path[i].channel]);
  for (const PathStep &step : path)
    times_[step.channel] = 0;
}

void Weigher::weigh_position(std::span<double> credits) const noexcept {
  const std::size_t length = credits.size();
  const double middle = std::max(0.0, 1 - model_.first - model_.last);
  if (length == 1) {
    credits[0] = 1;
  } else if (length == 2) {
    credits[0] = model_.first + middle / 2;
    credits[1] = model_.last + middle / 2;
  } else {
    std::ranges::fill(credits, middle / static_cast<double>(length - 2));
    credits.front() = model_.first;
    credits.back() = model_.last;
  }
  if (model_.first + model_.last > 1) // by a little, which parse_model() lets pass
    divide_by_sum(credits);
}

void Weigher::weigh_decay(std::span<const PathStep> path, std::span<double> credits) const noexcept {
  const Micros newest = path.back().time;
  for (std::size_t i = 0; i < path.size(); ++i)
    credits[i] = std::exp2(-static_cast<double>(minus(newest, path[i].time)) / static_cast<double>(model_.half_life));
  divide_by_sum(credits);
}

void Weigher::weigh_w(std::span<const PathStep> path, std::span<double> credits) const noexcept {
  const std::size_t last = path.size() - 1;
  std::size_t milestone = path.size();
  for (std::size_t i = path.size(); i-- > 0;)
    if (is_named(path[i].channel))
      milestone = i;
  const bool any = milestone < path.size();
  const auto is_anchor = [&](std::size_t i) { return i == 0 || i == last || i == milestone; };
  std::size_t others = 0;
  for (std::size_t i = 0; i < path.size(); ++i)
    others += !is_anchor(i);
  const double rest = std::max(0.0, 1 - model_.first - model_.milestone - model_.last);
  for (std::size_t i = 0; i < path.size(); ++i)
    credits[i] = is_anchor(i) ? 0 : rest / static_cast<double>(others);
  credits[0] += model_.first;
  credits[last] += model_.last;
  if (any)
    credits[milestone] += model_.milestone;
  if (!std::ranges::any_of(credits, [](double credit) { return credit > 0; }))
    std::ranges::fill(credits, 1); // all that is credited is not there
  divide_by_sum(credits);
}

} // namespace attribution::core
