#include "payloads/cbor.h"

#include <iterator>
#include <utility>
#include <vector>

#include <cbor.h>
#include <fmt/format.h>

#include "base/text.h"

namespace verge::payloads {
namespace {

constexpr uint64_t kIndefinite = UINT64_MAX;

// Writes JSON as libcbor's decoder finds items, with a stack of those that are open.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& json) : json_(json) {}

  [[nodiscard]] bool is_good() const { return is_good_ && json_.size() <= kJsonBytesMax; }
  [[nodiscard]] bool is_done() const { return is_begun_ && open_.empty(); }

  void integer(uint64_t value) {
    if (begin_key()) {
      fmt::format_to(std::back_inserter(json_), "\"{}\":", value);
    } else if (begin()) {
      fmt::format_to(std::back_inserter(json_), "{}", value);
      end();
    }
  }
  // -1 - value
  void negative(uint64_t value) {
    const bool fits = value <= static_cast<uint64_t>(INT64_MAX);
    if (begin_key()) {
      if (!fits) return refuse();
      fmt::format_to(std::back_inserter(json_), "\"{}\":", -1 - static_cast<int64_t>(value));
    } else if (begin()) {
      if (fits) {
        fmt::format_to(std::back_inserter(json_), "{}", -1 - static_cast<int64_t>(value));
      } else {
        append_json_number(json_, -1.0 - static_cast<double>(value));
      }
      end();
    }
  }
  void number(double value) {
    if (!begin_value()) return;
    append_json_number(json_, value);
    end();
  }
  void word(std::string_view word) {
    if (!begin_value()) return;
    json_.append(word);
    end();
  }
  void text(std::string_view text) {
    if (is_in(Kind::kText)) {
      text_.append(text);
    } else if (begin_key()) {
      append_json_string(json_, text);
      json_.push_back(':');
    } else if (begin()) {
      append_json_string(json_, text);
      end();
    }
  }
  void bytes(std::string_view bytes) {
    if (is_in(Kind::kBytes)) {
      text_.append(bytes);
    } else if (begin_value()) {
      append_json_string(json_, base64(bytes));
      end();
    }
  }
  void open_text(bool is_bytes) {
    const bool is_key = !is_bytes && begin_key();
    if (!is_key && !begin_value()) return;
    text_.clear();
    push(is_bytes ? Kind::kBytes : Kind::kText, kIndefinite, is_key);
  }
  void open_array(uint64_t items) {
    if (!begin_value()) return;
    json_.push_back('[');
    push(Kind::kArray, items);
    close_full();
  }
  void open_map(uint64_t pairs) {
    if (!begin_value()) return;
    json_.push_back('{');
    push(Kind::kMap, pairs);
    close_full();
  }
  // The end of what is indefinite.
  void close() {
    if (open_.empty() || open_.back().left != kIndefinite || open_.back().wants_value) return refuse();
    pop();
  }

 private:
  enum class Kind : uint8_t { kArray, kMap, kText, kBytes };
  struct Open {
    Kind kind;
    uint64_t left;  // items or pairs; kIndefinite: until a break
    bool is_first = true;
    bool wants_value = false;  // of a map: its key has come
    bool is_key = false;       // of a text
  };

  void refuse() { is_good_ = false; }
  [[nodiscard]] bool is_in(Kind kind) const { return !open_.empty() && open_.back().kind == kind; }

