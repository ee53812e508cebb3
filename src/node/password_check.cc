#include "node/password_check.h"

#include <array>
#include <utility>

#include "crypto/hkdf.h"
#include "crypto/password_hash.h"
#include "crypto/scram.h"

namespace verge::node {
namespace {

// Of nobody's password.
constexpr std::string_view kNobody =
    "$scrypt$ln=14,r=8,p=1$bm9ib2R5J3Mgc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

class Scram final : public mqtt::AuthenticationExchange {
 public:
  explicit Scram(crypto::ScramExchange exchange) : exchange_(std::move(exchange)) {}
  std::string take(std::string_view said) override { return exchange_.take(said); }
  [[nodiscard]] State state() const override {
    switch (exchange_.state()) {
      case crypto::ScramExchange::State::kDone:
        return State::kDone;
      case crypto::ScramExchange::State::kFailed:
        return State::kFailed;
      default:
        return State::kGoesOn;
    }
  }
  [[nodiscard]] const std::string& user() const override { return exchange_.user(); }

 private:
  crypto::ScramExchange exchange_;
};

}  // namespace

void PasswordCheck::check(std::string user, std::string password, runtime::Loop& loop, std::function<void(bool)> done) {
  std::string digest = digest_of(user, password);
  {
    const std::lock_guard lock(mutex_);
    const bool is_known = !digest.empty() && known_.contains(digest);
    if (is_known || waiting_ >= kWaitingMax) {
      return loop.post([done = std::move(done), is_known] { done(is_known); });
    }
    ++waiting_;
  }
  worker_.post([self = shared_from_this(), user = std::move(user), password = std::move(password),
                digest = std::move(digest), &loop, done = std::move(done)]() mutable {
    const bool is_right = self->compute(user, password);
    {
      const std::lock_guard lock(self->mutex_);
      --self->waiting_;
      if (self->known_.size() >= kKnownMax) self->known_.clear();
      if (is_right && !digest.empty()) self->known_.insert(std::move(digest));
    }
    loop.post([done = std::move(done), is_right] { done(is_right); });
  });
}

std::string PasswordCheck::digest_of(std::string_view user, std::string_view password) const {
  std::string digest(32, '\0');
  std::string both(user);
  both.push_back('\0');  // stands in no user name
  both.append(password);
  return crypto::hkdf_sha256(both, secret_.bytes(), {}, digest) ? digest : std::string();
}

std::unique_ptr<mqtt::AuthenticationExchange> PasswordCheck::begin(std::string_view method) {
  if (method != "SCRAM-SHA-256") return nullptr;
  return std::make_unique<Scram>(crypto::ScramExchange(
      [passwords = passwords_](std::string_view user) { return crypto::parse_scram(passwords->hash_of(user)); },
      [self = shared_from_this()](std::string_view user) { return self->digest_of(user, "salt").substr(0, 16); }));
}

// All that any user's password costs, for each: whichever line the user has, or none.
bool PasswordCheck::compute(std::string_view user, std::string_view password) const {
  const std::string_view hash = passwords_->hash_of(user);
  const std::optional<crypto::ScramKeys> keys = crypto::parse_scram(hash);
  const bool has_hash = !hash.empty() && !keys;
  const bool by_hash = crypto::verify_password(has_hash ? hash : kNobody, password);
  if (!passwords_->has_scram()) return by_hash && has_hash;
  const crypto::ScramKeys nobody{
      .salt = "nobody's salt", .iterations = crypto::kScramIterations, .stored_key = {}, .server_key = {}};
  const bool by_scram = crypto::verify_scram(keys.value_or(nobody), password);
  return keys ? by_scram : by_hash && has_hash;
}

}  // namespace verge::node
