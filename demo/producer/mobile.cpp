// Ads are shown, some are clicked, some of those who saw or clicked one install the app, minutes later; others install
// it without. Fields are the columns of attribution.create_mobile(); times are ms since 1970.

#include "chance.hpp"
#include "json.hpp"
#include "stream.hpp"

#include <queue>

namespace producer {

namespace {

const std::vector<std::string> kStores = {"com.example.castles", "com.example.bubbles", "id1000000001"};
const std::vector<std::string> kNetworks = {"Aster", "Birch", "Cobalt", "Dune"};
const std::vector<std::string> kFormats = {"video 30s", "playable", "banner", "interstitial"};
constexpr double kClicks = 0.25;
constexpr double kOrganic = 0.01;
constexpr double kOpens = 0.04;
constexpr double kPurchases = 0.01;
constexpr double kInstallsAfterClick = 0.15;
constexpr double kInstallsAfterImpression = 0.01;
constexpr double kHasClickId = 0.5;
constexpr double kOptedOut = 0.25;
constexpr std::int64_t kSoonest = 5'000;
constexpr std::int64_t kLatest = 600'000;

struct Device {
  std::string store;
  std::optional<std::string> ifa;
  std::string ip;
  std::string user_agent;
  std::string instance;
};

class Mobile : public Stream {
public:
  Mobile(std::uint64_t seed, std::int64_t devices) : chance_(seed), devices_(static_cast<std::size_t>(devices)) {
    for (Device &device : devices_) {
      device.store = chance_.pick(kStores);
      if (!chance_.happens(kOptedOut))
        device.ifa = chance_.uuid();
      device.ip = "10." + std::to_string(chance_.below(256));
      device.ip += "." + std::to_string(chance_.below(256));
      device.ip += "." + std::to_string(chance_.below(256));
      device.user_agent = "Mozilla/5.0 (Linux; Android 14; Handset " + std::to_string(chance_.below(40)) +
                          ") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124 Mobile";
      device.instance = chance_.uuid();
    }
  }

  std::vector<std::string> topics() const override { return {"clicks", "impressions", "events"}; }

  Message next(std::int64_t unix_ms) override {
    if (!installs_.empty() && installs_.top().unix_ms <= unix_ms) {
      const Install install = installs_.top();
      installs_.pop();
      return event("install", devices_[install.device], install.click_id, unix_ms);
    }
    const auto number = static_cast<std::size_t>(chance_.below(static_cast<std::int64_t>(devices_.size())));
    const Device &device = devices_[number];
    if (chance_.happens(kOrganic))
      return event("install", device, std::nullopt, unix_ms);
    if (chance_.happens(kOpens))
      return event("app_open", device, std::nullopt, unix_ms);
    if (chance_.happens(kPurchases))
      return event("purchase", device, std::nullopt, unix_ms);
    const bool is_click = chance_.happens(kClicks);
    std::optional<std::string> click_id;
    if (is_click && chance_.happens(kHasClickId))
      click_id = chance_.uuid();
    if (chance_.happens(is_click ? kInstallsAfterClick : kInstallsAfterImpression))
      installs_.push({unix_ms + chance_.between(kSoonest, kLatest), number, click_id});
    return touch(is_click ? "clicks" : "impressions", device, click_id, unix_ms);
  }

private:
  struct Install {
    std::int64_t unix_ms;
    std::size_t device;
    std::optional<std::string> click_id;
    bool operator>(const Install &other) const { return unix_ms > other.unix_ms; }
  };

  Message touch(const char *topic, const Device &device, const std::optional<std::string> &click_id,
                std::int64_t unix_ms) {
    const std::int64_t campaign = chance_.below(20);
    const std::int64_t ad = campaign * 4 + chance_.below(4);
    Json json;
    json.text("link_uid", chance_.uuid())
        .number("event_time", unix_ms)
        .text("store_id", device.store)
        .text("network", chance_.pick(kNetworks))
        .text("campaign_name", "campaign " + std::to_string(campaign))
        .text("campaign_id", std::to_string(campaign))
        .text("ad_name", kFormats[static_cast<std::size_t>(ad % 4)] + " " + std::to_string(ad))
        .text("ad_id", std::to_string(ad))
        .text_or_null("ifa", device.ifa)
        .text("client_ip", device.ip)
        .text("user_agent", device.user_agent)
        .text_or_null("click_id", click_id);
    place(json, unix_ms);
    return {topic, key(device), std::move(json).done(), unix_ms};
  }

  Message event(const char *name, const Device &device, const std::optional<std::string> &click_id,
                std::int64_t unix_ms) {
    Json json;
    json.text("event_uid", chance_.uuid())
        .number("event_time", unix_ms)
        .text("store_id", device.store)
        .text("event_id", name)
        .text_or_null("ifa", device.ifa)
        .text("oa_uid", device.instance)
        .text("client_ip", device.ip)
        .text("user_agent", device.user_agent)
        .text_or_null("click_id", click_id);
    if (std::string_view(name) == "purchase")
      json.hundredths("revenue", chance_.between(99, 4999)).text("currency", "USD");
    place(json, unix_ms);
    return {"events", key(device), std::move(json).done(), unix_ms};
  }

  void place(Json &json, std::int64_t unix_ms) {
    json.text("country_iso", "US").text("state_iso", "CA").text("city_name", "Oakland");
    // A string, as the collectors of such events write it.
    json.text("received_at", std::to_string(unix_ms + chance_.between(40, 900)));
  }

  /// What is of one device stays in order.
  static std::string key(const Device &device) { return device.instance; }

  Chance chance_;
  std::vector<Device> devices_;
  std::priority_queue<Install, std::vector<Install>, std::greater<>> installs_;
};

} // namespace

std::unique_ptr<Stream> make_mobile(std::uint64_t seed, std::int64_t devices) {
  return std::make_unique<Mobile>(seed, devices);
}

} // namespace producer
