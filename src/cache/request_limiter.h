// RequestLimiter: how many requests a client may make: so many a second with bursts, so many at once. One for all
// loops, since a client's connections are spread over them.
//
// A client is an IPv4 address, or the first 64 bits of an IPv6 one, which is the least that a network is given. What is
// kept of it is one number, the time at which its requests are paid for (GCRA, ITU-T I.371, which is the token bucket
// without a clock that fills it), and how many are under way.
//
// The table has a fixed size. A client that comes to a full set of 8 takes the place of the one there whose bucket is
// nearest to full, which then begins anew; it is never one with requests under way. Where all 8 have some, the request
// passes and is not counted (`unlimited`): limits protect, they do not refuse whom they have no room to know.
//
// Threads: all functions from any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "net/address.h"

namespace verge::cache {

struct RequestLimit {
  uint64_t group = 0;    // whose requests are counted together: that of a site, or of a rule
  double a_second = 0;   // 0: any number
  uint64_t burst = 1;    // so many may come together after a pause
  uint64_t at_once = 0;  // 0: any number
  bool operator==(const RequestLimit&) const = default;
};

class RequestLimiter {
 public:
  static constexpr size_t kWays = 8;

  // `clients_max` is rounded up to a power of two of sets.
  RequestLimiter(size_t clients_max, uint64_t seed);

  // A request that is under way; counted until it goes.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept
        : limiter_(std::exchange(other.limiter_, nullptr)), set_(other.set_), key_(other.key_) {}
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(limiter_, other.limiter_);
      std::swap(set_, other.set_);
      std::swap(key_, other.key_);
      return *this;
    }
    ~Ticket() {
      if (limiter_ != nullptr) limiter_->end(set_, key_);
    }

   private:
    friend class RequestLimiter;
    RequestLimiter* limiter_ = nullptr;
    size_t set_ = 0;
    uint64_t key_ = 0;
  };

  struct Verdict {
    bool admitted = true;
    Duration retry_after{0};  // where not: when one more would be; 0: when another has ended
    Ticket ticket;
  };
  Verdict admit(const RequestLimit& limit, const net::Address& client, MonotonicTime now);

  [[nodiscard]] uint64_t refused() const { return refused_; }
  [[nodiscard]] uint64_t unlimited() const { return unlimited_; }

 private:
  struct Client {
    uint64_t key = 0;  // 0: none
    int64_t paid_at_ns = 0;
    uint32_t under_way = 0;
  };
  struct Set {
    std::mutex mutex;
    std::array<Client, kWays> clients;
  };

  [[nodiscard]] uint64_t key_of(const RequestLimit& limit, const net::Address& client) const;
  static Client* find(Set& set, uint64_t key, int64_t now_ns);
  void end(size_t set, uint64_t key);

  const uint64_t seed_;
  std::vector<Set> sets_;
  std::atomic<uint64_t> refused_{0};
  std::atomic<uint64_t> unlimited_{0};
};

}  // namespace verge::cache
