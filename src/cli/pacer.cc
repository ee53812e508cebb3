#include "cli/pacer.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include "base/assert.h"

namespace verge::cli {
Pacer::Pacer(runtime::Loop& loop, Write write, Duration lead)
    : loop_(loop),
      write_(std::move(write)),
      lead_(lead),
      timer_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
  VERGE_ASSERT(timer_ >= 0);
  loop_.watch(timer_, EPOLLIN, *this);
}

Pacer::~Pacer() {
  loop_.unwatch(timer_, *this);
  close(timer_);
}

void Pacer::start(MonotonicTime start, Duration interval, uint64_t writes, std::function<void()> finished) {
  VERGE_ASSERT(interval > Duration(0));
  start_ = start;
  interval_ = interval;
  next_ = 0;
  writes_ = writes;
  finished_ = std::move(finished);
  arm();
}

void Pacer::stop() {
  const itimerspec never{};
  timerfd_settime(timer_, 0, &never, nullptr);
}

void Pacer::arm() {
  const int64_t at = std::max<int64_t>(1, (due(next_) - lead_).time_since_epoch().count());
  constexpr int64_t kSecond = 1'000'000'000;
  const itimerspec when{.it_interval = {}, .it_value = {.tv_sec = at / kSecond, .tv_nsec = at % kSecond}};
  timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
}

void Pacer::on_ready(uint32_t) {
  // Until the timer is set again its descriptor stays readable, so the loop comes back here without waiting.
  if (loop_.now() < due(next_)) return;
  while (next_ < writes_ && due(next_) <= loop_.now()) {
    lateness_.record(loop_.now() - due(next_));
    const uint64_t index = next_++;
    write_(index, due(index));
  }
  if (next_ < writes_) return arm();
  stop();
  if (finished_) finished_();
}

}  // namespace verge::cli
