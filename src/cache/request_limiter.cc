#include "cache/request_limiter.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/hash.h"

namespace verge::cache {

RequestLimiter::RequestLimiter(size_t clients_max, uint64_t seed)
    : seed_(seed), sets_(std::bit_ceil(std::max<size_t>(1, clients_max / kWays))) {}

uint64_t RequestLimiter::key_of(const RequestLimit& limit, const net::Address& client) const {
  std::string_view ip = client.ip();
  if (ip.size() == 16) ip = ip.substr(0, 8);
  std::array<char, 16> bytes{};
  std::ranges::copy(ip, bytes.begin());
  const uint64_t hash = hash64({bytes.data(), bytes.size()}, seed_ ^ (limit.group * 0x9E3779B97F4A7C15ULL));
  return hash == 0 ? 1 : hash;
}

RequestLimiter::Client* RequestLimiter::find(Set& set, uint64_t key, int64_t now_ns) {
  Client* soonest = nullptr;
  for (Client& client : set.clients) {
    if (client.key == key) return &client;
    if (client.under_way > 0) continue;
    if (client.key == 0) client.paid_at_ns = 0;
    if (soonest == nullptr || client.paid_at_ns < soonest->paid_at_ns) soonest = &client;
  }
  if (soonest != nullptr) *soonest = {.key = key, .paid_at_ns = now_ns, .under_way = 0};
  return soonest;
}

RequestLimiter::Verdict RequestLimiter::admit(const RequestLimit& limit, const net::Address& client,
                                              MonotonicTime now) {
  const uint64_t key = key_of(limit, client);
  const size_t index = key & (sets_.size() - 1);
  const int64_t now_ns = now.time_since_epoch().count();
  Verdict verdict;
  Set& set = sets_[index];
  const std::lock_guard lock(set.mutex);
  Client* known = find(set, key, now_ns);
  if (known == nullptr) {
    ++unlimited_;
    return verdict;
  }
  if (limit.at_once > 0 && known->under_way >= limit.at_once) {
    verdict.admitted = false;
    ++refused_;
    return verdict;
  }
  if (limit.a_second > 0) {
    const auto each_ns = static_cast<int64_t>(1e9 / limit.a_second);
    const int64_t ahead_max = each_ns * static_cast<int64_t>(limit.burst - 1);
    const int64_t paid_at = std::max(known->paid_at_ns, now_ns);
    if (paid_at - now_ns > ahead_max) {
      verdict.admitted = false;
      verdict.retry_after = Duration(paid_at - now_ns - ahead_max);
      ++refused_;
      return verdict;
    }
    known->paid_at_ns = paid_at + each_ns;
  }
  ++known->under_way;
  verdict.ticket.limiter_ = this;
  verdict.ticket.set_ = index;
  verdict.ticket.key_ = key;
  return verdict;
}

void RequestLimiter::end(size_t index, uint64_t key) {
  Set& set = sets_[index];
  const std::lock_guard lock(set.mutex);
  const auto found = std::ranges::find(set.clients, key, &Client::key);
  if (found != set.clients.end() && found->under_way > 0) --found->under_way;
}

}  // namespace verge::cache
