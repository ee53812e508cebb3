// What JavaScript of the platform holds in C++: an object that stands for it, and is its owner. It ends when that
// object is collected, or with the realm. What it takes in memory is told to V8, and counts as the worker's.
#pragma once

#include <memory>

#include <v8.h>

#include "workers/realm_state.h"

namespace verge::workers {

class Held {
 public:
  Held() = default;
  virtual ~Held() = default;
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  // About how much memory it takes; to be told again when that has changed.
  void count(v8::Isolate* isolate, std::size_t bytes);

 private:
  friend v8::MaybeLocal<v8::Object> hold(Realm::State& state, std::unique_ptr<Held> held);
  v8::Global<v8::Object> object_;
  std::int64_t counted_ = 0;
};

v8::MaybeLocal<v8::Object> hold(Realm::State& state, std::unique_ptr<Held> held);

// Whether there may be a further ArrayBuffer of so many bytes, once what is garbage was collected. V8 ends the process
// for one that it gets no memory for when it is made from here.
bool has_room(const Realm::State& state, std::size_t bytes);

// The argument is one that the platform got of a binding of the same kind.
template <class T>
T& held_at(const v8::FunctionCallbackInfo<v8::Value>& call, int index) {
  return *static_cast<T*>(static_cast<Held*>(call[index].As<v8::Object>()->GetAlignedPointerFromInternalField(0)));
}

}  // namespace verge::workers
