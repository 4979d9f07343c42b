// Writes the traffic of a mid-size game publisher, made up but shaped like the real thing, as its devices and networks
// send it: messages of the topics clicks, impressions and events, in the lines that demo/producer takes
// (producer/lines.hpp).
//
// The week is 2026-01-05 .. 2026-01-11 (UTC). Clicks reach nine days further back and impressions one, so that every
// install of the week has the whole of its lookback window. Day after day, in the order in which messages reach us.
//
// The same bytes on every machine: a fixed seed, std::mt19937_64 (whose output the standard fixes), distributions of
// our own in integer arithmetic. No std::*_distribution and no libm, whose results differ between implementations.

#include "json.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

// ---------------------------------------------------------------------------------------------------------------------
// Time: microseconds since 1970-01-01 00:00 UTC.

using Time = std::int64_t;

constexpr Time kMillisecond = 1'000;
constexpr Time kSecond = 1'000 * kMillisecond;
constexpr Time kMinute = 60 * kSecond;
constexpr Time kHour = 60 * kMinute;
constexpr Time kDay = 24 * kHour;

constexpr Time kWeekStart = 20458 * kDay; // 2026-01-05
constexpr int kDays = 7;
constexpr Time kWeekEnd = kWeekStart + kDays * kDay;
constexpr int kClickDaysBefore = 9;
constexpr int kImpressionDaysBefore = 1;

// ---------------------------------------------------------------------------------------------------------------------
// Chance

class Random {
public:
  explicit Random(std::uint64_t seed) : engine_(seed * 0x9E3779B97F4A7C15u + 20260105u) {}

  std::uint64_t bits() { return engine_(); }

  // 0 <= result < n. The remainder's bias is n / 2^64.
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(n)); }

  std::int64_t between(std::int64_t low, std::int64_t high) { return low + below(high - low + 1); }

  bool chance(int per_thousand) { return below(1000) < per_thousand; }

  // Log-uniform in steps: each doubling of low is as likely as any other, and within one all values are. 0 < low <
  // high.
  std::int64_t log_between(std::int64_t low, std::int64_t high) {
    int octaves = 0;
    while ((low << (octaves + 1)) <= high)
      ++octaves;
    for (;;) {
      const std::int64_t floor = low << below(octaves + 1);
      const std::int64_t value = floor + below(floor);
      if (value <= high)
        return value;
    }
  }

  // An index, with probability in proportion to its weight.
  template <std::size_t N> std::size_t weighted(const std::array<int, N> &weights) {
    std::int64_t total = 0;
    for (int weight : weights)
      total += weight;
    std::int64_t left = below(total);
    std::size_t i = 0;
    while (left >= weights[i])
      left -= weights[i++];
    return i;
  }

private:
  std::mt19937_64 engine_;
};

