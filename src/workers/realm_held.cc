#include "workers/realm_held.h"

#include <utility>

namespace verge::workers {

void Held::count(v8::Isolate* isolate, std::size_t bytes) {
  Realm::State& state = Realm::State::of(isolate);
  const std::int64_t more = static_cast<std::int64_t>(bytes) - counted_;
  isolate->AdjustAmountOfExternalAllocatedMemory(more - std::exchange(state.held_bytes_gone, 0));
  state.held_bytes += more;
  counted_ += more;
}

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
        // Within a collection nothing of V8 may be called: what it counted is taken off later.
        Held* gone = info.GetParameter();
        Realm::State& its_state = Realm::State::of(info.GetIsolate());
        gone->object_.Reset();
        its_state.held_bytes -= gone->counted_;
        its_state.held_bytes_gone += gone->counted_;
        its_state.held_objects.erase(gone);
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
