// PasswordCheck: tells the broker whether a user's password is right. Hashes are made to cost tens of milliseconds, so
// they are computed on a thread that holds up no event loop, one after the other. What was right is remembered, as a
// digest with a secret of this process, so that a fleet that comes back after an outage need not wait for its hashes.
//
// A user who is not there costs as much as one who is, so that names cannot be found out by the time it takes. In an
// exchange by SCRAM such a user has a salt too, which is the same each time until the node starts again or reads the
// file again.
//
// Bounds: `kWaitingMax` checks wait; one more is answered no. `kKnownMax` are remembered; then all are forgotten.
//
// Threading: check() from any loop.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

#include "crypto/key.h"
#include "mqtt/authenticator.h"
#include "node/password_file.h"

namespace verge::node {

class PasswordCheck final : public mqtt::Authenticator, public std::enable_shared_from_this<PasswordCheck> {
 public:
  static constexpr size_t kWaitingMax = 4096;
  static constexpr size_t kKnownMax = 1'000'000;

  // `worker`: whose thread computes; outlives this.
  PasswordCheck(runtime::Loop& worker, std::shared_ptr<const PasswordFile> passwords, bool anonymous)
      : worker_(worker), passwords_(std::move(passwords)), anonymous_(anonymous) {}

  void check(std::string user, std::string password, runtime::Loop& loop, std::function<void(bool)> done) override;
  // SCRAM-SHA-256, for users whose line of the file has what it takes.
  std::unique_ptr<mqtt::AuthenticationExchange> begin(std::string_view method) override;
  [[nodiscard]] bool admits_anonymous(const net::Address& peer) const override {
    return anonymous_ && peer.is_loopback();
  }

 private:
  [[nodiscard]] std::string digest_of(std::string_view user, std::string_view password) const;
  [[nodiscard]] bool compute(std::string_view user, std::string_view password) const;

  runtime::Loop& worker_;
  const std::shared_ptr<const PasswordFile> passwords_;
  const bool anonymous_;
  const crypto::Key secret_ = crypto::Key::generate();
  std::mutex mutex_;  // guards what follows
  std::unordered_set<std::string> known_;
  size_t waiting_ = 0;
};

}  // namespace verge::node
