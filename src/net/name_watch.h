// NameWatch: names of servers whose addresses change while the program runs.
//
// The problem: getaddrinfo(3) may hold up its caller for many seconds, tells no lifetime, and fails now and then; a
// connection that was made lasts as long as both sides keep it. So names are resolved one after the other by a thread
// of its own, every so often; who watches is told when what a name stands for has become another set of addresses, and
// not of failures: the last good addresses stay.
//
// Bounded: one thread, kResolvedMax addresses a name. A resolver that hangs holds up the other names and
// nobody else, the end of the program included: the thread is left behind then.
//
// Threads: all functions from any.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "net/address.h"
#include "net/resolve.h"

namespace verge::net {

class NameWatch {
 public:
  using Addresses = std::vector<Address>;
  using Resolve = std::function<Result<Addresses>(const std::string& host_and_port)>;
  // On the watch's thread, and posts.
  using Changed = std::function<void(const Addresses&)>;

  // One who watches; it is told as long as this is there, and perhaps once more while it goes.
  struct Watcher {
    std::string name;
    Changed changed;
    Addresses known;  // of the watch's thread
  };

  explicit NameWatch(Duration every, Resolve resolve = [](const std::string& name) { return resolve_all(name); });
  ~NameWatch();
  NameWatch(const NameWatch&) = delete;
  NameWatch& operator=(const NameWatch&) = delete;

  // `known`: what the name stands for as far as the caller knows.
  [[nodiscard]] std::shared_ptr<Watcher> watch(std::string host_and_port, Addresses known, Changed changed);
  // Resolves all names now.
  void wake();

 private:
  struct State;
  const std::shared_ptr<State> state_;  // shared with the thread, which may outlive this
};

}  // namespace verge::net
