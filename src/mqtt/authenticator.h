// What the broker asks the rest of the node where clients have to show who they are, in the broker's words.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/address.h"
#include "runtime/loop.h"

namespace verge::mqtt {

// One exchange of enhanced authentication (MQTT 5.0 section 4.12), this side of it.
class AuthenticationExchange {
 public:
  virtual ~AuthenticationExchange() = default;
  // What the client is told in answer to what it said. Takes no longer than a packet may.
  virtual std::string take(std::string_view said) = 0;
  enum class State : uint8_t { kGoesOn, kDone, kFailed };
  [[nodiscard]] virtual State state() const = 0;
  // Who it is, once done.
  [[nodiscard]] virtual const std::string& user() const = 0;
};

class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // Whether the password is the user's. `done` is called on `loop`, which calls this, in a later turn: to find it out
  // is meant to take long.
  virtual void check(std::string user, std::string password, runtime::Loop& loop, std::function<void(bool)> done) = 0;
  // Null: the method is not offered.
  virtual std::unique_ptr<AuthenticationExchange> begin(std::string_view method) = 0;
  // Whether a client that gives no user name is let in from there.
  [[nodiscard]] virtual bool admits_anonymous(const net::Address& peer) const = 0;
};

}  // namespace verge::mqtt
