// Bindings of CompressionStream and DecompressionStream: steps of zlib, each of which makes one chunk at most.
#include <array>

#include "compress/deflate_stream.h"
#include "workers/realm_bindings.h"
#include "workers/realm_held.h"
#include "workers/realm_state.h"

namespace verge::workers {
namespace {

using Call = const v8::FunctionCallbackInfo<v8::Value>&;
using compress::DeflateFormat;
using compress::DeflateStream;

// Longest piece of output.
constexpr std::size_t kChunkBytes = 64u << 10;

struct Codec final : Held {
  std::unique_ptr<DeflateStream> stream;
};

void out_of_memory(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  isolate->ThrowException(v8::Exception::RangeError(internalized(isolate, "Array buffer allocation failed")));
}

// (format: 0 gzip, 1 zlib, 2 raw; whether it decompresses)
void codec(Call call) {
  Realm::State& state = Realm::State::of(call.GetIsolate());
  const auto format = static_cast<DeflateFormat>(call[0].As<v8::Number>()->Value());
  auto made = std::make_unique<Codec>();
  made->stream = call[1]->IsTrue() ? DeflateStream::decompressor(format) : DeflateStream::compressor(format);
  if (made->stream == nullptr) return out_of_memory(call);
  made->count(state.isolate, made->stream->memory_bytes());
  v8::Local<v8::Object> object;
  if (hold(state, std::move(made)).ToLocal(&object)) call.GetReturnValue().Set(object);
}

// (codec, view, bytes of it that are taken already, whether nothing follows): [outcome, taken bytes, ArrayBuffer or
// undefined]; the outcomes of compress::DeflateStream, in order.
void codec_step(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const Realm::State& state = Realm::State::of(isolate);
  DeflateStream& stream = *held_at<Codec>(call, 0).stream;
  const v8::Local<v8::ArrayBufferView> view = call[1].As<v8::ArrayBufferView>();
  // Nothing of JavaScript's runs meanwhile: the memory stays.
  const auto store = view->Buffer()->GetBackingStore();
  const auto skipped = static_cast<std::size_t>(call[2].As<v8::Number>()->Value());
  std::string_view input;
  if (view->ByteLength() > skipped) {
    input = {static_cast<const char*>(store->Data()) + view->ByteOffset() + skipped, view->ByteLength() - skipped};
  }
  const std::size_t given = input.size();
  std::array<char, kChunkBytes> room;
  if (!has_room(state, room.size())) return out_of_memory(call);
  std::size_t made = 0;
  const DeflateStream::Outcome outcome = stream.step(input, call[3]->IsTrue(), room, made);
  v8::Local<v8::Value> parts[] = {v8::Integer::New(isolate, static_cast<int>(outcome)),
                                  v8::Number::New(isolate, static_cast<double>(skipped + given - input.size())),
                                  v8::Undefined(isolate)};
  if (made > 0) {
    const v8::Local<v8::ArrayBuffer> piece = v8::ArrayBuffer::New(isolate, made);
    std::copy_n(room.data(), made, static_cast<char*>(piece->GetBackingStore()->Data()));
    parts[2] = piece;
  }
  call.GetReturnValue().Set(v8::Array::New(isolate, parts, std::size(parts)));
}

constexpr Binding kBindings[] = {{"codec", codec}, {"codecStep", codec_step}};

}  // namespace

std::span<const Binding> compression_bindings() { return kBindings; }

}  // namespace verge::workers
