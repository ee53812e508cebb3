// V8 in this process: its platform, flags and the snapshot that realms start from. One for a process, made before its
// first realm and, in a zygote, before the fork: it starts no thread by itself, so a child may go on using it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace verge::workers {

// The heap that build_snapshot() gave, and the source it was built from, to which it refers.
struct Snapshot {
  std::span<const char> heap;
  std::string_view bundle;
};

struct EngineOptions {
  Snapshot snapshot;                     // lives as long as the engine. Empty: only to build one.
  std::string flags;                     // further flags of V8, for measurements
  std::size_t stack_bytes = 984u << 10;  // of the thread, that JavaScript may use
  bool is_inspected = false;             // its realms can be inspected: they know their scripts from the start on
};

class Engine {
 public:
  explicit Engine(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Starts a thread that compiles what is hot while JavaScript runs, in a process that will fork no more; `prepare` is
  // run on it first, `works` before each thing it does, and with false after it. It runs until the process ends: an
  // engine that has it is never destroyed. Without it nothing is optimized, what V8 puts off is not done, and a realm
  // that was about to be optimized cannot be destroyed.
  void start_thread(void (*prepare)(), void (*works)(bool) = [](bool) {});

  struct State;
  [[nodiscard]] State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// The snapshot that the build has put into this program (the target verge_snapshot).
Snapshot built_in_snapshot();

}  // namespace verge::workers
