#include "decoder.hpp"

#include "errors.hpp"
#include "json_decoder.hpp"

namespace bridge {

namespace {

/// For pipelines that keep the payload as it is.
class RawDecoder final : public Decoder {
public:
  void decode(std::string_view, std::vector<Field> &fields) override { fields.clear(); }
};

} // namespace

std::unique_ptr<Decoder> make_decoder(const std::string &format, const std::vector<Path> &paths, bool rest) {
  if (format == "json")
    return std::make_unique<JsonDecoder>(paths, rest);
  if (format == "raw") {
    if (!paths.empty() || rest)
      throw ConfigError("format \"raw\" has no fields: a column may be of the key, the value, a header or metadata");
    return std::make_unique<RawDecoder>();
  }
  throw ConfigError("format \"" + format + "\" is not known; there are json and raw");
}

} // namespace bridge
