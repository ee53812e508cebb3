// SimulatedPath: one network path from a node to its parent. It loses requests and answers, sends twice, delays, resets
// midway, is half open or down, and has proxies on it that answer in the parent's place.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/payload.h"
#include "base/random.h"
#include "net/http_client.h"
#include "spool/child_batch.h"
#include "spool/send_plan.h"
#include "tests/simulation/timeline.h"

namespace verge::tests {

class SimulatedPath {
 public:
  enum class Weather : uint8_t {
    kFine,
    kDown,      // nobody answers a connection
    kHalfOpen,  // takes everything, answers nothing
    kProxy,     // somebody else answers
  };
  struct Character {
    Duration latency = std::chrono::milliseconds(20);
    double bytes_per_s = 1e6;
    double trouble = 0.1;        // of requests, even when the weather is fine
    size_t body_bytes_max = 0;   // a proxy refuses larger ones for good (413); 0: none does
    bool proxy_refuses = false;  // in proxy weather some answers are 413
  };
  using Answered = std::function<void(const Result<net::HttpAnswer>& answer, Duration took)>;
  using Reply = std::function<void(const spool::BatchAnswer&)>;
  // Whether the sender still waits for the answer.
  using IsAwaited = std::function<bool()>;
  // Gives a batch to the parent; false when it is not running.
  using Deliver = std::function<bool(spool::Lane, const Payload&, IsAwaited, Reply)>;

  SimulatedPath(Timeline& timeline, Random& random, const Character& character, Deliver deliver)
      : timeline_(timeline), random_(random), character_(character), deliver_(std::move(deliver)) {}

  // One request a lane at a time; `answered` is called once, unless abandoned.
  void send(spool::Lane lane, const Payload& body, Duration timeout, Answered answered);
  // The sender is gone, or its connection: it hears nothing more. What is on its way may still arrive.
  void abandon(spool::Lane lane);
  // The parent's process ended: connections break, or hang.
  void parent_ended();
  void set_weather(Weather weather) {
    if (!stays_) weather_ = weather;
  }
  // Whatever is done to it.
  void stay_in(Weather weather) {
    weather_ = weather;
    stays_ = true;
  }
  // From now on nothing goes wrong.
  void heal();

  [[nodiscard]] bool has_open(spool::Lane lane) const { return open_[static_cast<size_t>(lane)] != nullptr; }
  [[nodiscard]] uint64_t requests() const { return requests_; }
  [[nodiscard]] uint64_t refusals() const { return refusals_; }

 private:
  struct Exchange {
    spool::Lane lane;
    MonotonicTime sent;
    Answered answered;
    bool is_over = false;
  };
  using ExchangePointer = std::shared_ptr<Exchange>;  // shared: several planned things refer to it

  void end(const ExchangePointer& exchange, const Result<net::HttpAnswer>& answer);
  void fail_after(Duration delay, const ExchangePointer& exchange, std::string_view code);
  void answer_after(Duration delay, const ExchangePointer& exchange, int status, std::string body, bool retry_after);
  void answer_as_proxy(Duration delay, const ExchangePointer& exchange);
  void arrive_after(Duration delay, const ExchangePointer& exchange, const Payload& body, bool answer_is_lost);
  Duration between(Duration least, Duration most);

  Timeline& timeline_;
  Random& random_;
  Character character_;
  const Deliver deliver_;
  Weather weather_ = Weather::kFine;
  bool stays_ = false;
  std::array<ExchangePointer, spool::kLanes> open_;
  uint64_t requests_ = 0;
  uint64_t refusals_ = 0;
};

}  // namespace verge::tests
