#include "node/password_check.h"

#include <array>
#include <utility>

#include "crypto/hkdf.h"
#include "crypto/password_hash.h"

namespace verge::node {
namespace {

// Of nobody's password.
constexpr std::string_view kNobody =
    "$scrypt$ln=14,r=8,p=1$bm9ib2R5J3Mgc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

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

bool PasswordCheck::compute(std::string_view user, std::string_view password) const {
  const std::string_view hash = passwords_->hash_of(user);
  const bool is_right = crypto::verify_password(hash.empty() ? kNobody : hash, password);
  return is_right && !hash.empty();
}

}  // namespace verge::node
