// JSON, by simdjson's on-demand parser: a message is walked once, and what no column asks for is stepped over.
#pragma once

#include "decoder.hpp"

#include <memory>

namespace bridge {

class JsonDecoder final : public Decoder {
public:
  JsonDecoder(const std::vector<Path> &paths, bool rest);
  ~JsonDecoder() override;

  /// Of a name that comes twice the last one counts, as in jsonb. What is stepped over is checked for balance and for
  /// UTF-8, not for the spelling of its values.
  void decode(std::string_view payload, std::vector<Field> &fields) override;

private:
  struct Walk;
  std::unique_ptr<Walk> walk_;
};

} // namespace bridge
