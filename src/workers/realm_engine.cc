#include "workers/realm_engine.h"

#include <algorithm>

#include <libplatform/libplatform.h>
#include <pthread.h>
#include <v8.h>

#include "workers/realm_bindings.h"
#include "workers/realm_engine_state.h"

namespace verge::workers {
namespace {

// Everything that would start a thread of V8's own, or make a start depend on more than the program, is off; what is
// hot is compiled on the thread that start_thread() makes. A code cache is only taken by a V8 with the same flags, so
// these are the same in the tool that makes the snapshot.
constexpr std::string_view kFlags =
    "--single-threaded-gc --no-concurrent-sparkplug --no-lazy-compile-dispatcher"
    " --wasm-num-compilation-tasks=0 --no-wasm-async-compilation --no-wasm-tier-up"
    " --no-verify-snapshot-checksum --no-flush-bytecode --stack-trace-limit=10";
// TurboFan recurses; V8's own limit is below.
constexpr size_t kThreadStackBytes = 2U << 20;
// A worker can have any number of them put off, by making WebAssembly modules; further ones are left out.
constexpr size_t kDelayedTasksMax = 64;
constexpr double kDelaySecondsMax = 86'400;

}  // namespace

double EnginePlatform::CurrentClockTimeMillis() { return clock_ ? clock_() : inner_->CurrentClockTimeMillis(); }

void EnginePlatform::forget(v8::Isolate* isolate) { v8::platform::NotifyIsolateShutdown(inner_.get(), isolate); }

void EnginePlatform::CallOnWorkerThread(std::unique_ptr<v8::Task> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
}

void EnginePlatform::CallDelayedOnWorkerThread(std::unique_ptr<v8::Task> task, double seconds) {
  const std::chrono::duration<double> delay(std::min(seconds, kDelaySecondsMax));
  const auto due = std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::nanoseconds>(delay);
  {
    const std::lock_guard lock(mutex_);
    if (delayed_.size() >= kDelayedTasksMax) return;
    delayed_.emplace(due, std::move(task));
  }
  changed_.notify_one();
}

std::unique_ptr<v8::Task> EnginePlatform::wait_for_task(std::unique_lock<std::mutex>& lock) {
  while (true) {
    if (!delayed_.empty() && delayed_.begin()->first <= std::chrono::steady_clock::now()) {
      return std::move(delayed_.extract(delayed_.begin()).mapped());
    }
    if (!tasks_.empty()) {
      std::unique_ptr<v8::Task> task = std::move(tasks_.front());
      tasks_.pop_front();
      return task;
    }
    if (delayed_.empty()) {
      changed_.wait(lock);
    } else {
      const auto due = delayed_.begin()->first;  // the map may change meanwhile
      changed_.wait_until(lock, due);
    }
  }
}

void EnginePlatform::start_thread(void (*prepare)(), void (*works)(bool)) {
  prepare_ = prepare;
  works_ = works;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kThreadStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread{};
  std::unique_lock lock(mutex_);
  if (pthread_create(&thread, &attributes, run_thread, this) == 0) {
    changed_.wait(lock, [this] { return has_thread_; });
  }
  pthread_attr_destroy(&attributes);
}

void* EnginePlatform::run_thread(void* platform) {
  auto& its = *static_cast<EnginePlatform*>(platform);
  pthread_setname_np(pthread_self(), "compiler");
  its.prepare_();
  std::unique_lock lock(its.mutex_);
  its.has_thread_ = true;
  its.changed_.notify_all();
  while (true) {
    const std::unique_ptr<v8::Task> task = its.wait_for_task(lock);
    lock.unlock();
    its.works_(true);
    task->Run();
    its.works_(false);
    lock.lock();
  }
}

void Engine::start_thread(void (*prepare)(), void (*works)(bool)) { state_->platform->start_thread(prepare, works); }

Engine::Engine(const EngineOptions& options) : state_(std::make_unique<State>()) {
  std::string flags(kFlags);
  flags.append(" --stack-size=").append(std::to_string(options.stack_bytes >> 10));
  if (!options.flags.empty()) flags.append(" ").append(options.flags);
  v8::V8::SetFlagsFromString(flags.data(), flags.size());
  state_->platform = std::make_unique<EnginePlatform>(v8::platform::NewSingleThreadedDefaultPlatform());
  v8::V8::InitializePlatform(state_->platform.get());
  v8::V8::Initialize();
  state_->is_inspected = options.is_inspected;
  bundle_text().set(options.snapshot.bundle);
  state_->snapshot.data = options.snapshot.heap.data();
  state_->snapshot.raw_size = static_cast<int>(options.snapshot.heap.size());
}

Engine::~Engine() {
  v8::V8::Dispose();
  v8::V8::DisposePlatform();
}

}  // namespace verge::workers
