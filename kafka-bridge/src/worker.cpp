#include "worker.hpp"

#include "errors.hpp"

#include <algorithm>
#include <array>

#include <spdlog/spdlog.h>
#include <unistd.h>

namespace bridge {

namespace {

std::string owner_name(const std::string &worker) {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return std::string(host.data()) + " " + std::to_string(getpid()) + " " + worker;
}

} // namespace

Worker::Worker(const Config &config, const PipelineConfig &pipeline, int number, PipelineMetrics &metrics,
               std::atomic<bool> &stop, std::atomic<int> &exit_code)
    : config_(config), pipeline_(pipeline), metrics_(metrics), stop_(stop), exit_code_(exit_code), guard_(pipeline),
      name_(pipeline.name + "/" + std::to_string(number)), thread_([this] { work(); }) {}

void Worker::work() {
  auto delay = config_.retry_min;
  while (!stop_) {
    const auto began = std::chrono::steady_clock::now();
    session();
    if (stop_)
      break;
    // One that worked for a while begins anew at once.
    delay = std::chrono::steady_clock::now() - began > config_.retry_max ? config_.retry_min
                                                                         : std::min(delay * 2, config_.retry_max);
    wait(delay);
  }
}

void Worker::session() {
  try {
    metrics_.sessions->Increment();
    Session session(config_, pipeline_, owner_name(name_), guard_, metrics_, state_);
    {
      const std::lock_guard lock(mutex_);
      trouble_.clear();
    }
    metrics_.up->Increment();
    const struct Down {
      PipelineMetrics &metrics;
      ~Down() { metrics.up->Decrement(); }
    } down{metrics_};
    session.run(stop_);
  } catch (const PgError &error) {
    metrics_.errors(error.sqlstate).Increment();
    if (error.is_fenced())
      metrics_.fenced->Increment();
    const std::string code = error.sqlstate.empty() ? "" : " [" + error.sqlstate + "]";
    complain("PostgreSQL" + code + ": " + error.what(), !error.is_passing() && !error.sqlstate.starts_with("AT"));
  } catch (const Fault &fault) {
    complain(std::string("stopped: ") + fault.what(), true);
  } catch (const ConfigError &error) {
    complain(std::string("configuration: ") + error.what(), true);
  } catch (const std::exception &error) {
    complain(error.what(), false);
  }
}

/// `needs_somebody`: it will not go away by itself, though it is tried again unless the configuration says to end.
void Worker::complain(const std::string &what, bool needs_somebody) {
  {
    const std::lock_guard lock(mutex_);
    trouble_ = what;
  }
  spdlog::log(needs_somebody ? spdlog::level::err : spdlog::level::warn, "{}: {}", name_, what);
  if (needs_somebody && config_.exit_on_fault) {
    exit_code_ = kStoppedByFault;
    stop_ = true;
  }
}

void Worker::wait(std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (!stop_ && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

} // namespace bridge
