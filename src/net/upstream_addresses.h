// UpstreamAddresses: which of a server's addresses is connected to. The first as long as connections come about; one
// that cannot be connected to gives way to the next, and when all have failed in a row, so has the server.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "net/address.h"

namespace verge::net {

class UpstreamAddresses {
 public:
  // One at least.
  explicit UpstreamAddresses(std::vector<Address> addresses) : addresses_(std::move(addresses)) {
    VERGE_ASSERT(!addresses_.empty());
  }

  [[nodiscard]] const Address& current() const { return addresses_[current_]; }
  void connected() { failed_in_a_row_ = 0; }
  // The current one could not be connected to. Whether there is another to be tried.
  bool failed() {
    current_ = (current_ + 1) % addresses_.size();
    if (++failed_in_a_row_ < addresses_.size()) return true;
    failed_in_a_row_ = 0;
    return false;
  }

  // From now on. The current one stays so if it is among them. Not none.
  void replace(std::vector<Address> addresses) {
    VERGE_ASSERT(!addresses.empty());
    const std::string before = current().text();
    addresses_ = std::move(addresses);
    const auto same = std::ranges::find(addresses_, before, [](const Address& one) { return one.text(); });
    current_ = same == addresses_.end() ? 0 : static_cast<size_t>(same - addresses_.begin());
    failed_in_a_row_ = 0;
  }
  [[nodiscard]] bool contains(const Address& address) const {
    return std::ranges::any_of(addresses_, [&](const Address& one) { return one.text() == address.text(); });
  }

 private:
  std::vector<Address> addresses_;
  size_t current_ = 0;
  size_t failed_in_a_row_ = 0;
};

}  // namespace verge::net
