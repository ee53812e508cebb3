// What of V8 belongs to the process: the platform, with a clock that a realm can stop, and the snapshot.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include <v8-platform.h>
#include <v8-snapshot.h>
#include <v8-version.h>

#include "workers/realm_engine.h"

namespace verge::workers {

// V8's single-threaded platform, but for the clock, Date asks the realm that runs, and for a thread that compiles,
// where it was started.
class EnginePlatform final : public v8::Platform {
 public:
  explicit EnginePlatform(std::unique_ptr<v8::Platform> inner) : inner_(std::move(inner)) {}

  void set_clock(double (*clock)()) { clock_ = clock; }
  // Before an isolate is disposed of: drops the tasks that V8 has put off for it.
  void forget(v8::Isolate* isolate);
  // Returns when it has run `prepare`.
  void start_thread(void (*prepare)(), void (*works)(bool));

  v8::PageAllocator* GetPageAllocator() override { return inner_->GetPageAllocator(); }
  v8::ZoneBackingAllocator* GetZoneBackingAllocator() override { return inner_->GetZoneBackingAllocator(); }
  int NumberOfWorkerThreads() override { return inner_->NumberOfWorkerThreads(); }
  std::shared_ptr<v8::TaskRunner> GetForegroundTaskRunner(v8::Isolate* isolate) override {
    return inner_->GetForegroundTaskRunner(isolate);
  }
  void CallOnWorkerThread(std::unique_ptr<v8::Task> task) override;
  // Limits of what DevTools evaluate, for one. V8's single-threaded platform has no thread for it, and would crash.
  void CallDelayedOnWorkerThread(std::unique_ptr<v8::Task> task, double seconds) override;
  std::unique_ptr<v8::JobHandle> PostJob(v8::TaskPriority priority, std::unique_ptr<v8::JobTask> job) override {
    return inner_->PostJob(priority, std::move(job));
  }
#if V8_MAJOR_VERSION >= 11
  std::unique_ptr<v8::JobHandle> CreateJob(v8::TaskPriority priority, std::unique_ptr<v8::JobTask> job) override {
    return inner_->CreateJob(priority, std::move(job));
  }
#endif
  double MonotonicallyIncreasingTime() override { return inner_->MonotonicallyIncreasingTime(); }
  double CurrentClockTimeMillis() override;
  v8::TracingController* GetTracingController() override { return inner_->GetTracingController(); }

 private:
  static void* run_thread(void* platform);
  // The next task that is due, when one is.
  std::unique_ptr<v8::Task> wait_for_task(std::unique_lock<std::mutex>& lock);

  std::unique_ptr<v8::Platform> inner_;
  double (*clock_)() = nullptr;
  void (*prepare_)() = nullptr;
  void (*works_)(bool) = nullptr;
  std::mutex mutex_;  // guards what follows
  bool has_thread_ = false;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<v8::Task>> tasks_;
  std::multimap<std::chrono::steady_clock::time_point, std::unique_ptr<v8::Task>> delayed_;  // bounded
};

struct Engine::State {
  std::unique_ptr<EnginePlatform> platform;
  v8::StartupData snapshot{};
  bool is_inspected = false;
};

}  // namespace verge::workers
