#include "workers/realm_held.h"

namespace verge::workers {

v8::MaybeLocal<v8::Object> hold(Realm::State& state, std::unique_ptr<Held> held) {
  v8::Isolate* isolate = state.isolate;
  const v8::Local<v8::ObjectTemplate> shape = v8::ObjectTemplate::New(isolate);
  shape->SetInternalFieldCount(1);
  v8::Local<v8::Object> object;
  if (!shape->NewInstance(state.context_here()).ToLocal(&object)) return {};
  Held* its = held.get();
  object->SetAlignedPointerInInternalField(0, its);
  its->object_.Reset(isolate, object);
  its->object_.SetWeak(
      its,
      [](const v8::WeakCallbackInfo<Held>& info) {
        Held* gone = info.GetParameter();
        gone->object_.Reset();
        // Memory is given back to V8's count in the second pass, where V8 may be called.
        info.SetSecondPassCallback([](const v8::WeakCallbackInfo<Held>& later) {
          later.GetParameter()->count(later.GetIsolate(), 0);
          Realm::State::of(later.GetIsolate()).held_objects.erase(later.GetParameter());
        });
      },
      v8::WeakCallbackType::kParameter);
  state.held_objects.emplace(its, std::move(held));
  return object;
}

bool has_room(const Realm::State& state, std::size_t bytes) {
  const std::size_t most = state.limits.external_bytes_max;
  const auto fits = [&] { return bytes <= most && state.allocator->bytes() <= most - bytes; };
  if (fits()) return true;
  state.isolate->LowMemoryNotification();
  return fits();
}

}  // namespace verge::workers
