#include "http.hpp"

#include "errors.hpp"

#include <charconv>
#include <thread>

#include <httplib.h>
#include <prometheus/text_serializer.h>

namespace bridge {

struct Http::Server {
  httplib::Server http;
  std::thread thread;
};

Http::Http(const std::string &listen, const std::shared_ptr<prometheus::Registry> &registry,
           const std::function<std::string()> &trouble)
    : server_(std::make_unique<Server>()) {
  const auto colon = listen.rfind(':');
  int port = 0;
  if (colon == std::string::npos ||
      std::from_chars(listen.data() + colon + 1, listen.data() + listen.size(), port).ptr !=
          listen.data() + listen.size() ||
      port < 1 || port > 65535)
    throw ConfigError("http.listen: \"" + listen + "\" is not like \"127.0.0.1:9187\"");
  httplib::Server &http = server_->http;
  http.new_task_queue = [] { return new httplib::ThreadPool(2); };
  http.Get("/metrics", [registry](const httplib::Request &, httplib::Response &response) {
    response.set_content(prometheus::TextSerializer().Serialize(registry->Collect()), "text/plain; version=0.0.4");
  });
  http.Get("/healthz",
           [](const httplib::Request &, httplib::Response &response) { response.set_content("ok\n", "text/plain"); });
  http.Get("/readyz", [trouble](const httplib::Request &, httplib::Response &response) {
    const std::string text = trouble();
    response.status = text.empty() ? 200 : 503;
    response.set_content(text.empty() ? "ok\n" : text, "text/plain");
  });
  if (!http.bind_to_port(listen.substr(0, colon), port))
    throw ConfigError("http.listen: can't listen on " + listen);
  server_->thread = std::thread([this] { server_->http.listen_after_bind(); });
}

Http::~Http() {
  server_->http.stop();
  server_->thread.join();
}

} // namespace bridge
