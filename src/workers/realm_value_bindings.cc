// Bindings for what JavaScript cannot do to its own values: structured clones, and looking into promises and proxies.
#include <cstdlib>

#include "workers/realm_bindings.h"
#include "workers/realm_state.h"

namespace verge::workers {
namespace {

using Call = const v8::FunctionCallbackInfo<v8::Value>&;

// HTML, "StructuredSerializeInternal", by V8's serializer. An object with an internal field is one of the platform's
// (Blob, File, DOMException): JavaScript is asked what stands for it, and it travels beside the bytes.
class CloneWriter final : public v8::ValueSerializer::Delegate {
 public:
  CloneWriter(v8::Isolate* isolate, v8::Local<v8::Function> on_error) : isolate_(isolate), on_error_(on_error) {}

  void ThrowDataCloneError(v8::Local<v8::String> message) override { throw_error(message); }

  v8::Maybe<bool> WriteHostObject(v8::Isolate* isolate, v8::Local<v8::Object> object) override {
    Realm::State& state = Realm::State::of(isolate);
    v8::Local<v8::Value> argument = object;
    v8::Local<v8::Value> copy;
    if (!state.hook(Hook::Clone)
             ->Call(isolate->GetCurrentContext(), v8::Undefined(isolate), 1, &argument)
             .ToLocal(&copy)) {
      return v8::Nothing<bool>();
    }
    if (!copy->IsObject()) {
      throw_error(internalized(isolate, "The object could not be cloned."));
      return v8::Nothing<bool>();
    }
    serializer->WriteUint32(static_cast<std::uint32_t>(copies.size()));
    copies.emplace_back(isolate, copy.As<v8::Object>());
    return v8::Just(true);
  }

  v8::Maybe<std::uint32_t> GetSharedArrayBufferId(v8::Isolate*, v8::Local<v8::SharedArrayBuffer> buffer) override {
    for (std::size_t at = 0; at < shared.size(); ++at) {
      if (shared[at] == buffer) return v8::Just(static_cast<std::uint32_t>(at));
    }
    shared.emplace_back(isolate_, buffer);
    return v8::Just(static_cast<std::uint32_t>(shared.size() - 1));
  }

  v8::Maybe<std::uint32_t> GetWasmModuleTransferId(v8::Isolate*, v8::Local<v8::WasmModuleObject> module) override {
    modules.emplace_back(isolate_, module);
    return v8::Just(static_cast<std::uint32_t>(modules.size() - 1));
  }

  v8::ValueSerializer* serializer = nullptr;
  // Not as locals: V8 has a scope of handles for each object it writes.
  std::vector<v8::Global<v8::Object>> copies;
  std::vector<v8::Global<v8::SharedArrayBuffer>> shared;
  std::vector<v8::Global<v8::WasmModuleObject>> modules;

 private:
  void throw_error(v8::Local<v8::String> message) {
    v8::Local<v8::Value> argument = message;
    v8::Local<v8::Value> error;
    const v8::Local<v8::Context> context = isolate_->GetCurrentContext();
    if (on_error_->Call(context, v8::Undefined(isolate_), 1, &argument).ToLocal(&error))
      isolate_->ThrowException(error);
  }

  v8::Isolate* isolate_;
  v8::Local<v8::Function> on_error_;
};

class CloneReader final : public v8::ValueDeserializer::Delegate {
 public:
  explicit CloneReader(const CloneWriter& writer) : writer_(writer) {}

  v8::MaybeLocal<v8::Object> ReadHostObject(v8::Isolate* isolate) override {
    std::uint32_t index = 0;
    if (!deserializer->ReadUint32(&index) || index >= writer_.copies.size()) return {};
    return writer_.copies[index].Get(isolate);
  }
  v8::MaybeLocal<v8::WasmModuleObject> GetWasmModuleFromId(v8::Isolate* isolate, std::uint32_t id) override {
    if (id >= writer_.modules.size()) return {};
    return v8::WasmModuleObject::FromCompiledModule(isolate, writer_.modules[id].Get(isolate)->GetCompiledModule());
  }

  v8::MaybeLocal<v8::SharedArrayBuffer> GetSharedArrayBufferFromId(v8::Isolate* isolate, std::uint32_t id) override {
    if (id >= writer_.shared.size()) return {};
    return writer_.shared[id].Get(isolate);
  }

  v8::ValueDeserializer* deserializer = nullptr;

