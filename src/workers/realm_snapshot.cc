#include "workers/realm_snapshot.h"

#include <fmt/format.h>
#include <v8.h>

#include "workers/realm_bindings.h"
#include "workers/realm_state.h"
#include "workers/realm_text.h"

namespace verge::workers {
namespace {

// Functions that have run are compiled in the snapshot.
bool warm_up(v8::Isolate* isolate, v8::Local<v8::Context> context, v8::Local<v8::Object> hooks) {
  v8::Local<v8::Value> hook;
  if (!hooks->Get(context, internalized(isolate, "warmUp")).ToLocal(&hook) || !hook->IsFunction()) return false;
  for (const bool begins : {true, false}) {
    v8::Local<v8::Value> argument = v8::Boolean::New(isolate, begins);
    if (hook.As<v8::Function>()->Call(context, v8::Undefined(isolate), 1, &argument).IsEmpty()) return false;
    isolate->PerformMicrotaskCheckpoint();
  }
  return true;
}

// Runs the bundle in a context and gives the snapshot its hooks.
Result<void> set_up(v8::SnapshotCreator& creator, v8::Local<v8::Context> context, std::string_view bundle) {
  v8::Isolate* isolate = creator.GetIsolate();
  const v8::Context::Scope scope(context);
  const v8::TryCatch caught(isolate);
  const auto failed = [&](std::string_view what) {
    std::string text(what);
    if (caught.HasCaught()) {
      const v8::String::Utf8Value error(isolate, caught.Exception());
      const int line = caught.Message().IsEmpty() ? 0 : caught.Message()->GetLineNumber(context).FromMaybe(0);
      text = fmt::format("{}: {} (line {} of the bundle)", what, *error ? *error : "", line);
    }
    return fail("workers.snapshot", text, "this is a defect of src/workers/web");
  };
  v8::Local<v8::String> source;
  v8::Local<v8::Script> script;
  v8::Local<v8::Value> made;
  v8::Local<v8::Value> hooks;
  v8::ScriptOrigin origin(isolate, internalized(isolate, "verge:web"));
  if (!is_ascii(bundle)) return fail("workers.snapshot", "the bundle is not ASCII", "esbuild writes ASCII by default");
  bundle_text().set(bundle);
  if (!v8::String::NewExternalOneByte(isolate, &bundle_text()).ToLocal(&source)) return failed("too long");
  if (!v8::Script::Compile(context, source, &origin).ToLocal(&script)) return failed("the bundle does not compile");
  if (!script->Run(context).ToLocal(&made) || !made->IsFunction()) return failed("the bundle is no function");
  v8::Local<v8::Value> host = make_bindings(isolate, context);
  if (!made.As<v8::Function>()->Call(context, v8::Undefined(isolate), 1, &host).ToLocal(&hooks) || !hooks->IsObject()) {
    return failed("the bundle throws");
  }
  isolate->PerformMicrotaskCheckpoint();
  if (!warm_up(isolate, context, hooks.As<v8::Object>())) return failed("the warm-up throws");
  for (const std::string_view name : kHookNames) {
    v8::Local<v8::Value> hook;
    if (!hooks.As<v8::Object>()->Get(context, internalized(isolate, name)).ToLocal(&hook) || !hook->IsFunction()) {
      return failed(fmt::format("there is no hook {}", name));
    }
    creator.AddData(context, hook);
  }
  return {};
}

}  // namespace

Result<std::vector<char>> build_snapshot(Engine&, std::string_view bundle) {
  v8::SnapshotCreator creator(external_references());
  v8::Isolate* isolate = creator.GetIsolate();
  Result<void> done;
  {
    const v8::HandleScope handles(isolate);
    const v8::Local<v8::Context> context = v8::Context::New(isolate);
    done = set_up(creator, context, bundle);
    creator.SetDefaultContext(context);
  }
  const v8::StartupData blob = creator.CreateBlob(v8::SnapshotCreator::FunctionCodeHandling::kKeep);
  const std::unique_ptr<const char[]> owner(blob.data);
  if (!done) return std::unexpected(done.error());
  if (blob.data == nullptr)
    return fail("workers.snapshot", "V8 made no snapshot", "this is a defect of src/workers/web");
  return std::vector<char>(blob.data, blob.data + blob.raw_size);
}

}  // namespace verge::workers
