#include "core/path_transform.hpp"

#include "core/channels.hpp"

#include <algorithm>
#include <charconv>

namespace attribution::core {

namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

void keep_first_of_each(std::vector<NamedStep> &path, bool numbers) {
  Channels channels;
  std::vector<unsigned> times; // by channel
  std::vector<NamedStep> kept;
  for (NamedStep &step : path) {
    const Channel channel = channels.number(step.channel);
    times.resize(channels.size());
    if (times[channel]++ == 0)
      kept.push_back(std::move(step));
  }
  for (std::size_t i = 0; numbers && i < kept.size(); ++i) // channels have their numbers as they come
    kept[i].channel += "(" + std::to_string(times[i]) + ")";
  path = std::move(kept);
}

} // namespace

void transform(std::vector<NamedStep> &path, std::string_view transform) {
  const std::string_view text = trim(transform);
  const std::size_t open = text.find('(');
  const bool has_setting = open != std::string_view::npos && text.ends_with(')');
  const std::string_view name = has_setting ? trim(text.substr(0, open)) : text;
  const std::string_view setting = has_setting ? trim(text.substr(open + 1, text.size() - open - 2)) : "";
  const auto is_it = [&](const NamedStep &step) { return step.channel == setting; };

  if (name == "unique" && !has_setting)
    return;
  if (name == "exposure" && !has_setting) {
    const auto end = std::unique(path.begin(), path.end(),
                                 [](const NamedStep &a, const NamedStep &b) { return a.channel == b.channel; });
    path.erase(end, path.end());
    return;
  }
  if ((name == "first" || name == "frequency") && !has_setting) {
    keep_first_of_each(path, name == "frequency");
    return;
  }
  if (name == "remove_if_not_all" && !setting.empty()) {
    if (!std::ranges::all_of(path, is_it))
      std::erase_if(path, is_it);
    return;
  }
  if (name == "remove_if_last_and_not_all" && !setting.empty()) {
    if (!std::ranges::all_of(path, is_it))
      while (is_it(path.back()))
        path.pop_back();
    return;
  }
  std::size_t most = 0;
  if (name == "trim_long" &&
      std::from_chars(setting.data(), setting.data() + setting.size(), most).ptr == setting.data() + setting.size() &&
      most > 0) {
    if (path.size() > most)
      path.erase(path.begin(), path.end() - static_cast<std::ptrdiff_t>(most));
    return;
  }
  throw BadTransform{"unknown transform \"" + std::string(text) + "\"",
                     "A transform is unique, exposure, first, frequency, remove_if_not_all(channel), "
                     "remove_if_last_and_not_all(channel) or trim_long(steps)."};
}

} // namespace attribution::core
