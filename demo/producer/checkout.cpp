// A shop's visitors: somebody clicks on a product, and then, as long as a coin says so, clicks on it once more and buys
// it. Fields, their names and their order are those of a well-known tutorial that attributes checkouts by a stream:
// times are local, without a zone; events have no key; addresses have line breaks; and of the users 1 to 100 the last
// one is in no table of users, which holds 0 to 99.

#include "chance.hpp"
#include "clock.hpp"
#include "json.hpp"
#include "stream.hpp"

#include <array>
#include <cstdio>
#include <deque>

namespace producer {

namespace {

const std::vector<std::string> kProducts = {"lamp",     "kettle",    "bicycle",    "notebook",
                                            "raincoat", "chess set", "headphones", "tent"};
const std::vector<std::string> kPayments = {"VISA 16 digit", "Mastercard", "American Express", "JCB 16 digit",
                                            "Maestro"};
const std::vector<std::string> kBrowsers = {
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/535.1 (KHTML, like Gecko) Chrome/36.0.866.0 Safari/535.1",
    "Opera/9.13.(Windows NT 5.1; en-GB) Presto/2.9.172 Version/10.00",
    "Mozilla/5.0 (iPad; CPU iPad OS 9_3_5 like Mac OS X) AppleWebKit/536.0 (KHTML, like Gecko) FxiOS/14.0j2021.0 "
    "Mobile/67B774"};
constexpr std::int64_t kUsers = 100;

class Checkout : public Stream {
public:
  explicit Checkout(std::uint64_t seed) : chance_(seed) {}

  std::vector<std::string> topics() const override { return {"clicks", "checkouts"}; }

  Message next(std::int64_t unix_ms) override {
    if (steps_.empty()) {
      user_ = chance_.between(1, kUsers);
      product_id_ = chance_.uuid();
      product_ = chance_.pick(kProducts);
      steps_.push_back(Step::click);
      while (chance_.between(1, 100) >= 50) {
        steps_.push_back(Step::click);
        steps_.push_back(Step::checkout);
      }
    }
    const Step step = steps_.front();
    steps_.pop_front();
    return step == Step::click ? click(unix_ms) : checkout(unix_ms);
  }

private:
  enum class Step { click, checkout };

  Message click(std::int64_t unix_ms) {
    Json json;
    json.text("click_id", chance_.uuid())
        .number("user_id", user_)
        .text("product_id", product_id_)
        .text("product", product_)
        .hundredths("price", chance_.between(100, 9999))
        .text("url", "https://shop.example/" + product_)
        .text("user_agent", chance_.pick(kBrowsers))
        .text("ip_address", address())
        .text("datetime_occured", local_text(unix_ms));
    return {"clicks", std::nullopt, std::move(json).done(), unix_ms};
  }

  Message checkout(std::int64_t unix_ms) {
    Json json;
    json.text("checkout_id", chance_.uuid())
        .number("user_id", user_)
        .text("product_id", product_id_)
        .text("payment_method", chance_.pick(kPayments))
        .hundredths("total_amount", chance_.between(100, 99'999))
        .text("shipping_address", street())
        .text("billing_address", street())
        .text("user_agent", chance_.pick(kBrowsers))
        .text("ip_address", address())
        .text("datetime_occured", local_text(unix_ms));
    return {"checkouts", std::nullopt, std::move(json).done(), unix_ms};
  }

  std::string address() {
    std::string out = "203.0.113.";
    return out + std::to_string(chance_.between(1, 254));
  }
  std::string street() {
    std::string out = std::to_string(chance_.between(1, 999)) + " Main Street\nSpringfield, ST ";
    return out + std::to_string(chance_.between(10'000, 99'999));
  }

  Chance chance_;
  std::deque<Step> steps_;
  std::int64_t user_ = 0;
  std::string product_id_;
  std::string product_;
};

} // namespace

std::unique_ptr<Stream> make_checkout(std::uint64_t seed) { return std::make_unique<Checkout>(seed); }

} // namespace producer
