// Bindings to Web Cryptography (crypto_task.h). A key is an ArrayBuffer that no worker ever sees, over a holder of the
// key: the collector lets go of both. Numbers of operations, hashes and families are those of web/subtle.js. What fails
// is told as the name of the DOMException.
#include <cstring>

#include "workers/crypto_keys.h"
#include "workers/crypto_task.h"
#include "workers/realm_bindings.h"
#include "workers/realm_crypto.h"
#include "workers/realm_state.h"
#include "workers/realm_text.h"

namespace verge::workers {
namespace {

using Call = const v8::FunctionCallbackInfo<v8::Value>&;

// What an ArrayBuffer that stands for a key, or for a hash under way, is over.
struct Holder {
  CryptoKeyPointer key;
  std::unique_ptr<Hash> hash;
};

void drop_holder(void*, std::size_t, void* holder) { delete static_cast<Holder*>(holder); }

v8::Local<v8::Value> handle_of(v8::Isolate* isolate, Holder* holder) {
  auto store = v8::ArrayBuffer::NewBackingStore(holder, sizeof(Holder), drop_holder, holder);
  return v8::ArrayBuffer::New(isolate, std::move(store));
}

v8::Local<v8::Value> handle_of(v8::Isolate* isolate, CryptoKeyPointer key) {
  return handle_of(isolate, new Holder{.key = std::move(key), .hash = {}});
}

Holder& holder_at(Call call, int index) {
  return *static_cast<Holder*>(call[index].As<v8::ArrayBuffer>()->GetBackingStore()->Data());
}

std::string_view bytes_at(Call call, int index) {
  if (call[index]->IsArrayBufferView()) {
    const v8::Local<v8::ArrayBufferView> view = call[index].As<v8::ArrayBufferView>();
    if (view->ByteLength() == 0) return {};
    const auto store = view->Buffer()->GetBackingStore();
    return {static_cast<const char*>(store->Data()) + view->ByteOffset(), view->ByteLength()};
  }
  if (!call[index]->IsArrayBuffer()) return {};
  const auto store = call[index].As<v8::ArrayBuffer>()->GetBackingStore();
  if (store == nullptr || store->ByteLength() == 0) return {};
  return {static_cast<const char*>(store->Data()), store->ByteLength()};
}

std::uint64_t number_at(Call call, int index) {
  return call[index]->IsNumber() ? static_cast<std::uint64_t>(call[index].As<v8::Number>()->Value()) : 0;
}

EventId event_here(Call call) {
  const v8::Local<v8::Value> data = call.GetIsolate()->GetCurrentContext()->GetContinuationPreservedEmbedderData();
  return data->IsNumber() ? static_cast<EventId>(data.As<v8::Number>()->Value()) : kNoEvent;
}

v8::Local<v8::Value> name_of(v8::Isolate* isolate, Fault fault) {
  switch (fault) {
    case Fault::Data:
      return internalized(isolate, "DataError");
    case Fault::NotSupported:
      return internalized(isolate, "NotSupportedError");
    default:
      return internalized(isolate, "OperationError");
  }
}

// A new ArrayBuffer with a copy; a fault where the worker may have no more memory.
v8::Local<v8::Value> memory_of(Realm::State& state, std::string_view bytes) {
  if (bytes.size() >
      state.limits.external_bytes_max - std::min(state.limits.external_bytes_max, state.allocator->bytes())) {
    return name_of(state.isolate, Fault::Operation);
  }
  const v8::Local<v8::ArrayBuffer> buffer = v8::ArrayBuffer::New(state.isolate, bytes.size());
  if (!bytes.empty()) std::memcpy(buffer->GetBackingStore()->Data(), bytes.data(), bytes.size());
  return buffer;
}

CryptoTask task_of(Call call) {
  CryptoTask task{.operation = static_cast<CryptoOperation>(number_at(call, 1)),
                  .hash = static_cast<HashName>(number_at(call, 3)),
                  .data = bytes_at(call, 4),
                  .first = bytes_at(call, 5),
                  .second = bytes_at(call, 6),
                  .number = number_at(call, 7),
                  .second_number = number_at(call, 8)};
  if (call[2]->IsArrayBuffer()) task.key = holder_at(call, 2).key;
  if (call[9]->IsArrayBuffer()) task.other = holder_at(call, 9).key;
  return task;
}

// (operation, what, key, hash, data, first, second, number, second number, other key): the result; undefined: the hook
// `computed` will get it.
void crypto_run(Call call) {
  Realm::State& state = Realm::State::of(call.GetIsolate());
  const CryptoTask task = task_of(call);
  if (state.awake && is_slow(task)) {
    const auto id = static_cast<OperationId>(number_at(call, 0));
    auto work = std::make_shared<CryptoWork>(task);
    const EventId event = event_here(call);
    if (state.host->compute(id, event, work)) {
      state.operations[id] = event;
      state.works[id] = std::move(work);
      return;
    }
  }
  const Stop stop = [&state] { return state.termination_asked.load(std::memory_order_relaxed); };
  call.GetReturnValue().Set(value_of(state, perform(task, stop)));
}

// (kind, family or hash, parts…): a key's handle. Kinds: 0 a secret of bytes, 1 one of HMAC, 2 raw, 3 spki, 4 pkcs8, 5
// the numbers of a JSON Web Key, in Base64url.
void crypto_import(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const std::uint64_t kind = number_at(call, 0);
  const auto family = static_cast<Family>(number_at(call, 1));
  if (kind == 0 || kind == 1) {
    std::optional<HashName> hash;
    if (kind == 1) hash = static_cast<HashName>(number_at(call, 1));
    return call.GetReturnValue().Set(
        handle_of(isolate, std::make_shared<const CryptoKey>(std::string(bytes_at(call, 2)), hash)));
  }
  Outcome<CryptoKeyPointer> key = std::unexpected(Fault::Data);
  if (kind == 2) key = import_raw(family, bytes_at(call, 2));
  if (kind == 3) key = import_spki(family, bytes_at(call, 2));
  if (kind == 4) key = import_pkcs8(family, bytes_at(call, 2));
  if (kind == 5) {
    std::vector<std::string> numbers;
    for (int at = 2; at < call.Length(); ++at) {
      std::optional<std::string> number = base64url_decode(to_utf8(isolate, call[at]));
      if (!number) return call.GetReturnValue().Set(name_of(isolate, Fault::Data));
      numbers.push_back(*std::move(number));
    }
    key = import_numbers(family, numbers);
    for (std::string& number : numbers) wipe(number);
  }
  if (!key) return call.GetReturnValue().Set(name_of(isolate, key.error()));
  call.GetReturnValue().Set(handle_of(isolate, *std::move(key)));
}

// (kind, key): bytes; for kind 5 an array of strings. Kinds as above.
void crypto_export(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  Realm::State& state = Realm::State::of(isolate);
  const CryptoKey& key = *holder_at(call, 1).key;
  const std::uint64_t kind = number_at(call, 0);
  if (kind == 5) {
    const auto numbers = export_numbers(key);
    if (!numbers) return call.GetReturnValue().Set(name_of(isolate, numbers.error()));
    std::vector<v8::Local<v8::Value>> texts;
    texts.reserve(numbers->size());
    for (const std::string& number : *numbers) texts.push_back(latin1(isolate, base64url_encode(number)));
    return call.GetReturnValue().Set(v8::Array::New(isolate, texts.data(), texts.size()));
  }
  const Outcome<std::string> bytes = kind == 3 ? export_spki(key) : kind == 4 ? export_pkcs8(key) : export_raw(key);
  if (!bytes) return call.GetReturnValue().Set(name_of(isolate, bytes.error()));
  call.GetReturnValue().Set(memory_of(state, *bytes));
}

// (key): its bits.
void crypto_bits(Call call) { call.GetReturnValue().Set(static_cast<double>(holder_at(call, 0).key->bits())); }

// (string): an ArrayBuffer; null where it is not Base64url without padding.
void base64url_decode_text(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const std::optional<std::string> bytes = base64url_decode(to_utf8(isolate, call[0]));
  if (!bytes) return call.GetReturnValue().SetNull();
  call.GetReturnValue().Set(memory_of(Realm::State::of(isolate), *bytes));
}

void base64url_encode_bytes(Call call) {
  call.GetReturnValue().Set(latin1(call.GetIsolate(), base64url_encode(bytes_at(call, 0))));
}

void timing_safe_equal(Call call) {
  call.GetReturnValue().Set(equal_in_constant_time(bytes_at(call, 0), bytes_at(call, 1)));
}

// (hash), (handle, bytes), (handle): a hash of what comes in pieces.
void hash_begin(Call call) {
  const auto name = static_cast<HashName>(number_at(call, 0));
  call.GetReturnValue().Set(handle_of(call.GetIsolate(), new Holder{.key = {}, .hash = std::make_unique<Hash>(name)}));
}
void hash_add(Call call) { holder_at(call, 0).hash->add(bytes_at(call, 1)); }
void hash_finish(Call call) {
  Hash& hash = *holder_at(call, 0).hash;
  std::string out(hash_bytes(hash.name()), '\0');
  hash.finish(reinterpret_cast<unsigned char*>(out.data()));
  call.GetReturnValue().Set(memory_of(Realm::State::of(call.GetIsolate()), out));
}

constexpr Binding kBindings[] = {
    {"cryptoRun", crypto_run},
    {"cryptoImport", crypto_import},
    {"cryptoExport", crypto_export},
    {"cryptoBits", crypto_bits},
    {"base64urlDecode", base64url_decode_text},
    {"base64urlEncode", base64url_encode_bytes},
    {"timingSafeEqual", timing_safe_equal},
    {"hashBegin", hash_begin},
    {"hashAdd", hash_add},
    {"hashFinish", hash_finish},
};

}  // namespace

CryptoWork::CryptoWork(const CryptoTask& task)
    : data_(task.data), first_(task.first), second_(task.second), task_(task) {
  task_.data = data_;
  task_.first = first_;
  task_.second = second_;
}

CryptoWork::~CryptoWork() {
  wipe(data_);
  wipe(first_);
}

void CryptoWork::run(const Stop& stop) { result_ = perform(task_, stop); }

v8::Local<v8::Value> value_of(Realm::State& state, const Outcome<CryptoResult>& result) {
  if (!result) return name_of(state.isolate, result.error());
  switch (result->kind) {
    case CryptoResult::Kind::Verdict:
      return v8::Boolean::New(state.isolate, result->is_valid);
    case CryptoResult::Kind::Pair: {
      v8::Local<v8::Value> both[] = {handle_of(state.isolate, result->pair.public_key),
                                     handle_of(state.isolate, result->pair.private_key)};
      return v8::Array::New(state.isolate, both, 2);
    }
    case CryptoResult::Kind::Bytes:
      break;
  }
  return memory_of(state, result->bytes);
}

std::span<const Binding> crypto_bindings() { return kBindings; }

}  // namespace verge::workers
