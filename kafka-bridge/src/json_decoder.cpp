#include "json_decoder.hpp"

#include "errors.hpp"
#include "json_text.hpp"

#include <cstring>
#include <functional>
#include <map>
#include <unordered_map>

#include <simdjson.h>

namespace bridge {

namespace ondemand = simdjson::ondemand;

namespace {

static_assert(Decoder::kPadding >= simdjson::SIMDJSON_PADDING);

struct Hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};

/// A name that some path goes through.
struct Node {
  std::unordered_map<std::string, std::unique_ptr<Node>, Hash, std::equal_to<>> children;
  std::vector<std::size_t> fields;
  /// The names that the last object had, in their order, as the next one is likely to have them; those that no path
  /// goes through have no node.
  struct Seen {
    std::string name;
    Node *child = nullptr;
  };
  std::vector<Seen> seen;
};

/// Of an object with more names than that, and of longer names, the others are looked up.
constexpr std::size_t kMostSeen = 256;
constexpr std::size_t kLongestSeen = 64;

[[noreturn]] void reject(simdjson::error_code error) {
  if (error == simdjson::UTF8_ERROR)
    throw Rejected(Stage::decode, "22021", "the message is not valid UTF-8");
  throw Rejected(Stage::decode, "22P02",
                 std::string("the message is not valid JSON: ") + simdjson::error_message(error));
}

template <typename T> T get(simdjson::simdjson_result<T> result) {
  T value;
  if (const auto error = std::move(result).get(value))
    reject(error);
  return value;
}

std::string_view trimmed(std::string_view text) {
  const auto end = text.find_last_not_of(" \t\r\n");
  return text.substr(0, end == std::string_view::npos ? 0 : end + 1);
}

} // namespace

struct JsonDecoder::Walk {
  Node root;
  std::size_t count = 0;
  bool rest = false;
  ondemand::parser parser;
  /// The fields that no path names, as an object.
  std::string others;
  std::vector<Field> *found = nullptr;

  void forget(const Node &node) {
    for (const std::size_t field : node.fields)
      (*found)[field] = {};
    for (const auto &[name, child] : node.children)
      forget(*child);
  }

  void put(const Node &node, const Field &field) {
    for (const std::size_t index : node.fields)
      (*found)[index] = field;
  }

  void walk_object(ondemand::object object, Node &node) {
    std::size_t place = 0;
    for (auto result : object) {
      ondemand::field field;
      if (const auto error = std::move(result).get(field))
        reject(error);
      const auto [key, child] = find(field, node, place++);
      if (child != nullptr) {
        forget_if_seen(*child);
        walk_value(field.value(), *child, key);
      } else if (rest) {
        begin_other(key);
        others += raw_of(field.value());
      }
    }
  }

  /// The name of a field, and its node if some path goes through it.
  std::pair<std::string_view, Node *> find(ondemand::field &field, Node &node, std::size_t place) {
    const char *raw = field.key().raw();
    const auto left = static_cast<std::size_t>(end_ - raw);
    if (place < node.seen.size()) {
      const Node::Seen &seen = node.seen[place];
      if (left > seen.name.size() && raw[seen.name.size()] == '"' &&
          std::memcmp(raw, seen.name.data(), seen.name.size()) == 0)
        return {seen.name, seen.child};
    }
    // A key that escapes nothing, which is almost every one, ends at the first quote.
    const auto *quote = static_cast<const char *>(std::memchr(raw, '"', left));
    if (quote == nullptr)
      reject(simdjson::STRING_ERROR);
    std::string_view key(raw, static_cast<std::size_t>(quote - raw));
    const bool escapes = key.find('\\') != std::string_view::npos;
    if (escapes)
      key = get(field.unescaped_key());
    const auto found = node.children.find(key);
    Node *child = found == node.children.end() ? nullptr : found->second.get();
    if (!escapes && place < kMostSeen && key.size() <= kLongestSeen) {
      if (place >= node.seen.size())
        node.seen.resize(place + 1);
      node.seen[place].name.assign(key);
      node.seen[place].child = child;
    }
    return {key, child};
  }

  /// Of a name that comes again, nothing of the earlier value may be left.
  void forget_if_seen(const Node &node) {
    if (!node.children.empty())
      forget(node);
  }