 private:
  const CloneWriter& writer_;
};

// (value, array of ArrayBuffers to transfer, message => DataCloneError): the clone.
void clone(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const v8::Local<v8::Context> context = isolate->GetCurrentContext();
  CloneWriter writer(isolate, call[2].As<v8::Function>());
  v8::ValueSerializer serializer(isolate, &writer);
  writer.serializer = &serializer;
  serializer.WriteHeader();
  std::vector<v8::Local<v8::ArrayBuffer>> moved;
  const v8::Local<v8::Array> list = call[1].As<v8::Array>();
  for (std::uint32_t at = 0; at < list->Length(); ++at) {
    v8::Local<v8::Value> item;
    if (!list->Get(context, at).ToLocal(&item) || !item->IsArrayBuffer()) return;
    moved.push_back(item.As<v8::ArrayBuffer>());
    serializer.TransferArrayBuffer(at, moved.back());
  }
  if (serializer.WriteValue(context, call[0]).IsNothing()) return;
  const auto [bytes, size] = serializer.Release();
  const std::unique_ptr<std::uint8_t, decltype(&std::free)> owner(bytes, &std::free);

  CloneReader reader(writer);
  v8::ValueDeserializer deserializer(isolate, bytes, size, &reader);
  reader.deserializer = &deserializer;
  for (std::uint32_t at = 0; at < moved.size(); ++at) {
    auto store = moved[at]->GetBackingStore();
    moved[at]->Detach();
    deserializer.TransferArrayBuffer(at, v8::ArrayBuffer::New(isolate, std::move(store)));
  }
  v8::Local<v8::Value> value;
  if (deserializer.ReadHeader(context).IsNothing() || !deserializer.ReadValue(context).ToLocal(&value)) return;
  call.GetReturnValue().Set(value);
}

// (ArrayBuffer): a new one with its memory; the old one is detached.
void transfer(Call call) {
  const v8::Local<v8::ArrayBuffer> buffer = call[0].As<v8::ArrayBuffer>();
  if (!buffer->IsDetachable() || buffer->WasDetached()) {
    v8::Isolate* isolate = call.GetIsolate();
    isolate->ThrowException(v8::Exception::TypeError(internalized(isolate, "The ArrayBuffer cannot be detached")));
    return;
  }
  auto store = buffer->GetBackingStore();
  buffer->Detach();
  call.GetReturnValue().Set(v8::ArrayBuffer::New(call.GetIsolate(), std::move(store)));
}

void is_detachable(Call call) { call.GetReturnValue().Set(call[0].As<v8::ArrayBuffer>()->IsDetachable()); }

void is_detached(Call call) {
  if (!call[0]->IsArrayBuffer()) return call.GetReturnValue().Set(false);
  call.GetReturnValue().Set(call[0].As<v8::ArrayBuffer>()->WasDetached());
}

// (prototype): an object of the given prototype with an internal field, which structured clones take for the
// platform's.
void platform_object(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const v8::Local<v8::Context> context = isolate->GetCurrentContext();
  const v8::Local<v8::ObjectTemplate> shape = v8::ObjectTemplate::New(isolate);
  shape->SetInternalFieldCount(1);
  v8::Local<v8::Object> object;
  if (!shape->NewInstance(context).ToLocal(&object)) return;
  object->SetAlignedPointerInInternalField(0, nullptr);
  if (object->SetPrototype(context, call[0]).IsNothing()) return;
  call.GetReturnValue().Set(object);
}

// (promise): [state, result]; 0 pending, 1 fulfilled, 2 rejected.
void promise_state(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const v8::Local<v8::Promise> promise = call[0].As<v8::Promise>();
  v8::Local<v8::Value> parts[] = {v8::Integer::New(isolate, promise->State()), v8::Undefined(isolate)};
  if (promise->State() != v8::Promise::kPending) parts[1] = promise->Result();
  call.GetReturnValue().Set(v8::Array::New(isolate, parts, 2));
}

// (value): what it has been fulfilled with, where it is a promise that has.
void fulfilled(Call call) {
  if (!call[0]->IsPromise()) return;
  const v8::Local<v8::Promise> promise = call[0].As<v8::Promise>();
  if (promise->State() == v8::Promise::kFulfilled) call.GetReturnValue().Set(promise->Result());
}

// (value): what a Proxy stands before; undefined where the value is none.
void proxy_target(Call call) {
  if (call[0]->IsProxy()) call.GetReturnValue().Set(call[0].As<v8::Proxy>()->GetTarget());
}

// (promise): its rejection is not told as unhandled.
void mark_handled(Call call) { call[0].As<v8::Promise>()->MarkAsHandled(); }

// (value): one of the kinds below; 0 for others.
void kind_of(Call call) {
  const v8::Local<v8::Value> value = call[0];
  int kind = 0;
  if (value->IsPromise())
    kind = 1;
  else if (value->IsProxy())
    kind = 2;
  else if (value->IsMap())
    kind = 3;
  else if (value->IsSet())
    kind = 4;
  else if (value->IsDate())
    kind = 5;
  else if (value->IsRegExp())
    kind = 6;
  else if (value->IsNativeError())
    kind = 7;
  else if (value->IsArrayBuffer())
    kind = 8;
  else if (value->IsSharedArrayBuffer())
    kind = 9;
  else if (value->IsArrayBufferView())
    kind = 10;
  else if (value->IsWeakMap() || value->IsWeakSet())
    kind = 11;
  else if (value->IsModuleNamespaceObject())
    kind = 12;
  call.GetReturnValue().Set(kind);
}

// For tests of finalization; behind --expose-gc in other engines.
void collect_garbage(Call call) { call.GetIsolate()->LowMemoryNotification(); }

constexpr Binding kBindings[] = {
    {"clone", clone},
    {"transfer", transfer},
    {"isDetachable", is_detachable},
    {"isDetached", is_detached},
    {"platformObject", platform_object},
    {"promiseState", promise_state},
    {"fulfilled", fulfilled},
    {"proxyTarget", proxy_target},
    {"markHandled", mark_handled},
    {"kindOf", kind_of},
    {"collectGarbage", collect_garbage},
};

}  // namespace

std::span<const Binding> value_bindings() { return kBindings; }

}  // namespace verge::workers