// Zipf's law: rank r (from 0) has weight 1 / (r + 1).
class Zipf {
public:
  explicit Zipf(int ranks) {
    std::int64_t sum = 0;
    for (int rank = 1; rank <= ranks; ++rank)
      cumulative_.push_back(sum += 1'000'000'000 / rank);
  }

  int operator()(Random &random) const {
    const std::int64_t point = random.below(cumulative_.back());
    return static_cast<int>(std::upper_bound(cumulative_.begin(), cumulative_.end(), point) - cumulative_.begin());
  }

private:
  std::vector<std::int64_t> cumulative_;
};

struct Uuid {
  std::uint64_t high = 0, low = 0; // all zero: the advertising id of a user who opted out
  bool operator==(const Uuid &) const = default;
};

Uuid random_uuid(Random &random) {
  return {.high = (random.bits() & ~std::uint64_t{0xF000}) | 0x4000,
          .low = (random.bits() & ~(std::uint64_t{3} << 62)) | (std::uint64_t{2} << 62)};
}

// ---------------------------------------------------------------------------------------------------------------------
// The world: apps, networks, places, devices

struct App {
  const char *store_id;
  bool ios;
};
constexpr std::array<App, 3> kApps = {
    {{"com.example.castles", false}, {"com.example.bubbles", false}, {"id1000000001", true}}};
constexpr std::array<int, 3> kAppWeights = {50, 20, 30};

// What a network sends along, in per mille: its own click id (which the store's referrer repeats), the advertising id.
struct Network {
  const char *name;
  int click_id, ifa;
};
constexpr std::array<Network, 6> kNetworks = {{{"Aster", 850, 900},
                                               {"Birch", 0, 950},
                                               {"Cobalt", 300, 900},
                                               {"Dune", 700, 500},
                                               {"Ember", 0, 850},
                                               {"Fjord", 200, 300}}};
// By impressions, and by clicks: networks differ in click-through rate.
constexpr std::array<int, 6> kImpressionWeights = {22, 30, 24, 6, 15, 3};
constexpr std::array<int, 6> kClickWeights = {30, 20, 14, 18, 8, 10};
constexpr int kCampaignsPerNetwork = 12;
constexpr int kAdsPerCampaign = 4;
constexpr std::array<const char *, 6> kCampaignThemes = {"winter sale", "new heroes", "puzzle fans",
                                                         "come back",   "level 100",  "launch"};
constexpr std::array<const char *, 4> kAdFormats = {"video 30s", "playable", "banner", "interstitial"};

struct Place {
  const char *country, *state, *city;
};
constexpr std::array<Place, 14> kPlaces = {{{"US", "CA", "Oakland"},
                                            {"US", "TX", "Austin"},
                                            {"US", "NY", "Albany"},
                                            {"BR", "SP", "Campinas"},
                                            {"IN", "KA", "Mysuru"},
                                            {"DE", "BY", "Augsburg"},
                                            {"GB", "ENG", "Leeds"},
                                            {"JP", "27", "Osaka"},
                                            {"FR", "ARA", "Lyon"},
                                            {"MX", "JAL", "Zapopan"},
                                            {"ID", "JB", "Bandung"},
                                            {"TR", "35", "Izmir"},
                                            {"PL", "MA", "Krakow"},
                                            {"KR", "26", "Busan"}}};
constexpr std::array<int, 14> kPlaceWeights = {12, 9, 6, 11, 12, 6, 6, 7, 5, 6, 8, 4, 3, 5};

// In hundredths of the mean: few play at four in the morning. One curve for the world, as most players live in few
// zones.
constexpr std::array<int, 24> kHourWeights = {52,  44,  40,  40,  44,  52,  64,  78,  90,  98,  104, 110,
                                              116, 118, 120, 124, 130, 138, 148, 156, 158, 146, 114, 76};

constexpr int kUserAgents = 48;

struct Device {
  bool ios = false;
  Uuid ifa;
  std::string ip;
  int user_agent = 0;
  int place = 0;
  Time skew = 0; // of its clock
};

// Addresses are those set aside for private networks, carriers, tests and documentation; none is anybody's.
std::string random_ip(Random &random) {
  char text[48];
  const std::int64_t kind = random.below(1000);
  if (kind < 30) { // behind a carrier's address translation: hundreds share an address
    const std::int64_t host = random.below(1200);
    std::snprintf(text, sizeof text, "100.64.%d.%d", static_cast<int>(host / 250), static_cast<int>(host % 250 + 1));
  } else if (kind < 50) { // an office or a campus
    const std::int64_t host = random.below(700);
    constexpr std::array<const char *, 3> nets = {"192.0.2", "198.51.100", "203.0.113"};
    std::snprintf(text, sizeof text, "%s.%d", nets[static_cast<std::size_t>(host / 250)],
                  static_cast<int>(host % 250 + 1));
  } else if (kind < 250) {
    // Three statements: the order in which arguments are evaluated is the compiler's choice.
    const int site = static_cast<int>(random.between(1, 0xffff));
    const int subnet = static_cast<int>(random.between(1, 0xffff));
    const int host = static_cast<int>(random.between(1, 0xffff));
    std::snprintf(text, sizeof text, "2001:db8:%x:%x::%x", site, subnet, host);
  } else {
    const std::int64_t host = random.below(1 << 24);
    std::snprintf(text, sizeof text, "10.%d.%d.%d", static_cast<int>(host >> 16), static_cast<int>(host >> 8 & 255),
                  static_cast<int>(host & 255));
  }
  return text;
}

Device random_device(Random &random, bool ios) {
  static const Zipf user_agents(kUserAgents / 2);
  Device device;
  device.ios = ios;
  // A quarter overall opted out of advertising ids; with the platforms' shares as they are, that is 12 % and 55 %.
  if (!random.chance(ios ? 550 : 120))
    device.ifa = random_uuid(random);
  device.ip = random_ip(random);
  device.user_agent = user_agents(random) * 2 + ios;
  device.place = static_cast<int>(random.weighted(kPlaceWeights));
  if (random.chance(100))
    device.skew = random.between(-5000, 5000) * kMillisecond;
  return device;
}

// The same device on another network: from home to the street.
void move_device(Random &random, Device &device) { device.ip = random_ip(random); }

// Even numbers are Android's, odd ones iOS's. The most common ranks are shared by very many devices, as in life.
std::string user_agent_text(int number) {
  char text[200];
  const int rank = number / 2;
  if (number % 2 == 0) {
    std::snprintf(text, sizeof text, "Mozilla/5.0 (Linux; Android %d; Handset %d) Mobile/%d.0", 15 - rank % 4, rank + 1,
                  131 - rank % 6);
  } else {
    std::snprintf(text, sizeof text, "Mozilla/5.0 (iPhone; CPU iPhone OS %d_%d like Mac OS X) Mobile/15E148",
                  18 - rank % 3, rank / 3);
  }
  return text;
}

Time random_time_of_day(Random &random) {
  const Time hour = static_cast<Time>(random.weighted(kHourWeights));
  return hour * kHour + random.below(kHour / kMillisecond) * kMillisecond;
}

// ---------------------------------------------------------------------------------------------------------------------
// Rows

struct Touch {
  Uuid link_uid;
  Time time = 0;
  int app = 0, network = 0, campaign = 0, ad = 0;
  Device device;
  bool sends_ifa = false, sends_click_id = false;
  Time received = 0;
};

struct Event {
  Uuid event_uid;
  Time time = 0;
  int app = 0;
  const char *name = "";
  Uuid oa_uid;
  Device device;
  std::string click_id;
  int referrer_network = -1; // -1: none known; -2: the store itself
  Time install_begin = 0;    // 0: none
  int cents = 0;
  const char *currency = nullptr;
  Time received = 0;
};

// Most arrive within a second, some hours later: a phone without reception, a queue that was down.
Time arrival(Random &random, Time time) {
  if (random.chance(25))
    return time + random.log_between(10 * kMinute, 20 * kHour) / kMillisecond * kMillisecond;
  return time + random.log_between(40 * kMillisecond, 3 * kSecond) / kMillisecond * kMillisecond;
}

// The network's own id of a click.
std::string click_id_of(const Touch &touch) {
  char text[40];
  std::snprintf(text, sizeof text, "%c%d-%016llx", kNetworks[static_cast<std::size_t>(touch.network)].name[0] | 32,
                touch.campaign, static_cast<unsigned long long>(touch.link_uid.low * 0x9E3779B97F4A7C15u));
  return text;
}

Touch random_touch(Random &random, bool click, const Device &device, int app, Time time) {
  static const Zipf campaigns(kCampaignsPerNetwork);
  Touch touch;
  touch.link_uid = random_uuid(random);
  touch.time = time;
  touch.app = app;
  touch.device = device;
  touch.network = static_cast<int>(random.weighted(click ? kClickWeights : kImpressionWeights));
  touch.campaign = campaigns(random);
  touch.ad = static_cast<int>(random.below(kAdsPerCampaign));
  const Network &network = kNetworks[static_cast<std::size_t>(touch.network)];
  touch.sends_ifa = random.chance(network.ifa);
  touch.sends_click_id = click && random.chance(network.click_id);
  touch.received = arrival(random, time);
  return touch;
}

// Click to install: 75 % within an hour, 94 % within a day, the rest within a week but for a few.
Time click_to_install(Random &random) {
  const std::int64_t share = random.below(1000);
  if (share < 750)
    return random.log_between(25 * kSecond, kHour);
  if (share < 940)
    return random.log_between(kHour, kDay);
  if (share < 990)
    return random.between(kDay, 7 * kDay);
  return random.between(7 * kDay, 9 * kDay);
}

// ---------------------------------------------------------------------------------------------------------------------
// The plot: installs, and the touchpoints and events around them. Small enough to stay in memory.

struct Plot {
  std::vector<Touch> clicks, impressions;
  std::vector<Event> events;
};

int random_app(Random &random) { return static_cast<int>(random.weighted(kAppWeights)); }

// A click is a click on something: an impression moments before. Returns the click.
Touch add_click(Random &random, Plot &plot, const Device &device, int app, Time time) {
  const Touch click = random_touch(random, true, device, app, time);
  Touch impression = click;
  impression.link_uid = random_uuid(random);
  impression.time = time - random.log_between(1500 * kMillisecond, 40 * kSecond) / kMillisecond * kMillisecond;
  impression.sends_click_id = false;
  impression.received = arrival(random, impression.time);
  plot.clicks.push_back(click);
  plot.impressions.push_back(impression);
  return click;
}

// An event bears the time of the device's clock, touches bear the network's.
Event &add_event(Random &random, Plot &plot, const Device &device, int app, const Uuid &instance, const char *name,
                 Time time) {
  Event &event = plot.events.emplace_back();
  event.event_uid = random_uuid(random);
  event.time = time + device.skew;
  event.app = app;
  event.name = name;
  event.oa_uid = instance;
  event.device = device;
  event.received = arrival(random, time);
  return event;
}

void add_purchase(Random &random, Plot &plot, const Device &device, int app, const Uuid &instance, Time time) {
  constexpr std::array<int, 6> prices = {99, 199, 499, 999, 1999, 9999};
  constexpr std::array<int, 6> price_weights = {44, 24, 17, 10, 4, 1};
  Event &event = add_event(random, plot, device, app, instance, "purchase", time);
  event.cents = prices[random.weighted(price_weights)];
  const std::string_view country = kPlaces[static_cast<std::size_t>(device.place)].country;
  event.currency = country == "DE" || country == "FR" ? "EUR" : country == "GB" ? "GBP" : "USD";
}

// What a user does from the install on, to the end of the week.
void play(Random &random, Plot &plot, Device device, int app, const Uuid &instance, Time installed) {
  add_event(random, plot, device, app, instance, "app_open", installed + random.between(200, 4000) * kMillisecond);
  if (random.chance(720))
    add_event(random, plot, device, app, instance, "tutorial_complete",
              installed + random.log_between(2 * kMinute, 40 * kMinute));
  const bool spender = random.chance(45);
  int stays = 420; // per mille that come back, day by day
  for (Time day = installed;; day += kDay) {
    if (spender && random.chance(350))
      add_purchase(random, plot, device, app, instance, day + random.log_between(5 * kMinute, 5 * kHour));
    if (day + kDay >= kWeekEnd || !random.chance(stays))
      return;
    stays = std::min(stays + 130, 850);
    if (random.chance(300))
      move_device(random, device);
    for (std::int64_t session = random.between(1, 3); session > 0; --session) {
      const Time time = day + kDay + random.below(6 * kHour / kMillisecond) * kMillisecond;
      if (time < kWeekEnd)
        add_event(random, plot, device, app, instance, "app_open", time);
    }
  }
}

void add_install(Random &random, Plot &plot, Time time) {
  const int app = random_app(random);
  Device device = random_device(random, kApps[static_cast<std::size_t>(app)].ios);
  const Uuid instance = random_uuid(random);
  // Touches are added to the plot below, but no events: the reference stays good until play().
  Event &install = add_event(random, plot, device, app, instance, "install", time);
  install.install_begin = time - random.log_between(8 * kSecond, 3 * kMinute) / kMillisecond * kMillisecond;

  const std::int64_t fate = random.below(1000);
  if (fate < 335) {
    // Clicked, then installed; perhaps after a walk from the Wi-Fi to the street.
    const Time delay = click_to_install(random);
    Device before = device;
    if (random.chance(delay < kHour ? 60 : 400))
      move_device(random, before);
    const Touch click = add_click(random, plot, before, app, time - delay);
    if (click.sends_click_id && (!kApps[static_cast<std::size_t>(app)].ios || random.chance(300))) {
      install.click_id = click_id_of(click);
      install.referrer_network = click.network;
    }
    // Other networks were there before: assists.
    for (int earlier = 0; earlier < 3 && random.chance(220); ++earlier)
      add_click(random, plot, before, app, time - delay - random.log_between(kMinute, 3 * kDay));
    for (int earlier = 0; earlier < 4 && random.chance(500); ++earlier)
      plot.impressions.push_back(
          random_touch(random, false, before, app, time - random.log_between(kMinute, 2 * kDay)));
    // A double tap: two clicks at one instant, by one network.
    if (random.chance(15)) {
      plot.clicks.push_back(click);
      plot.clicks.back().link_uid = random_uuid(random);
    }
  } else if (fate < 415) {
    // Saw it, and went to the store without a click.
    for (std::int64_t shown = random.between(1, 3); shown > 0; --shown)
      plot.impressions.push_back(
          random_touch(random, false, device, app, time - random.log_between(kMinute, 30 * kHour)));
  } else {
    // Nobody brought this one. Some look as if somebody had.
    if (random.chance(500))
      install.referrer_network = -2;
    const std::int64_t near_miss = random.below(1000);
    if (near_miss < 25) { // a click too long ago
      add_click(random, plot, device, app, time - random.between(7 * kDay + kMinute, 9 * kDay));
    } else if (near_miss < 45) { // a click just after the install: it is the click that is late, not the user
      add_click(random, plot, device, app, time + random.between(1, 4) * kSecond);
    } else if (near_miss < 65) { // a click for another app of the house
      add_click(random, plot, device, (app + 1) % static_cast<int>(kApps.size()),
                time - random.log_between(kMinute, kDay));
    } else if (near_miss < 95) { // somebody else at the same address with the same phone
      Device neighbour = device;
      neighbour.ifa = random_uuid(random);
      if (device.ifa == Uuid{})
        neighbour.user_agent ^= 2;
      Touch click = random_touch(random, true, neighbour, app, time - random.log_between(kMinute, 20 * kHour));
      click.sends_ifa = true;
      plot.clicks.push_back(click);
    } else if (near_miss < 115 && device.ifa == Uuid{}) { // the right user, but by nothing that could prove it
      Device before = device;
      move_device(random, before);
      Touch click = random_touch(random, true, before, app, time - random.log_between(kMinute, kDay));
      click.sends_click_id = false;
      plot.clicks.push_back(click);
    } else if (near_miss < 135) { // an impression of yesterday
      plot.impressions.push_back(
          random_touch(random, false, device, app, time - random.between(kDay + kMinute, 30 * kHour)));
    }
  }
  // The install's name of its click, garbled on the way.
  if (random.chance(3))
    install.click_id = "undefined";
  play(random, plot, device, app, instance, time);

  // Deleted and installed again: a new instance of the app, the same device.
  const Time again = time + random.log_between(2 * kHour, 6 * kDay);
  if (random.chance(45) && again < kWeekEnd) {
    const Uuid second = random_uuid(random);
    if (random.chance(300))
      add_click(random, plot, device, app, again - random.log_between(25 * kSecond, kHour));
    add_event(random, plot, device, app, second, "install", again);
    play(random, plot, device, app, second, again);
  }
}

Plot make_plot() {
  Random random(1);
  Plot plot;
  for (int day = 0; day < kDays; ++day) {
    // A weekend has some more.
    const std::int64_t installs = (day >= 5 ? 1720 : 1550) + random.below(60);
    for (std::int64_t i = 0; i < installs; ++i)
      add_install(random, plot, kWeekStart + day * kDay + random_time_of_day(random));
  }
  return plot;
}

// ---------------------------------------------------------------------------------------------------------------------
// A day of a table: what the plot says, and the rest of the world

void add_background_touches(std::vector<Touch> &rows, Random &random, bool click, Time day, std::int64_t count) {
  while (static_cast<std::int64_t>(rows.size()) < count) {
    const int app = random_app(random);
    const Device device = random_device(random, kApps[static_cast<std::size_t>(app)].ios);
    // The same person sees a few in a row.
    const Time start = day + random_time_of_day(random);
    const std::int64_t most = click ? 1 : random.between(1, 6);
    for (std::int64_t i = 0; i < most; ++i) {
      const Time time = start + i * random.between(20, 240) * kSecond;
      if (time < day + kDay)
        rows.push_back(random_touch(random, click, device, app, time));
    }
  }
}

// Players from before this week.
void add_background_events(Plot &rows, Random &random, Time day, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const int app = random_app(random);
    const Device device = random_device(random, kApps[static_cast<std::size_t>(app)].ios);
    const Uuid instance = random_uuid(random);
    const Time time = day + random_time_of_day(random);
    add_event(random, rows, device, app, instance, "app_open", time);
    if (random.chance(20))
      add_purchase(random, rows, device, app, instance, time + random.log_between(kMinute, kHour));
  }
}