  void begin_other(std::string_view key) {
    if (others.back() != '{')
      others += ',';
    append_json_string(others, key);
    others += ':';
  }

  static std::string_view raw_of(ondemand::value &value) {
    const std::string_view token = value.raw_json_token();
    if (token.empty())
      reject(simdjson::TAPE_ERROR);
    if (token[0] == '{') {
      auto object = get(value.get_object());
      return trimmed(get(object.raw_json()));
    }
    if (token[0] == '[') {
      auto array = get(value.get_array());
      return trimmed(get(array.raw_json()));
    }
    return trimmed(token);
  }

  void walk_value(ondemand::value &value, Node &node, std::string_view key) {
    const std::string_view token = value.raw_json_token();
    if (token.empty())
      reject(simdjson::TAPE_ERROR);
    switch (token[0]) {
    case '{': {
      auto object = get(value.get_object());
      if (!node.fields.empty()) {
        const std::string_view raw = trimmed(get(object.raw_json()));
        put(node, {Kind::json, false, raw, raw});
        if (node.children.empty())
          return;
        if (const auto error = object.reset().error())
          reject(error);
      }
      const std::size_t mark = others.size();
      if (rest) {
        begin_other(key);
        others += '{';
      }
      walk_object(object, node);
      if (rest) {
        // What the column of the whole object has is in no need of another.
        if (others.back() == '{' || !node.fields.empty())
          others.resize(mark);
        else
          others += '}';
      }
      return;
    }
    case '[': {
      auto array = get(value.get_array());
      const std::string_view raw = trimmed(get(array.raw_json()));
      put(node, {Kind::json, false, raw, raw});
      return;
    }
    case '"': {
      const std::string_view raw = trimmed(token);
      put(node, {Kind::string, false, get(value.get_string()), raw});
      return;
    }
    case 't':
    case 'f': {
      const bool truth = get(value.get_bool());
      put(node, {Kind::boolean, truth, truth ? "true" : "false", truth ? "true" : "false"});
      return;
    }
    case 'n': {
      if (trimmed(token) != "null")
        reject(simdjson::N_ATOM_ERROR);
      put(node, {Kind::null, false, {}, "null"});
      return;
    }
    default: {
      const std::string_view digits = trimmed(token);
      if (!is_json_number(digits))
        reject(simdjson::NUMBER_ERROR);
      put(node, {Kind::number, false, digits, digits});
    }
    }
  }

  void decode(std::string_view payload, std::vector<Field> &fields) {
    fields.assign(count + (rest ? 1 : 0), Field{});
    found = &fields;
    // Of Microsoft's tools.
    if (payload.starts_with("\xEF\xBB\xBF"))
      payload.remove_prefix(3);
    if (payload.empty())
      throw Rejected(Stage::decode, "22P02", "the message is empty");
    end_ = payload.data() + payload.size();
    ondemand::document document;
    if (const auto error =
            parser.iterate(payload.data(), payload.size(), payload.size() + simdjson::SIMDJSON_PADDING).get(document))
      reject(error);
    ondemand::object object;
    if (const auto error = document.get_object().get(object)) {
      if (error == simdjson::INCORRECT_TYPE)
        throw Rejected(Stage::decode, "22P02", "the message is not a JSON object");
      reject(error);
    }
    others = "{";
    walk_object(object, root);
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
      throw Rejected(Stage::decode, "22P02", "something follows the JSON object");
    if (rest && others.size() > 1) {
      others += '}';
      fields.back() = {Kind::json, false, others, others};
    }
  }

private:
  const char *end_ = nullptr;
};

JsonDecoder::JsonDecoder(const std::vector<Path> &paths, bool rest) : walk_(std::make_unique<Walk>()) {
  walk_->count = paths.size();
  walk_->rest = rest;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    Node *node = &walk_->root;
    for (const std::string &name : paths[i]) {
      auto &child = node->children[name];
      if (!child)
        child = std::make_unique<Node>();
      node = child.get();
    }
    node->fields.push_back(i);
  }
}

JsonDecoder::~JsonDecoder() = default;

void JsonDecoder::decode(std::string_view payload, std::vector<Field> &fields) { walk_->decode(payload, fields); }

} // namespace bridge
