// verge-isolate: the zygote and the isolate processes of a node (docs/decisions/0019-isolate-processes.md). `verge`
// starts it; for people it does nothing.
#include <cstdio>
#include <exception>

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "calls/control.h"
#include "calls/write_counts.h"
#include "workers/crypto_task.h"
#include "workers/realm_engine.h"
#include "workers/sandbox.h"
#include "workers/zygote.h"

namespace {

// Null where the node gives none.
const verge::calls::WriteCounts* map_counts() {
  using verge::calls::kWriteCountsDescriptor;
  if (fcntl(kWriteCountsDescriptor, F_GET_SEALS) < 0) return nullptr;
  void* memory = mmap(nullptr, sizeof(verge::calls::WriteCounts), PROT_READ, MAP_SHARED, kWriteCountsDescriptor, 0);
  close(kWriteCountsDescriptor);
  return memory == MAP_FAILED ? nullptr : static_cast<const verge::calls::WriteCounts*>(memory);
}

int run(bool is_inspected) {
  using namespace verge;
  if (fcntl(calls::kControlDescriptor, F_GETFD) < 0) {
    std::fprintf(stderr, "verge-isolate: this program is started by verge, which runs workers in it\n");
    return 2;
  }
  prctl(PR_SET_NAME, "zygote");
  mallopt(M_ARENA_MAX, 1);  // the thread that compiles shares the memory of the one that runs JavaScript
  workers::prepare_crypto();
  workers::Engine engine({.snapshot = workers::built_in_snapshot(), .flags = {}, .is_inspected = is_inspected});
  workers::Zygote zygote(engine, calls::kControlDescriptor, map_counts(), is_inspected);
  const Result<uint32_t> lacks = workers::give_up_files();
  if (!lacks) {
    std::fprintf(stderr, "verge-isolate: %s\n", lacks.error().line().c_str());
    return 1;
  }
  // No destructors: V8's wait for what was put off, and its thread runs in the forked processes only.
  _exit(zygote.run(*lacks));
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run(count > 1 && std::string_view(arguments[1]) == "--inspected");
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "verge-isolate: %s\n", problem.what());
    return 1;
  }
}