// Delivered at least once means, now and then, twice.
template <typename Row> void repeat_some(std::vector<Row> &rows, Random &random, int per_thousand) {
  const std::size_t once = rows.size();
  for (std::size_t i = 0; i < once; ++i) {
    if (!random.chance(per_thousand))
      continue;
    Row copy = rows[i];
    rows.push_back(std::move(copy));
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Messages

using producer::Json;

std::string uuid_text(const Uuid &value) {
  char text[40];
  std::snprintf(text, sizeof text, "%08x-%04x-%04x-%04x-%012llx", static_cast<unsigned>(value.high >> 32),
                static_cast<unsigned>(value.high >> 16 & 0xffff), static_cast<unsigned>(value.high & 0xffff),
                static_cast<unsigned>(value.low >> 48), static_cast<unsigned long long>(value.low & 0xffff'ffff'ffff));
  return text;
}

std::optional<std::string> unless_empty(std::string text) {
  return text.empty() ? std::nullopt : std::optional(std::move(text));
}

void end(Json &json, int place, Time received) {
  const Place &where = kPlaces[static_cast<std::size_t>(place)];
  json.text("country_iso", where.country).text("state_iso", where.state).text("city_name", where.city);
  // A string, as the collectors of such events write it.
  json.text("received_at", std::to_string(received / kMillisecond));
}

// What is of one device goes one way, as far as it says who it is. All that says it is nobody's would be too much for
// one partition of an embedded broker.
void send(const char *topic, const std::string &ifa, const Device &device, Json &&json) {
  static const std::string nobody = uuid_text(Uuid{});
  const std::string payload = std::move(json).done();
  std::printf("%s\t%s\t%s\n", topic, ifa.empty() || ifa == nobody ? device.ip.c_str() : ifa.c_str(), payload.c_str());
}

void send(const char *topic, const Touch &touch) {
  char campaign[64], campaign_id[16], ad_id[32];
  const char *theme = kCampaignThemes[static_cast<std::size_t>(touch.campaign) % kCampaignThemes.size()];
  std::snprintf(campaign, sizeof campaign, "%s %d", theme,
                touch.campaign / static_cast<int>(kCampaignThemes.size()) + 1);
  std::snprintf(campaign_id, sizeof campaign_id, "%d", 1000 * (touch.network + 1) + touch.campaign);
  std::snprintf(ad_id, sizeof ad_id, "%s-%d", campaign_id, touch.ad + 1);
  const std::string ifa = uuid_text(touch.sends_ifa ? touch.device.ifa : Uuid{});
  Json json;
  json.text("link_uid", uuid_text(touch.link_uid))
      .number("event_time", touch.time / kMillisecond)
      .text("store_id", kApps[static_cast<std::size_t>(touch.app)].store_id)
      .text("network", kNetworks[static_cast<std::size_t>(touch.network)].name)
      .text("campaign_name", campaign)
      .text("campaign_id", campaign_id)
      .text("ad_name", kAdFormats[static_cast<std::size_t>(touch.ad)])
      .text("ad_id", ad_id)
      .text("ifa", ifa)
      .text("client_ip", touch.device.ip)
      .text("user_agent", user_agent_text(touch.device.user_agent))
      .text_or_null("click_id", unless_empty(touch.sends_click_id ? click_id_of(touch) : std::string()));
  end(json, touch.device.place, touch.received);
  send(topic, ifa, touch.device, std::move(json));
}

std::optional<std::string> referrer_of(const Event &event) {
  if (event.referrer_network == -1)
    return std::nullopt;
  if (event.referrer_network == -2)
    return "utm_source=store&utm_medium=organic";
  return std::string("utm_source=") + kNetworks[static_cast<std::size_t>(event.referrer_network)].name +
         "&click_id=" + event.click_id;
}

void send(const char *topic, const Event &event) {
  const std::string ifa = uuid_text(event.device.ifa);
  Json json;
  json.text("event_uid", uuid_text(event.event_uid))
      .number("event_time", event.time / kMillisecond)
      .text("store_id", kApps[static_cast<std::size_t>(event.app)].store_id)
      .text("event_id", event.name)
      .text("ifa", ifa)
      .text("oa_uid", uuid_text(event.oa_uid))
      .text("client_ip", event.device.ip)
      .text("user_agent", user_agent_text(event.device.user_agent))
      .text_or_null("click_id", unless_empty(event.click_id))
      .text_or_null("referrer", referrer_of(event));
  if (event.install_begin != 0)
    json.number("install_begin_time", event.install_begin / kMillisecond);
  if (event.cents != 0)
    json.hundredths("revenue", event.cents).text("currency", event.currency);
  end(json, event.device.place, event.received);
  send(topic, ifa, event.device, std::move(json));
}

template <typename Row> void in_order_of_arrival(std::vector<Row> &rows) {
  std::stable_sort(rows.begin(), rows.end(), [](const Row &a, const Row &b) { return a.received < b.received; });
}

// Sends the rows of one kind that came until then.
template <typename Row> class Sender {
public:
  Sender(const char *topic, std::vector<Row> rows) : topic_(topic), rows_(std::move(rows)) {
    in_order_of_arrival(rows_);
  }
  void send_until(Time time) {
    for (; next_ < rows_.size() && rows_[next_].received < time; ++next_)
      send(topic_, rows_[next_]);
  }

private:
  const char *topic_;
  std::vector<Row> rows_;
  std::size_t next_ = 0;
};

// ---------------------------------------------------------------------------------------------------------------------

template <typename Row> std::vector<Row> of_day(const std::vector<Row> &rows, Time day) {
  std::vector<Row> result;
  for (const Row &row : rows)
    if (row.time >= day && row.time < day + kDay)
      result.push_back(row);
  return result;
}

std::vector<Touch> touches_of(const Plot &plot, bool click, Time day) {
  Random random(static_cast<std::uint64_t>(day / kDay) * 4 + (click ? 1 : 2));
  std::vector<Touch> rows = of_day(click ? plot.clicks : plot.impressions, day);
  add_background_touches(rows, random, click, day, (click ? 3150 : 318'000) + random.below(click ? 300 : 6000));
  repeat_some(rows, random, 5);
  return rows;
}

std::vector<Event> events_of(const Plot &plot, Time day) {
  Random random(static_cast<std::uint64_t>(day / kDay) * 4 + 3);
  Plot others;
  add_background_events(others, random, day, 9000 + random.below(800));
  std::vector<Event> rows = of_day(plot.events, day);
  const std::vector<Event> more = of_day(others.events, day);
  rows.insert(rows.end(), more.begin(), more.end());
  repeat_some(rows, random, 5);
  // A client that tries again and stamps the event anew: the same event_uid at another time.
  const std::size_t once = rows.size();
  for (std::size_t i = 0; i < once; ++i) {
    if (!random.chance(1))
      continue;
    Event copy = rows[i];
    copy.time += random.between(1, 90) * kSecond;
    copy.received += 100 * kSecond;
    rows.push_back(std::move(copy));
  }
  return rows;
}

} // namespace

int main() {
  const Plot plot = make_plot();
  for (int day = -kClickDaysBefore; day < kDays; ++day) {
    const Time start = kWeekStart + day * kDay;
    Sender clicks("clicks", touches_of(plot, true, start));
    Sender impressions("impressions",
                       day < -kImpressionDaysBefore ? std::vector<Touch>() : touches_of(plot, false, start));
    Sender events("events", day < 0 ? std::vector<Event>() : events_of(plot, start));
    // Minute by minute; what comes after the day, comes at its end.
    for (Time until = start; until < start + 2 * kDay; until += kMinute) {
      impressions.send_until(until);
      clicks.send_until(until);
      events.send_until(until);
    }
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
    std::perror("generate");
    return 1;
  }
  return 0;
}
