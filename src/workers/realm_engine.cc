#include "workers/realm_engine.h"

#include <libplatform/libplatform.h>
#include <v8.h>

#include "workers/realm_bindings.h"
#include "workers/realm_engine_state.h"

namespace verge::workers {
namespace {

// Everything that would start a thread, or make a start depend on more than the program, is off. A code cache is only
// taken by a V8 with the same flags, so these are the same in the tool that makes the snapshot.
constexpr std::string_view kFlags =
    "--single-threaded --no-verify-snapshot-checksum --no-flush-bytecode"
    " --stack-trace-limit=10";

}  // namespace

double EnginePlatform::CurrentClockTimeMillis() { return clock_ ? clock_() : inner_->CurrentClockTimeMillis(); }

void EnginePlatform::forget(v8::Isolate* isolate) { v8::platform::NotifyIsolateShutdown(inner_.get(), isolate); }

Engine::Engine(const EngineOptions& options) : state_(std::make_unique<State>()) {
  std::string flags(kFlags);
  flags.append(" --stack-size=").append(std::to_string(options.stack_bytes >> 10));
  if (!options.flags.empty()) flags.append(" ").append(options.flags);
  v8::V8::SetFlagsFromString(flags.data(), flags.size());
  state_->platform = std::make_unique<EnginePlatform>(v8::platform::NewSingleThreadedDefaultPlatform());
  v8::V8::InitializePlatform(state_->platform.get());
  v8::V8::Initialize();
  bundle_text().set(options.snapshot.bundle);
  state_->snapshot.data = options.snapshot.heap.data();
  state_->snapshot.raw_size = static_cast<int>(options.snapshot.heap.size());
}

Engine::~Engine() {
  v8::V8::Dispose();
  v8::V8::DisposePlatform();
}

}  // namespace verge::workers
