#include "config.hpp"

#include "errors.hpp"
#include "units.hpp"

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <sstream>

#include <toml++/toml.h>

namespace bridge {

namespace {

/// A table whose keys must all be asked for by the time that it is done with.
class Section {
public:
  Section(const toml::table &table, std::string name) : table_(table), name_(std::move(name)) {}

  [[noreturn]] void complain(const std::string &key, const std::string &what) const {
    const toml::node *node = table_.get(key);
    const auto line = (node != nullptr ? node->source() : table_.source()).begin.line;
    throw ConfigError("line " + std::to_string(line) + ": " + full(key) + ": " + what);
  }

  const toml::node *find(const std::string &key) {
    seen_.insert(key);
    return table_.get(key);
  }
  bool has(const std::string &key) const { return table_.contains(key); }

  /// Reads a value of type T into whatever `take` makes of it.
  template <typename T, typename Take> void with(const std::string &key, const char *kind, Take take) {
    const toml::node *node = find(key);
    if (node == nullptr)
      return;
    const auto value = node->value_exact<T>();
    if (!value)
      complain(key, std::string("must be ") + kind);
    try {
      take(*value);
    } catch (const ConfigError &error) {
      complain(key, error.what());
    }
  }
  void text(const std::string &key, std::string &to) {
    with<std::string>(key, "a string", [&](const std::string &value) { to = value; });
  }
  void secret(const std::string &key, std::string &to) {
    with<std::string>(key, "a string", [&](const std::string &value) { to = resolve_secret(value); });
  }
  void flag(const std::string &key, bool &to) {
    with<bool>(key, "true or false", [&](bool value) { to = value; });
  }
  void duration(const std::string &key, std::chrono::milliseconds &to) {
    with<std::string>(key, "a duration such as \"5s\"", [&](const std::string &value) { to = parse_duration(value); });
  }
  template <typename Integer> void integer(const std::string &key, Integer &to, std::int64_t least, std::int64_t most) {
    with<std::int64_t>(key, "a whole number", [&](std::int64_t value) {
      if (value < least || value > most)
        throw ConfigError("must be between " + std::to_string(least) + " and " + std::to_string(most));
      to = static_cast<Integer>(value);
    });
  }
  template <typename Enum>
  void choice(const std::string &key, Enum &to, const std::vector<std::pair<std::string, Enum>> &choices) {
    with<std::string>(key, "a string", [&](const std::string &value) {
      std::string names;
      for (const auto &[name, meaning] : choices) {
        if (name == value) {
          to = meaning;
          return;
        }
        names += (names.empty() ? "" : ", ") + name;
      }
      throw ConfigError("\"" + value + "\" is none of " + names);
    });
  }
  std::vector<std::string> texts(const std::string &key) {
    std::vector<std::string> out;
    const toml::node *node = find(key);
    if (node == nullptr)
      return out;
    if (const auto one = node->value_exact<std::string>())
      return {*one};
    const toml::array *array = node->as_array();
    if (array == nullptr)
      complain(key, "must be a string or an array of strings");
    for (const toml::node &element : *array) {
      const auto value = element.value_exact<std::string>();
      if (!value)
        complain(key, "must be a string or an array of strings");
      out.push_back(*value);
    }
    return out;
  }
  void section(const std::string &key, const std::function<void(Section &)> &read) {
    const toml::node *node = find(key);
    if (node == nullptr)
      return;
    if (!node->is_table())
      complain(key, "must be a table");
    Section inner(*node->as_table(), full(key));
    read(inner);
    inner.done();
  }
  template <typename Each> void each(Each take) {
    for (const auto &[key, node] : table_) {
      const std::string name(key.str());
      seen_.insert(name);
      take(name, node);
    }
  }
  /// A key that nobody asked for is a misspelt one.
  void done() const {
    for (const auto &[key, node] : table_)
      if (!seen_.contains(std::string(key.str())))
        complain(std::string(key.str()), "there is no such setting");
  }

private:
  std::string full(const std::string &key) const { return name_.empty() ? key : name_ + "." + key; }

