#include <cstring>

#include "workers/realm_state.h"
#include "workers/realm_text.h"

namespace verge::workers {
namespace {

// Below this a copy costs less than a string with memory of its own, which V8 makes in its old generation: only a whole
// collection frees it.
constexpr std::size_t kExternalStringMin = 64U << 10;
// In UTF-8 that is less than Outbox::kShareBytesMin, below which bodies are copied.
constexpr int kShortText = 1024;

// A string's characters that live in a chunk. V8 collects in time only where it is told what they take; that they are
// gone is told later, as with Held: they go within a collection.
class ChunkString final : public v8::String::ExternalOneByteStringResource {
 public:
  ChunkString(Realm::State& state, Chunk chunk) : state_(state), chunk_(std::move(chunk)) {
    const std::int64_t gone = std::exchange(state.held_bytes_gone, 0);
    state.isolate->AdjustAmountOfExternalAllocatedMemory(static_cast<std::int64_t>(length()) - gone);
  }
  ~ChunkString() override { state_.held_bytes_gone += static_cast<std::int64_t>(length()); }
  const char* data() const override { return chunk_.bytes().data(); }
  std::size_t length() const override { return chunk_.bytes().size(); }
  const Chunk& chunk() const { return chunk_; }

 private:
  Realm::State& state_;
  Chunk chunk_;
};

// What an ArrayBuffer over a chunk keeps.
struct LentChunk {
  Chunk chunk;
  std::shared_ptr<v8::ArrayBuffer::Allocator> allocator;  // counts it; may outlive the isolate
};

void let_go(void*, std::size_t length, void* data) {
  auto* lent = static_cast<LentChunk*>(data);
  static_cast<BudgetAllocator*>(lent->allocator.get())->discharge(length);
  delete lent;
}

}  // namespace

v8::Local<v8::String> latin1(v8::Isolate* isolate, std::string_view text) {
  return v8::String::NewFromOneByte(isolate, reinterpret_cast<const std::uint8_t*>(text.data()),
                                    v8::NewStringType::kNormal, static_cast<int>(text.size()))
      .FromMaybe(v8::String::Empty(isolate));
}

v8::Local<v8::String> internalized(v8::Isolate* isolate, std::string_view text) {
  return v8::String::NewFromOneByte(isolate, reinterpret_cast<const std::uint8_t*>(text.data()),
                                    v8::NewStringType::kInternalized, static_cast<int>(text.size()))
      .ToLocalChecked();
}

v8::MaybeLocal<v8::String> utf8(v8::Isolate* isolate, std::string_view text) {
  if (text.size() > static_cast<std::size_t>(v8::String::kMaxLength)) return {};
  if (is_ascii(text)) return latin1(isolate, text);
  return v8::String::NewFromUtf8(isolate, text.data(), v8::NewStringType::kNormal, static_cast<int>(text.size()));
}

namespace {

void write_utf8(v8::Isolate* isolate, v8::Local<v8::String> text, std::string& out) {
  if (text->IsOneByte()) {
    out.resize(static_cast<std::size_t>(text->Length()));
    text->WriteOneByte(isolate, reinterpret_cast<std::uint8_t*>(out.data()), 0, text->Length(),
                       v8::String::NO_NULL_TERMINATION);
    if (is_ascii(out)) return;
  }
  out.resize(static_cast<std::size_t>(text->Utf8Length(isolate)));
  text->WriteUtf8(isolate, out.data(), static_cast<int>(out.size()), nullptr,
                  v8::String::NO_NULL_TERMINATION | v8::String::REPLACE_INVALID_UTF8);
}

}  // namespace

std::string to_utf8(v8::Isolate* isolate, v8::Local<v8::Value> value) {
  v8::Local<v8::String> text;
  if (value.IsEmpty() || !value->ToString(isolate->GetCurrentContext()).ToLocal(&text)) return {};
  std::string out;
  write_utf8(isolate, text, out);
  return out;
}

v8::MaybeLocal<v8::String> text_of(Realm::State& state, const Chunk& chunk) {
  std::string_view bytes = chunk.bytes();
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (bytes.size() < kExternalStringMin || bytes.size() > static_cast<std::size_t>(v8::String::kMaxLength) ||
      !is_ascii(bytes)) {
    return utf8(state.isolate, bytes);
  }
  auto* resource = new ChunkString(state, Chunk(bytes, chunk.keeper()));  // V8 deletes it with the string
  v8::MaybeLocal<v8::String> text = v8::String::NewExternalOneByte(state.isolate, resource);
  if (text.IsEmpty()) delete resource;
  return text;
}

v8::Local<v8::ArrayBuffer> buffer_of(Realm::State& state, const Chunk& chunk) {
  const std::string_view bytes = chunk.bytes();
  if (bytes.empty()) return v8::ArrayBuffer::New(state.isolate, 0);
  state.allocator->charge(bytes.size());
  auto* lent = new LentChunk{chunk, state.allocator_owner};
  // The memory is the chunk's alone: hosts hand a chunk over, they do not look at it again.
  auto store = v8::ArrayBuffer::NewBackingStore(const_cast<char*>(bytes.data()), bytes.size(), let_go, lent);
  return v8::ArrayBuffer::New(state.isolate, std::move(store));
}

Chunk chunk_of(Realm::State& state, v8::Local<v8::Value> value) {
  if (value->IsString()) {
    const v8::Local<v8::String> text = value.As<v8::String>();
    if (text->IsExternalOneByte()) {
      const auto* resource = text->GetExternalOneByteStringResource();
      return static_cast<const ChunkString*>(resource)->chunk();
    }
    return Chunk::of(to_utf8(state.isolate, text));
  }
  std::shared_ptr<v8::BackingStore> store;
  std::size_t offset = 0;
  std::size_t length = 0;
  if (value->IsArrayBufferView()) {
    const v8::Local<v8::ArrayBufferView> view = value.As<v8::ArrayBufferView>();
    length = view->ByteLength();
    if (length == 0) return {};
    offset = view->ByteOffset();
    store = view->Buffer()->GetBackingStore();
  } else if (value->IsArrayBuffer()) {
    store = value.As<v8::ArrayBuffer>()->GetBackingStore();
    length = store->ByteLength();
  }
  if (length == 0) return {};
  const std::string_view bytes(static_cast<const char*>(store->Data()) + offset, length);
  return {bytes, std::move(store)};
}

Chunk passing_chunk_of(Realm::State& state, v8::Local<v8::Value> value, std::string& scratch) {
  if (!value->IsString() || value.As<v8::String>()->Length() >= kShortText) return chunk_of(state, value);
  write_utf8(state.isolate, value.As<v8::String>(), scratch);
  return {scratch, nullptr};
}

void append_block(std::string& out, std::span<const Field> fields) {
  for (const Field& field : fields) {
    out.append(field.name).push_back('\0');
    out.append(field.value).push_back('\0');
  }
}

std::string block_of(std::span<const Field> fields) {
  std::string block;
  append_block(block, fields);
  return block;
}

void fields_of(std::string_view block, std::vector<Field>& fields) {
  fields.clear();
  while (!block.empty()) {
    const std::size_t name_end = block.find('\0');
    if (name_end == std::string_view::npos) break;
    const std::size_t value_end = block.find('\0', name_end + 1);
    if (value_end == std::string_view::npos) break;
    fields.push_back({block.substr(0, name_end), block.substr(name_end + 1, value_end - name_end - 1)});
    block.remove_prefix(value_end + 1);
  }
}

std::vector<Field> fields_of(std::string_view block) {
  std::vector<Field> fields;
  fields_of(block, fields);
  return fields;
}

}  // namespace verge::workers
