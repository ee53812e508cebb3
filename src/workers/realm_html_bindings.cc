// Bindings of HTMLRewriter (web/html_rewriter.js) to HtmlRewriter. All but html() and htmlProblem() have a rewriter as
// their first argument.
#include <cstring>

#include "workers/realm_bindings.h"
#include "workers/realm_held.h"
#include "workers/realm_html.h"
#include "workers/realm_state.h"

namespace verge::workers {
namespace {

using Call = const v8::FunctionCallbackInfo<v8::Value>&;

struct Rewriting final : Held {
  HtmlRewriter rewriter;
};

HtmlRewriter& rewriter_of(Call call) { return held_at<Rewriting>(call, 0).rewriter; }
uint32_t number_at(Call call, int index) { return static_cast<uint32_t>(call[index].As<v8::Number>()->Value()); }
std::string text_at(Call call, int index) { return to_utf8(call.GetIsolate(), call[index]); }

void give(Call call, std::string_view text) {
  v8::Local<v8::String> value;
  if (utf8(call.GetIsolate(), text).ToLocal(&value)) call.GetReturnValue().Set(value);
}

v8::Local<v8::Value> value_of(v8::Isolate* isolate, const std::optional<std::string_view>& text) {
  v8::Local<v8::String> value;
  if (!text || !utf8(isolate, *text).ToLocal(&value)) return v8::Null(isolate);
  return value;
}

void html(Call call) {
  v8::Local<v8::Object> object;
  if (hold(Realm::State::of(call.GetIsolate()), std::make_unique<Rewriting>()).ToLocal(&object)) {
    call.GetReturnValue().Set(object);
  }
}

// (selector): why it is none; undefined where it is one.
void problem(Call call) {
  HtmlSelectors selectors;
  if (const auto its = selectors.add(text_at(call, 0), 0)) give(call, *its);
}

// (rewriter, selector or null for the document, handler, what it wants)
void add(Call call) {
  HtmlRewriter& rewriter = rewriter_of(call);
  const auto wants = static_cast<uint8_t>(number_at(call, 3));
  if (call[1]->IsString()) {
    rewriter.add(text_at(call, 1), number_at(call, 2), wants);
  } else {
    rewriter.add_document(number_at(call, 2), wants);
  }
}

// (rewriter, view)
void write(Call call) {
  auto& its = held_at<Rewriting>(call, 0);
  const v8::Local<v8::ArrayBufferView> view = call[1].As<v8::ArrayBufferView>();
  if (view->ByteLength() == 0) return;
  const auto store = view->Buffer()->GetBackingStore();
  its.rewriter.write({static_cast<const char*>(store->Data()) + view->ByteOffset(), view->ByteLength()});
  its.count(call.GetIsolate(), its.rewriter.memory_bytes());
}

void finish(Call call) { rewriter_of(call).finish(); }

void next(Call call) { call.GetReturnValue().Set(static_cast<int>(rewriter_of(call).next())); }

void handlers(Call call) {
  std::vector<v8::Local<v8::Value>> all;
  for (const uint32_t handler : rewriter_of(call).handlers()) {
    all.push_back(v8::Integer::NewFromUnsigned(call.GetIsolate(), handler));
  }
  call.GetReturnValue().Set(v8::Array::New(call.GetIsolate(), all.data(), all.size()));
}

// The output that there is, as an ArrayBuffer; undefined where there is none.
void take(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const Realm::State& state = Realm::State::of(isolate);
  std::string& output = rewriter_of(call).output();
  if (output.empty()) return;
  if (!has_room(state, output.size())) {
    isolate->ThrowException(v8::Exception::RangeError(internalized(isolate, "Array buffer allocation failed")));
    return;
  }
  const v8::Local<v8::ArrayBuffer> buffer = v8::ArrayBuffer::New(isolate, output.size());
  std::memcpy(buffer->GetBackingStore()->Data(), output.data(), output.size());
  output.clear();
  call.GetReturnValue().Set(buffer);
}

void failure(Call call) { give(call, rewriter_of(call).problem()); }
void text(Call call) { give(call, rewriter_of(call).text()); }
void set_text(Call call) { rewriter_of(call).set_text(text_at(call, 1)); }
void is_last(Call call) { call.GetReturnValue().Set(rewriter_of(call).is_last_of_text()); }
void is_foreign(Call call) { call.GetReturnValue().Set(rewriter_of(call).is_foreign()); }
void has_content(Call call) { call.GetReturnValue().Set(rewriter_of(call).has_content()); }

// [name, public, system]
void doctype(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  const HtmlRewriter::Doctype its = rewriter_of(call).doctype();
  v8::Local<v8::Value> parts[] = {value_of(isolate, its.name), value_of(isolate, its.public_id),
                                  value_of(isolate, its.system_id)};
  call.GetReturnValue().Set(v8::Array::New(isolate, parts, std::size(parts)));
}

// [name, value, name, …]
void attributes(Call call) {
  v8::Isolate* isolate = call.GetIsolate();
  std::vector<v8::Local<v8::Value>> all;
  for (const HtmlAttribute& attribute : rewriter_of(call).attributes()) {
    all.push_back(value_of(isolate, attribute.name));
    all.push_back(value_of(isolate, attribute.value));
  }
  call.GetReturnValue().Set(v8::Array::New(isolate, all.data(), all.size()));
}

void attribute(Call call) {
  call.GetReturnValue().Set(value_of(call.GetIsolate(), rewriter_of(call).attribute(text_at(call, 1))));
}
void set_attribute(Call call) { rewriter_of(call).set_attribute(text_at(call, 1), text_at(call, 2)); }
void remove_attribute(Call call) { rewriter_of(call).remove_attribute(text_at(call, 1)); }

// (rewriter, place, content, whether it is HTML)
void insert(Call call) {
  const std::string content = text_at(call, 2);
  rewriter_of(call).insert(static_cast<HtmlRewriter::Place>(number_at(call, 1)),
                           call[3]->IsTrue() ? content : HtmlRewriter::escaped(content));
}

// (rewriter, whether the content of an element stays)
void remove(Call call) { call[1]->IsTrue() ? rewriter_of(call).remove_tags() : rewriter_of(call).remove(); }
void is_removed(Call call) { call.GetReturnValue().Set(rewriter_of(call).is_removed()); }
void watch_end(Call call) { rewriter_of(call).watch_end(number_at(call, 1)); }

constexpr Binding kBindings[] = {
    {"html", html},
    {"htmlProblem", problem},
    {"htmlAdd", add},
    {"htmlWrite", write},
    {"htmlFinish", finish},
    {"htmlNext", next},
    {"htmlHandlers", handlers},
    {"htmlTake", take},
    {"htmlFailure", failure},
    {"htmlText", text},
    {"htmlSetText", set_text},
    {"htmlIsLast", is_last},
    {"htmlIsForeign", is_foreign},
    {"htmlHasContent", has_content},
    {"htmlDoctype", doctype},
    {"htmlAttributes", attributes},
    {"htmlAttribute", attribute},
    {"htmlSetAttribute", set_attribute},
    {"htmlRemoveAttribute", remove_attribute},
    {"htmlInsert", insert},
    {"htmlRemove", remove},
    {"htmlIsRemoved", is_removed},
    {"htmlWatchEnd", watch_end},
};

}  // namespace

std::span<const Binding> html_bindings() { return kBindings; }

}  // namespace verge::workers
