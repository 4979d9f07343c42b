#include "core/model_text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

namespace attribution::core {

namespace {

constexpr std::string_view kSpace = " \t\n";

constexpr struct {
  std::string_view name;
  Model model;
  std::string_view usage;
} kModels[] = {
    {"last_touch", Model::last_touch, "last_touch"},
    {"first_touch", Model::first_touch, "first_touch"},
    {"last_non_direct", Model::last_non_direct, "last_non_direct(channel, ..)"},
    {"linear", Model::linear, "linear"},
    {"linear_distinct", Model::linear_distinct, "linear_distinct"},
    {"position_based", Model::position_based, "position_based(first, last), such as position_based(0.4, 0.4)"},
    {"time_decay", Model::time_decay, "time_decay(half-life), such as time_decay(7 days)"},
    {"w_shaped", Model::w_shaped, "w_shaped(channel, first, milestone, last), such as w_shaped(lead, 0.3, 0.3, 0.3)"},
    {"weighted", Model::weighted, "weighted(function), such as weighted(shop.weight)"},
};

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

std::string in_quotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

/// The settings between parentheses. One in single quotes may hold commas; '' in it is a quote.
std::optional<std::vector<std::string>> split(std::string_view text) {
  std::vector<std::string> settings;
  text = trim(text);
  if (text.empty())
    return settings;
  while (true) {
    std::string setting;
    if (text.starts_with('\'')) {
      std::size_t at = 1;
      for (; at < text.size(); ++at) {
        if (text[at] == '\'' && !text.substr(at + 1).starts_with('\''))
          break;
        at += text[at] == '\'';
        setting += text[at];
      }
      if (at >= text.size())
        return std::nullopt;
      text = trim(text.substr(at + 1));
      if (!text.empty() && text.front() != ',')
        return std::nullopt;
    } else {
      const std::string_view part = text.substr(0, text.find(','));
      setting = trim(part);
      if (setting.empty())
        return std::nullopt;
      text.remove_prefix(part.size());
    }
    settings.push_back(std::move(setting));
    if (text.empty())
      return settings;
    text = trim(text.substr(1));
  }
}

std::optional<double> number(std::string_view text, std::string_view *rest = nullptr) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value))
    return std::nullopt;
  const std::string_view left = trim(text.substr(static_cast<std::size_t>(end - text.data())));
  if (rest != nullptr)
    *rest = left;
  else if (!left.empty())
    return std::nullopt;
  return value;
}

std::optional<Micros> duration(std::string_view text) {
  constexpr double kSecond = 1e6;
  constexpr double kMost = 36500.0 * 86400 * kSecond;
  static constexpr struct {
    std::string_view name;
    double micros;
  } kUnits[] = {{"second", kSecond},
                {"minute", 60 * kSecond},
                {"hour", 3600 * kSecond},
                {"day", 86400 * kSecond},
                {"week", 7 * 86400 * kSecond}};
  std::string_view unit;
  const std::optional<double> value = number(text, &unit);
  if (!value)
    return std::nullopt;
  if (unit.ends_with('s'))
    unit.remove_suffix(1);
  for (const auto &[name, micros] : kUnits)
    if (unit == name) {
      const double length = std::round(*value * micros);
      return length >= 1 && length <= kMost ? std::optional(static_cast<Micros>(length)) : std::nullopt;
    }
  return std::nullopt;
}

/// Reads shares into their places; each is at least 0, and together they are at most 1.
bool read_shares(const std::vector<std::string> &settings, std::size_t from, std::initializer_list<double *> places) {
  constexpr double kRounding = 1e-9; // 0.3 + 0.6 + 0.1
  double sum = 0;
  for (double *place : places) {
    const std::optional<double> share = number(settings[from++]);
    if (!share || *share < 0)
      return false;
    *place = *share;
    sum += *share;
  }
  return sum <= 1 + kRounding;
}

bool read_settings(ModelSpec &model, std::vector<std::string> settings) {
  switch (model.kind) {
  case Model::last_non_direct:
    if (!settings.empty())
      model.channels = std::move(settings);
    return true;
  case Model::position_based:
    return settings.empty() || (settings.size() == 2 && read_shares(settings, 0, {&model.first, &model.last}));
  case Model::time_decay:
    if (settings.size() == 1) {
      const std::optional<Micros> half_life = duration(settings[0]);
      model.half_life = half_life.value_or(0);
    }
    return settings.size() <= 1 && model.half_life > 0;
  case Model::w_shaped:
    if (settings.empty() || (settings.size() != 1 && settings.size() != 4))
      return false;
    model.channels = {settings[0]};
    return settings.size() == 1 || read_shares(settings, 1, {&model.first, &model.milestone, &model.last});
  case Model::weighted:
    if (settings.size() != 1)
      return false;
    model.function = std::move(settings[0]);
    return true;
  default:
    return settings.empty();
  }
}

} // namespace

ModelSpec parse_model(std::string_view text) {
  text = trim(text);
  const std::string_view name = trim(text.substr(0, text.find('(')));
  for (const auto &known : kModels) {
    if (known.name != name)
      continue;
    ModelSpec model(known.model);
    if (known.model == Model::last_non_direct)
      model.channels = {"direct"};
    if (known.model == Model::w_shaped)
      model.first = model.last = 0.3;
    std::optional<std::vector<std::string>> settings(std::in_place);
    if (const std::size_t open = text.find('('); open != std::string_view::npos)
      settings = text.ends_with(')') ? split(text.substr(open + 1, text.size() - open - 2)) : std::nullopt;
    if (!settings || !read_settings(model, std::move(*settings)))
      throw BadModel("model " + in_quotes(text) + " has settings that make no model",
                     "Write " + std::string(known.usage) +
                         (known.model == Model::position_based || known.model == Model::w_shaped
                              ? "; shares are at least 0, and together at most 1."
                              : "."));
    return model;
  }
  std::string hint = "A model is ";
  for (const auto &known : kModels)
    hint += (&known == std::begin(kModels)     ? ""
             : &known == std::end(kModels) - 1 ? " or "
                                               : ", ") +
            std::string(known.name);
  throw BadModel("unknown model " + in_quotes(text), hint + ".");
}

} // namespace attribution::core