  const toml::table &table_;
  std::string name_;
  std::set<std::string> seen_;
};

std::string text_of(const toml::node &node) {
  if (const auto text = node.value_exact<std::string>())
    return *text;
  if (const auto truth = node.value_exact<bool>())
    return *truth ? "true" : "false";
  std::ostringstream out;
  node.visit([&](const auto &value) {
    if constexpr (toml::is_number<decltype(value)>)
      out << value.get();
  });
  return out.str();
}

Path split(const std::string &text) {
  Path path;
  std::string name;
  std::istringstream parts(text);
  while (std::getline(parts, name, '.'))
    path.push_back(name);
  return path;
}

void read_times(Section &section, ColumnConfig &column) {
  const std::vector<std::string> formats = section.texts("time");
  if (formats.empty())
    return;
  column.iso = false;
  for (const std::string &format : formats) {
    if (format == "iso")
      column.iso = true;
    else if (format == "epoch_s")
      column.epochs.push_back(TimeUnit::s);
    else if (format == "epoch_ms")
      column.epochs.push_back(TimeUnit::ms);
    else if (format == "epoch_us")
      column.epochs.push_back(TimeUnit::us);
    else
      section.complain("time", "\"" + format + "\" is none of iso, epoch_s, epoch_ms, epoch_us");
  }
  if (column.epochs.size() > 1)
    section.complain("time", "a number can't be told to be of one unit or another: name one");
}

ColumnConfig read_column(Section &section, const std::string &name) {
  ColumnConfig column;
  column.name = name;
  int sources = 0;
  if (section.has("path")) {
    ++sources;
    column.path = section.texts("path");
    // One string is split at its dots; an array has the names as they are.
    if (section.find("path")->is_string())
      column.path = split(column.path.front());
    if (column.path.empty() || std::find(column.path.begin(), column.path.end(), "") != column.path.end())
      section.complain("path", "must have names, like \"device.id\"");
  }
  if (section.has("meta")) {
    ++sources;
    section.choice<Source>("meta", column.source,
                           {{"key", Source::key},
                            {"value", Source::value},
                            {"topic", Source::topic},
                            {"partition", Source::partition},
                            {"offset", Source::offset},
                            {"timestamp", Source::timestamp}});
  }
  if (section.has("header")) {
    ++sources;
    column.source = Source::header;
    section.text("header", column.header);
  }
  bool rest = false;
  section.flag("rest", rest);
  if (rest) {
    ++sources;
    column.source = Source::rest;
  }
  if (const toml::node *constant = section.find("constant"); constant != nullptr) {
    ++sources;
    column.source = Source::constant;
    column.default_text = text_of(*constant);
  }
  if (sources > 1)
    throw ConfigError("column " + name + ": must have one of path, meta, header, rest, constant");
  if (sources == 0)
    column.path = {name};
  if (const toml::node *value = section.find("default"); value != nullptr) {
    if (column.source == Source::constant)
      section.complain("default", "a constant needs none");
    column.default_text = text_of(*value);
  }
  section.flag("required", column.required);
  section.choice<OnError>(
      "on_error", column.on_error,
      {{"dead_letter", OnError::dead_letter}, {"null", OnError::null}, {"default", OnError::default_value}});
  section.choice<OnNul>("nul", column.on_nul, {{"dead_letter", OnNul::dead_letter}, {"strip", OnNul::strip}});
  read_times(section, column);
  section.with<std::string>("zone", "a string", [&](const std::string &zone) { column.zone = Zone(zone); });
  if (column.on_error == OnError::default_value && !column.default_text)
    section.complain("on_error", "there is no default");
  if (column.required && column.on_error == OnError::null)
    section.complain("on_error", "a required field can't be null");
  return column;
}

PipelineConfig read_pipeline(Section &section, const Config &config) {
  PipelineConfig pipeline;
  section.text("name", pipeline.name);
  if (pipeline.name.empty())
    section.complain("name", "a pipeline must have a name");
  pipeline.group = config.group + "-" + pipeline.name;
  section.text("group", pipeline.group);
  pipeline.topics = section.texts("topics");
  if (pipeline.topics.empty())
    section.complain("topics", "a pipeline must have topics");
  section.text("table", pipeline.table);
  if (pipeline.table.empty())
    section.complain("table", "a pipeline must have a table");
  section.text("format", pipeline.format);
  section.with<std::string>("start", "a string", [&](const std::string &start) {
    if (start == "earliest")
      pipeline.start.policy = Start::Policy::earliest;
    else if (start == "latest")
      pipeline.start.policy = Start::Policy::latest;
    else if (start == "group")
      pipeline.start.policy = Start::Policy::group;
    else if (const auto time = parse_iso_time(start, Zone())) {
      pipeline.start.policy = Start::Policy::timestamp;
      pipeline.start.unix_ms = (*time + kMicrosTo2000) / 1000;
    } else
      throw ConfigError("\"" + start +
                        "\" is none of earliest, latest, group, nor a time such as 2026-01-31T12:00:00Z");
  });
  section.choice<OutOfRange>(
      "out_of_range", pipeline.out_of_range,
      {{"fail", OutOfRange::fail}, {"earliest", OutOfRange::earliest}, {"latest", OutOfRange::latest}});
  section.choice<Tombstones>(
      "tombstones", pipeline.tombstones,
      {{"skip", Tombstones::skip}, {"dead_letter", Tombstones::dead_letter}, {"row", Tombstones::row}});
  section.integer("workers", pipeline.workers, 1, 64);
  section.section("batch", [&](Section &batch) {
    batch.integer("rows", pipeline.batch_rows, 1, 1'000'000);
    batch.with<std::string>("bytes", "a size such as \"16MiB\"", [&](const std::string &size) {
      pipeline.batch_bytes = parse_size(size);
      if (pipeline.batch_bytes < (64 << 10) || pipeline.batch_bytes > (1 << 30))
        throw ConfigError("must be between 64KiB and 1GiB");
    });
    batch.duration("age", pipeline.batch_age);
  });
  section.section("errors", [&](Section &errors) {
    errors.with<double>("max_ratio", "a number with a point", [&](double ratio) {
      if (!(ratio >= 0 && ratio <= 1))
        throw ConfigError("must be between 0.0 and 1.0");
      pipeline.most_dead_ratio = ratio;
    });
    errors.integer("window", pipeline.dead_window, 1, 1'000'000'000);
    errors.integer("max_consecutive", pipeline.most_dead_in_a_row, 1, 1'000'000'000);
  });
  section.section("columns", [&](Section &columns) {
    columns.each([&](const std::string &name, const toml::node &node) {
      if (!node.is_table())
        columns.complain(name, "must be a table, like { path = \"device.id\" }");
      Section column(*node.as_table(), "column " + name);
      pipeline.columns.push_back(read_column(column, name));
      column.done();
    });
  });
  if (pipeline.columns.empty())
    section.complain("columns", "a pipeline must have columns");
  return pipeline;
}

void read_properties(Section &section, Config &config) {
  section.each([&](const std::string &key, const toml::node &node) {
    if (node.is_table() || node.is_array())
      section.complain(key, "must be a string, a number, true or false");
    try {
      config.kafka_properties[key] = resolve_secret(text_of(node));
    } catch (const ConfigError &error) {
      section.complain(key, error.what());
    }
  });
}

void read_top(Section &top, Config &config) {
  top.section("kafka", [&](Section &kafka) {
    kafka.secret("brokers", config.brokers);
    kafka.text("group", config.group);
    kafka.section("properties", [&](Section &properties) { read_properties(properties, config); });
  });
  top.section("postgres", [&](Section &postgres) {
    postgres.secret("dsn", config.dsn);
    postgres.duration("connect_timeout", config.connect_timeout);
    postgres.duration("statement_timeout", config.statement_timeout);
  });
  top.section("http", [&](Section &http) { http.text("listen", config.listen); });
  top.section("log", [&](Section &log) {
    log.choice<std::string>("level", config.log_level,
                            {{"debug", "debug"}, {"info", "info"}, {"warning", "warning"}, {"error", "error"}});
  });
  top.section("bridge", [&](Section &bridge) {
    bridge.choice<bool>("on_fault", config.exit_on_fault, {{"retry", false}, {"exit", true}});
    bridge.duration("retry_min", config.retry_min);
    bridge.duration("retry_max", config.retry_max);
    bridge.duration("shutdown_timeout", config.shutdown_timeout);
  });
  if (config.brokers.empty())
    throw ConfigError("kafka.brokers is not set");
  const toml::node *pipelines = top.find("pipeline");
  if (pipelines == nullptr || !pipelines->is_array_of_tables())
    throw ConfigError("there is no [[pipeline]]");
  std::set<std::string> names;
  for (const toml::node &node : *pipelines->as_array()) {
    Section section(*node.as_table(), "pipeline");
    config.pipelines.push_back(read_pipeline(section, config));
    section.done();
    if (!names.insert(config.pipelines.back().name).second)
      section.complain("name", "there are two pipelines \"" + config.pipelines.back().name + "\"");
  }
}

} // namespace

Config parse_config(const std::string &text, const std::string &name) {
  Config config;
  try {
    const toml::table table = toml::parse(text, name);
    Section top(table, "");
    read_top(top, config);
    top.done();
  } catch (const toml::parse_error &error) {
    throw ConfigError(name + ": line " + std::to_string(error.source().begin.line) + ": " +
                      std::string(error.description()));
  } catch (const ConfigError &error) {
    throw ConfigError(name + ": " + error.what());
  }
  return config;
}

Config read_config(const std::string &path) {
  std::ifstream file(path);
  if (!file)
    throw ConfigError(path + ": can't be read");
  return parse_config(std::string(std::istreambuf_iterator<char>(file), {}), path);
}

} // namespace bridge