  // True, and the separator is written, where a map's key stands next.
  bool begin_key() {
    if (!is_in(Kind::kMap) || open_.back().wants_value) return false;
    if (!std::exchange(open_.back().is_first, false)) json_.push_back(',');
    open_.back().wants_value = true;
    return true;
  }
  // The same where a value stands next.
  bool begin() {
    if (open_.empty()) {
      if (std::exchange(is_begun_, true)) refuse();
      return is_good_;
    }
    Open& in = open_.back();
    if (in.kind == Kind::kArray) {
      if (!std::exchange(in.is_first, false)) json_.push_back(',');
    } else if (in.kind != Kind::kMap) {
      refuse();  // a chunk of another kind
    }
    return is_good_;
  }
  // Of what cannot be a key.
  bool begin_value() {
    if (is_in(Kind::kMap) && !open_.back().wants_value) refuse();
    return is_good_ && begin();
  }
  void push(Kind kind, uint64_t left, bool is_key = false) {
    if (open_.size() == kNestingMax) return refuse();
    open_.push_back({.kind = kind, .left = left, .is_key = is_key});
  }
  // A value is complete, and with it what it was the last of.
  void end() {
    if (open_.empty()) return;
    open_.back().wants_value = false;
    if (open_.back().left != kIndefinite) --open_.back().left;
    close_full();
  }
  void close_full() {
    if (!open_.empty() && open_.back().left == 0) pop();
  }
  void pop() {
    const Open closed = open_.back();
    open_.pop_back();
    switch (closed.kind) {
      case Kind::kArray:
        json_.push_back(']');
        break;
      case Kind::kMap:
        json_.push_back('}');
        break;
      case Kind::kBytes:
        append_json_string(json_, base64(text_));
        break;
      case Kind::kText:
        append_json_string(json_, text_);
        if (closed.is_key) json_.push_back(':');
        break;
    }
    if (!closed.is_key) end();
  }

  std::string& json_;
  std::vector<Open> open_;
  std::string text_;  // chunks of one that is indefinite
  bool is_begun_ = false;
  bool is_good_ = true;
};

JsonWriter& writer(void* context) { return *static_cast<JsonWriter*>(context); }
std::string_view view(cbor_data bytes, size_t size) { return {reinterpret_cast<const char*>(bytes), size}; }

const cbor_callbacks kCallbacks = {
    .uint8 = [](void* to, uint8_t value) { writer(to).integer(value); },
    .uint16 = [](void* to, uint16_t value) { writer(to).integer(value); },
    .uint32 = [](void* to, uint32_t value) { writer(to).integer(value); },
    .uint64 = [](void* to, uint64_t value) { writer(to).integer(value); },
    .negint64 = [](void* to, uint64_t value) { writer(to).negative(value); },
    .negint32 = [](void* to, uint32_t value) { writer(to).negative(value); },
    .negint16 = [](void* to, uint16_t value) { writer(to).negative(value); },
    .negint8 = [](void* to, uint8_t value) { writer(to).negative(value); },
    .byte_string_start = [](void* to) { writer(to).open_text(/*is_bytes=*/true); },
    .byte_string = [](void* to, cbor_data bytes, size_t size) { writer(to).bytes(view(bytes, size)); },
    .string = [](void* to, cbor_data bytes, size_t size) { writer(to).text(view(bytes, size)); },
    .string_start = [](void* to) { writer(to).open_text(/*is_bytes=*/false); },
    .indef_array_start = [](void* to) { writer(to).open_array(kIndefinite); },
    .array_start = [](void* to, size_t items) { writer(to).open_array(items); },
    .indef_map_start = [](void* to) { writer(to).open_map(kIndefinite); },
    .map_start = [](void* to, size_t pairs) { writer(to).open_map(pairs); },
    .tag = [](void*, uint64_t) {},
    .float2 = [](void* to, float value) { writer(to).number(static_cast<double>(value)); },
    .float4 = [](void* to, float value) { writer(to).number(static_cast<double>(value)); },
    .float8 = [](void* to, double value) { writer(to).number(value); },
    .undefined = [](void* to) { writer(to).word("null"); },
    .null = [](void* to) { writer(to).word("null"); },
    .boolean = [](void* to, bool value) { writer(to).word(value ? "true" : "false"); },
    .indef_break = [](void* to) { writer(to).close(); },
};

class Cbor final : public Format {
 public:
  [[nodiscard]] bool append_json(std::string_view bytes, std::string& json) const override {
    JsonWriter out(json);
    size_t at = 0;
    while (!out.is_done()) {
      const cbor_decoder_result item =
          cbor_stream_decode(reinterpret_cast<cbor_data>(bytes.data()) + at, bytes.size() - at, &kCallbacks, &out);
      if (item.status != CBOR_DECODER_FINISHED || !out.is_good()) return false;
      at += item.read;
    }
    return at == bytes.size();
  }
};

}  // namespace

std::unique_ptr<const Format> cbor_format() { return std::make_unique<Cbor>(); }

}  // namespace verge::payloads
