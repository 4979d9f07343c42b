// /metrics for Prometheus, /healthz and /readyz for whoever restarts or routes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <prometheus/registry.h>

namespace bridge {

class Http {
public:
  /// `listen`: "address:port". `trouble` says why the program is not ready, or nothing. Throws ConfigError.
  Http(const std::string &listen, const std::shared_ptr<prometheus::Registry> &registry,
       const std::function<std::string()> &trouble);
  ~Http();
  Http(const Http &) = delete;
  Http &operator=(const Http &) = delete;

private:
  struct Server;
  std::unique_ptr<Server> server_;
};

} // namespace bridge
