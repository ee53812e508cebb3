// SCRAM-SHA-256 (RFC 5802, RFC 7677), the side of who asks for the password: proves to both that the other knows it,
// without it or anything that could stand for it crossing the line. Without channel binding.
//
// What is kept of a password is salted and iterated, and what of it crosses is good for one exchange only. Who gets the
// file can try passwords, at 16,384 hashes each, and can pose as the node; not as the user.
//
// Passwords are printable ASCII: others would have to be prepared (SASLprep, RFC 4013), which clients do differently.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace verge::crypto {

struct ScramKeys {
  std::string salt;
  uint32_t iterations = 0;
  std::string stored_key;
  std::string server_key;
};

inline constexpr uint32_t kScramIterations = 16'384;

// Error: crypto.unavailable.
Result<ScramKeys> derive_scram(std::string_view password, std::string_view salt, uint32_t iterations);
// The same with a salt of its own, as text: SCRAM-SHA-256$16384:SALT$STORED_KEY:SERVER_KEY, in base64, as other
// programs keep them too. Errors: crypto.password for one that is not printable ASCII, crypto.unavailable.
Result<std::string> hash_scram_password(std::string_view password);
// Nothing where it is no such text, or has more than a million iterations.
std::optional<ScramKeys> parse_scram(std::string_view text);
// Whether it is the password that the keys are of.
bool verify_scram(const ScramKeys& keys, std::string_view password);

// One exchange: the client says who it is, is given the salt, proves that it knows the password, and is proven the
// same.
class ScramExchange {
 public:
  // The keys of a user; nothing: nobody has the name. It is called once.
  using Find = std::function<std::optional<ScramKeys>(std::string_view user)>;
  // `made_up`: the salt for a user whom nobody knows, of whom it must depend: the exchange goes on to its end, so that
  // names cannot be found out. `nonce`: this side's; empty: random.
  ScramExchange(Find find, std::function<std::string(std::string_view user)> made_up, std::string nonce = {});

  enum class State : uint8_t { kFirst, kFinal, kDone, kFailed };
  // The answer to what the client said. Once the state is kFailed there is none, and none more is taken.
  std::string take(std::string_view message);
  [[nodiscard]] State state() const { return state_; }
  // Who it is, once done.
  [[nodiscard]] const std::string& user() const { return user_; }

 private:
  std::string take_first(std::string_view message);
  std::string take_final(std::string_view message);
  std::string fail();

  Find find_;
  std::function<std::string(std::string_view user)> made_up_;
  std::string nonce_;  // first this side's, then both
  State state_ = State::kFirst;
  std::string user_;
  std::string header_;    // of GS2
  std::string messages_;  // of which the proofs are
  ScramKeys keys_;
  bool is_known_ = false;
};

}  // namespace verge::crypto
