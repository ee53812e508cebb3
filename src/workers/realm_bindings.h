// What JavaScript of the platform (web/*.js) may call: functions of one object, `host`, that user code never sees.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <v8.h>

namespace verge::workers {

struct Binding {
  const char* name;
  v8::FunctionCallback call;
};

// realm_host_bindings.cc: answers, bodies, subrequests, caches, timers, console.
std::span<const Binding> host_bindings();
// realm_text_bindings.cc: UTF-8, Latin-1, Base64.
std::span<const Binding> text_bindings();
// realm_value_bindings.cc: structured clones, promises and proxies looked into, memory of ArrayBuffers moved.
std::span<const Binding> value_bindings();
// realm_compression_bindings.cc: steps of zlib.
std::span<const Binding> compression_bindings();
// realm_html_bindings.cc: HTML that is rewritten as it streams.
std::span<const Binding> html_bindings();
// realm_crypto_bindings.cc: Web Cryptography.
std::span<const Binding> crypto_bindings();

// The source of the platform. Every realm's heap refers to it and none has a copy: it is memory of the program (or,
// while the snapshot is made, of the tool), which must be set before the first realm.
class BundleText final : public v8::String::ExternalOneByteStringResource {
 public:
  void set(std::string_view text) { text_ = text; }
  const char* data() const override { return text_.data(); }
  std::size_t length() const override { return text_.size(); }
  void Dispose() override {}  // it belongs to no isolate

 private:
  std::string_view text_;
};
BundleText& bundle_text();

// Every binding's address, zero-terminated: a snapshot names functions by their place here.
const std::intptr_t* external_references();
v8::Local<v8::Object> make_bindings(v8::Isolate* isolate, v8::Local<v8::Context> context);

}  // namespace verge::workers
