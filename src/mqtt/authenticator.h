// What the broker asks the rest of the node where clients have to show who they are, in the broker's words.
#pragma once

#include <functional>
#include <string>

#include "net/address.h"
#include "runtime/loop.h"

namespace verge::mqtt {

class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // Whether the password is the user's. `done` is called on `loop`, which calls this, in a later turn: to find it out
  // is meant to take long.
  virtual void check(std::string user, std::string password, runtime::Loop& loop, std::function<void(bool)> done) = 0;
  // Whether a client that gives no user name is let in from there.
  [[nodiscard]] virtual bool admits_anonymous(const net::Address& peer) const = 0;
};

}  // namespace verge::mqtt
