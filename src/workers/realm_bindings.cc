#include "workers/realm_bindings.h"

#include <array>
#include <vector>

#include "workers/realm_state.h"

namespace verge::workers {
namespace {

std::array<std::span<const Binding>, 6> all_bindings() {
  return {host_bindings(),        text_bindings(), value_bindings(),
          compression_bindings(), html_bindings(), crypto_bindings()};
}

}  // namespace

BundleText& bundle_text() {
  static BundleText text;
  return text;
}

const std::intptr_t* external_references() {
  static const std::vector<std::intptr_t> references = [] {
    std::vector<std::intptr_t> all;
    for (const auto bindings : all_bindings()) {
      for (const Binding& binding : bindings) all.push_back(reinterpret_cast<std::intptr_t>(binding.call));
    }
    all.push_back(reinterpret_cast<std::intptr_t>(&bundle_text()));
    all.push_back(0);
    return all;
  }();
  return references.data();
}

v8::Local<v8::Object> make_bindings(v8::Isolate* isolate, v8::Local<v8::Context> context) {
  const v8::Local<v8::Object> host = v8::Object::New(isolate);
  for (const auto bindings : all_bindings()) {
    for (const Binding& binding : bindings) {
      const v8::Local<v8::FunctionTemplate> made =
          v8::FunctionTemplate::New(isolate, binding.call, {}, {}, 0, v8::ConstructorBehavior::kThrow);
      host->Set(context, internalized(isolate, binding.name), made->GetFunction(context).ToLocalChecked()).Check();
    }
  }
  return host;
}

}  // namespace verge::workers
