// Resolver: a thread of its own that turns names into addresses.
//
// getaddrinfo(3) takes as long as the name servers do: half a minute and more where none answers, and nothing ends it
// early. So nobody else may wait on that thread: who asks is called back on a loop, and who destroys the resolver does
// not wait for it: the thread is left to itself, touches nothing of anybody's any more, and ends when its call returns.
//
// Threading: resolve() from any thread. `done` is not called after destruction.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <sys/socket.h>

#include "base/error.h"
#include "net/address.h"
#include "runtime/loop.h"

namespace verge::net {

class Resolver {
 public:
  using Lookup = std::function<Result<Address>(const std::string& name, int family)>;
  using Done = std::move_only_function<void(Result<Address>)>;

  // `name`: of the thread. The thread begins with the first question.
  explicit Resolver(std::string name, Lookup lookup = &Address::resolve);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // `host_and_port` and `family` as for Address::resolve(). Questions are answered one after the other. `loop` outlives
  // the resolver.
  void resolve(std::string host_and_port, int family, runtime::Loop& loop, Done done);

 private:
  struct Question {
    std::string host_and_port;
    int family = AF_UNSPEC;
    runtime::Loop* loop = nullptr;
    Done done;
  };
  struct State;  // shared with the thread, which may outlive the resolver

  static void run(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;
};

}  // namespace verge::net
