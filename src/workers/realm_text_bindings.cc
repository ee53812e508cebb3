// Bindings for text: encodings at memory speed.
#include <cstring>

#include "workers/realm_bindings.h"
#include "workers/realm_state.h"
#include "workers/realm_text.h"

namespace verge::workers {
namespace {

using Call = const v8::FunctionCallbackInfo<v8::Value>&;

// The bytes of a view or an ArrayBuffer; valid while it is not detached.
std::string_view bytes_at(Call call, int index) {
  if (call[index]->IsArrayBufferView()) {
    const v8::Local<v8::ArrayBufferView> view = call[index].As<v8::ArrayBufferView>();
    if (view->ByteLength() == 0) return {};
    const auto store = view->Buffer()->GetBackingStore();
    return {static_cast<const char*>(store->Data()) + view->ByteOffset(), view->ByteLength()};
  }
  std::shared_ptr<v8::BackingStore> store;
  if (call[index]->IsArrayBuffer()) store = call[index].As<v8::ArrayBuffer>()->GetBackingStore();
  if (call[index]->IsSharedArrayBuffer()) store = call[index].As<v8::SharedArrayBuffer>()->GetBackingStore();
  if (store == nullptr || store->ByteLength() == 0) return {};
  return {static_cast<const char*>(store->Data()), store->ByteLength()};
}

v8::Local<v8::ArrayBuffer> buffer_of_size(Call call, std::size_t size) {
  return v8::ArrayBuffer::New(call.GetIsolate(), size);
}

void too_large(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  isolate->ThrowException(v8::Exception::RangeError(internalized(isolate, "Array buffer allocation failed")));
}

// (string): an ArrayBuffer with its UTF-8.
void utf8_encode(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const v8::Local<v8::String> text = call[0].As<v8::String>();
  const auto size = static_cast<std::size_t>(text->Utf8Length(isolate));
  // There is no realm yet while the snapshot is made.
  if (const auto* state = static_cast<const Realm::State*>(isolate->GetData(0)); state != nullptr) {
    const std::size_t most = state->limits.external_bytes_max;
    if (size > most - std::min(most, state->allocator->bytes())) return too_large(call);
  }
  const v8::Local<v8::ArrayBuffer> buffer = buffer_of_size(call, size);
  if (size > 0) {
    text->WriteUtf8(isolate, static_cast<char*>(buffer->GetBackingStore()->Data()), static_cast<int>(size), nullptr,
                    v8::String::NO_NULL_TERMINATION | v8::String::REPLACE_INVALID_UTF8);
  }
  call.GetReturnValue().Set(buffer);
}

// (string, view): read × 2³² + written.
void utf8_encode_into(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const v8::Local<v8::String> text = call[0].As<v8::String>();
  const std::string_view target = bytes_at(call, 1);
  int read = 0;
  int written = 0;
  if (!target.empty()) {
    written = text->WriteUtf8(isolate, const_cast<char*>(target.data()), static_cast<int>(target.size()), &read,
                              v8::String::NO_NULL_TERMINATION | v8::String::REPLACE_INVALID_UTF8);
  }
  call.GetReturnValue().Set(static_cast<double>(read) * 4294967296.0 + written);
}

// (bytes, fatal, keep the byte order mark): a string; null where fatal and malformed.
void utf8_decode(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  std::string_view bytes = bytes_at(call, 0);
  if (!call[2]->IsTrue() && bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (call[1]->IsTrue() && !is_utf8(bytes)) return call.GetReturnValue().SetNull();
  v8::Local<v8::String> text;
  if (utf8(isolate, bytes).ToLocal(&text)) return call.GetReturnValue().Set(text);
  isolate->ThrowException(v8::Exception::RangeError(internalized(isolate, "Invalid string length")));
}

// (bytes, big endian, fatal): a string, lone surrogates and a last odd byte replaced; null where fatal and malformed.
void utf16_decode(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const std::string_view bytes = bytes_at(call, 0);
  std::u16string units(bytes.size() / 2, u'\0');
  std::memcpy(units.data(), bytes.data(), units.size() * 2);
  if (call[1]->IsTrue()) {
    for (char16_t& unit : units) unit = static_cast<char16_t>(unit << 8 | unit >> 8);
  }
  bool malformed = bytes.size() % 2 != 0;
  for (std::size_t at = 0; at < units.size(); ++at) {
    if ((units[at] & 0xF800) != 0xD800) continue;
    const bool pair = units[at] < 0xDC00 && at + 1 < units.size() && (units[at + 1] & 0xFC00) == 0xDC00;
    if (pair) {
      ++at;
    } else {
      units[at] = 0xFFFD;
      malformed = true;
    }
  }
  if (malformed && call[2]->IsTrue()) return call.GetReturnValue().SetNull();
  if (bytes.size() % 2 != 0) units.push_back(0xFFFD);
  v8::Local<v8::String> text;
  const auto* raw = reinterpret_cast<const std::uint16_t*>(units.data());
  if (v8::String::NewFromTwoByte(isolate, raw, v8::NewStringType::kNormal, static_cast<int>(units.size()))
          .ToLocal(&text)) {
    return call.GetReturnValue().Set(text);
  }
  isolate->ThrowException(v8::Exception::RangeError(internalized(isolate, "Invalid string length")));
}

// (bytes that nobody changes any more): a string over their memory where it is long and ASCII.
void text_of_bytes(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  Realm::State& state = Realm::State::of(isolate);
  v8::Local<v8::String> text;
  if (text_of(state, chunk_of(state, call[0])).ToLocal(&text)) return call.GetReturnValue().Set(text);
  isolate->ThrowException(v8::Exception::RangeError(internalized(isolate, "Invalid string length")));
}

// (bytes): one character a byte.
void latin1_decode(Call call) { call.GetReturnValue().Set(latin1(call.GetIsolate(), bytes_at(call, 0))); }

// (string of characters below 256): Base64; null where one is not.
void base64_encode_text(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const v8::Local<v8::String> text = call[0].As<v8::String>();
  if (!text->ContainsOnlyOneByte()) return call.GetReturnValue().SetNull();
  std::string bytes(static_cast<std::size_t>(text->Length()), '\0');
  text->WriteOneByte(isolate, reinterpret_cast<std::uint8_t*>(bytes.data()), 0, text->Length(),
                     v8::String::NO_NULL_TERMINATION);
  call.GetReturnValue().Set(latin1(isolate, base64_encode(bytes)));
}

// (bytes)
void base64_encode_bytes(Call call) {
  call.GetReturnValue().Set(latin1(call.GetIsolate(), base64_encode(bytes_at(call, 0))));
}

// (string): one character a byte; null where it is not Base64.
void base64_decode_text(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const v8::Local<v8::String> text = call[0].As<v8::String>();
  std::string bytes;
  if (!text->ContainsOnlyOneByte() || !base64_decode(to_utf8(isolate, text), bytes)) {
    return call.GetReturnValue().SetNull();
  }
  call.GetReturnValue().Set(latin1(isolate, bytes));
}

constexpr Binding kBindings[] = {
    {"utf8Encode", utf8_encode},
    {"utf8EncodeInto", utf8_encode_into},
    {"utf8Decode", utf8_decode},
    {"utf16Decode", utf16_decode},
    {"textOf", text_of_bytes},
    {"latin1Decode", latin1_decode},
    {"base64EncodeText", base64_encode_text},
    {"base64EncodeBytes", base64_encode_bytes},
    {"base64DecodeText", base64_decode_text},
};

}  // namespace

std::span<const Binding> text_bindings() { return kBindings; }

}  // namespace verge::workers
