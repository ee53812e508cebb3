// Zygote: makes isolate processes by fork(2), so that each begins with V8 initialized and a realm ready.
//
// It has one thread, or a fork would lose the others, and runs no code of owners. Its nodes (one control socket a loop
// of a node) ask for processes; it tells them of each that ended, whose wait status nobody else could collect. It ends
// when all control sockets are closed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "calls/write_counts.h"
#include "workers/realm.h"
#include "workers/realm_engine.h"

namespace verge::workers {

class Zygote {
 public:
  // `control`: a seqpacket socket. Makes the realm that forked processes begin with. `counts` may be null, and stays.
  // `may_make_threads`: what a profiler needs.
  Zygote(Engine& engine, int control, const calls::WriteCounts* counts, bool may_make_threads = false);
  ~Zygote();
  // In the zygote until all control sockets are closed; in each forked process until its node closes its socket. Gives
  // the exit status of either.
  int run(uint32_t lacks);

 private:
  struct Request;
  // Gives the exit status where it returns in the child.
  std::optional<int> receive(int control, uint32_t lacks);
  std::optional<int> fork_process(int control, const Request& request, int socket, int page, uint32_t lacks);
  int be_isolate(uint64_t data_bytes, int socket, int page, uint32_t lacks);
  void collect();

  Engine& engine_;
  const calls::WriteCounts* const counts_;
  const bool may_make_threads_;
  std::vector<int> controls_;
  std::unordered_map<int, int> children_;  // process id to the control socket that asked for it
  Limits ready_limits_;
  std::unique_ptr<Realm> ready_;
};

}  // namespace verge::workers
