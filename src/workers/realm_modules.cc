// A program's modules: compiled on load, each once, linked by name. Names resolve as in a file tree with the program's
// root as "/"; nothing outside the program's own list can be imported.
#include <fmt/format.h>

#include "base/hash.h"
#include "workers/realm_code_cache.h"
#include "workers/realm_source_maps.h"
#include "workers/realm_state.h"

namespace verge::workers {
namespace {

// "lib/a.js" and "../b.js" give "b.js". A name that is not relative stands for itself.
std::string resolve_name(std::string_view referrer, std::string_view specifier) {
  if (!specifier.starts_with("./") && !specifier.starts_with("../") && !specifier.starts_with('/')) {
    return std::string(specifier);
  }
  std::vector<std::string_view> parts;
  const auto walk = [&](std::string_view path) {
    while (!path.empty()) {
      const std::size_t slash = path.find('/');
      const std::string_view part = path.substr(0, slash);
      if (part == "..") {
        if (!parts.empty()) parts.pop_back();
      } else if (!part.empty() && part != ".") {
        parts.push_back(part);
      }
      if (slash == std::string_view::npos) break;
      path.remove_prefix(slash + 1);
    }
  };
  if (!specifier.starts_with('/')) {
    const std::size_t slash = referrer.rfind('/');
    if (slash != std::string_view::npos) walk(referrer.substr(0, slash));
  }
  walk(specifier);
  return fmt::format("{}", fmt::join(parts, "/"));
}

v8::ScriptOrigin origin_of(v8::Isolate* isolate, v8::Local<v8::String> name, bool module) {
  return {isolate, name, 0, 0, false, -1, {}, false, false, module};
}

const Module* module_named(Realm::State& state, std::string_view referrer, std::string_view specifier,
                           std::size_t& index) {
  const auto found = state.module_by_name.find(resolve_name(referrer, specifier));
  if (found == state.module_by_name.end()) return nullptr;
  index = found->second;
  return state.modules[index].source;
}

std::string_view name_of(Realm::State& state, v8::Local<v8::Module> module) {
  for (const LoadedModule& loaded : state.modules) {
    if (!loaded.module.IsEmpty() && loaded.module == module) return loaded.source->name;
  }
  return {};
}

void throw_missing(Realm::State& state, std::string_view specifier, std::string_view referrer) {
  const std::string text = fmt::format("Cannot find module '{}', imported by '{}'", specifier, referrer);
  v8::Local<v8::String> message;
  if (!utf8(state.isolate, text).ToLocal(&message)) return;
  state.isolate->ThrowException(v8::Exception::TypeError(message));
}

// WebAssembly is a module of bytes that is named so.
bool is_wasm(const Module& module) { return module.kind == Module::Kind::Bytes && module.name.ends_with(".wasm"); }

// Compiled whole, on this thread.
v8::MaybeLocal<v8::Value> compile_wasm(v8::Isolate* isolate, std::string_view bytes) {
  return v8::WasmModuleObject::Compile(isolate, {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()})
      .FromMaybe(v8::Local<v8::WasmModuleObject>());
}

// The one export, "default", of a module that is not JavaScript.
v8::MaybeLocal<v8::Value> give_default(v8::Local<v8::Context> context, v8::Local<v8::Module> module) {
  v8::Isolate* isolate = context->GetIsolate();
  Realm::State& state = Realm::State::of(isolate);
  v8::Local<v8::Value> value;
  for (const LoadedModule& loaded : state.modules) {
    if (loaded.module != module) continue;
    const std::string& source = loaded.source->source;
    if (!loaded.value.IsEmpty()) {
      value = loaded.value.Get(isolate);
      continue;
    }
    if (loaded.source->kind == Module::Kind::Bytes) {
      value = buffer_of(state, Chunk::of(source));
      continue;
    }
    v8::Local<v8::String> text;
    if (!utf8(isolate, source).ToLocal(&text)) return {};
    value = text;
  }
  if (module->SetSyntheticModuleExport(isolate, internalized(isolate, "default"), value).IsNothing()) return {};
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(context).ToLocal(&resolver)) return {};
  if (resolver->Resolve(context, v8::Undefined(isolate)).IsNothing()) return {};
  return resolver->GetPromise();
}

v8::MaybeLocal<v8::Module> compile(Realm::State& state, std::size_t index, std::span<const std::byte> cached) {
  v8::Isolate* isolate = state.isolate;
  LoadedModule& loaded = state.modules[index];
  if (!loaded.module.IsEmpty()) return loaded.module.Get(isolate);
  v8::Local<v8::String> name;
  if (!utf8(isolate, loaded.source->name).ToLocal(&name)) return {};
  v8::Local<v8::Module> module;
  if (loaded.source->kind == Module::Kind::JavaScript) {
    v8::Local<v8::String> text;
    if (!utf8(isolate, loaded.source->source).ToLocal(&text)) return {};
    v8::ScriptCompiler::CachedData* cache = nullptr;
    if (!cached.empty()) {
      cache = new v8::ScriptCompiler::CachedData(reinterpret_cast<const std::uint8_t*>(cached.data()),
                                                 static_cast<int>(cached.size()));  // owned by `source`
    }
    v8::ScriptCompiler::Source source(text, origin_of(isolate, name, true), cache);
    const auto options =
        cache != nullptr ? v8::ScriptCompiler::kConsumeCodeCache : v8::ScriptCompiler::kNoCompileOptions;
    if (!v8::ScriptCompiler::CompileModule(isolate, &source, options).ToLocal(&module)) return {};
    if (cache == nullptr || cache->rejected) state.compiled_anew = true;
  } else {
    // What may fail is done here: V8 10.2 ends the process for an error of the evaluation steps of such a module.
    v8::Local<v8::Value> value;
    v8::Local<v8::String> text;
    if (is_wasm(*loaded.source)) {
      if (!compile_wasm(isolate, loaded.source->source).ToLocal(&value)) return {};
    } else if (loaded.source->kind == Module::Kind::Json) {
      if (!utf8(isolate, loaded.source->source).ToLocal(&text)) return {};
      if (!v8::JSON::Parse(state.context_here(), text).ToLocal(&value)) return {};
    }
    if (!value.IsEmpty()) loaded.value.Reset(isolate, value);
    module = v8::Module::CreateSyntheticModule(isolate, name, {internalized(isolate, "default")}, give_default);
  }
  loaded.module.Reset(isolate, module);
  return module;
}

// The exports of a module that comes with the platform.
v8::MaybeLocal<v8::Value> give_built_in(v8::Local<v8::Context> context, v8::Local<v8::Module> module) {
  v8::Isolate* isolate = context->GetIsolate();
  for (const BuiltInModule& known : Realm::State::of(isolate).built_ins) {
    if (known.module != module) continue;
    const v8::Local<v8::Object> exports = known.exports.Get(isolate);
    v8::Local<v8::Array> names;
    if (!exports->GetOwnPropertyNames(context).ToLocal(&names)) return {};
    for (std::uint32_t index = 0; index < names->Length(); ++index) {
      v8::Local<v8::Value> name;
      v8::Local<v8::Value> value;
      if (!names->Get(context, index).ToLocal(&name) || !exports->Get(context, name).ToLocal(&value)) return {};
      if (module->SetSyntheticModuleExport(isolate, name.As<v8::String>(), value).IsNothing()) return {};
    }
  }
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(context).ToLocal(&resolver)) return {};
  if (resolver->Resolve(context, v8::Undefined(isolate)).IsNothing()) return {};
  return resolver->GetPromise();
}

// Nothing: there is no such module.
v8::MaybeLocal<v8::Module> built_in(Realm::State& state, std::string_view specifier) {
  v8::Isolate* isolate = state.isolate;
  for (const BuiltInModule& known : state.built_ins) {
    if (known.name == specifier) return known.module.Get(isolate);
  }
  v8::Local<v8::String> name;
  v8::Local<v8::Value> exports;
  v8::Local<v8::Array> names;
  if (!utf8(isolate, specifier).ToLocal(&name)) return {};
  if (!state.call(Hook::BuiltIn, state.current, {name}).ToLocal(&exports) || !exports->IsObject()) return {};
  if (!exports.As<v8::Object>()->GetOwnPropertyNames(state.context_here()).ToLocal(&names)) return {};
  std::vector<v8::Local<v8::String>> exported;
  for (std::uint32_t index = 0; index < names->Length(); ++index) {
    v8::Local<v8::Value> one;
    if (!names->Get(state.context_here(), index).ToLocal(&one)) return {};
    exported.push_back(one.As<v8::String>());
  }
  const v8::Local<v8::Module> module = v8::Module::CreateSyntheticModule(isolate, name, exported, give_built_in);
  BuiltInModule& made = state.built_ins.emplace_back();
  made.name = specifier;
  made.module.Reset(isolate, module);
  made.exports.Reset(isolate, exports.As<v8::Object>());
  return module;
}

// Where a module asks for another, as file:line:column.
std::string place_of_import(v8::Local<v8::Context> context, v8::Local<v8::Module> module,
                            v8::Local<v8::String> specifier, std::string_view name) {
  const v8::Local<v8::FixedArray> requests = module->GetModuleRequests();
  for (int index = 0; index < requests->Length(); ++index) {
    const v8::Local<v8::ModuleRequest> request = requests->Get(context, index).As<v8::ModuleRequest>();
    if (!request->GetSpecifier()->StringEquals(specifier)) continue;
    v8::Location place = module->SourceOffsetToLocation(request->GetSourceOffset());
    return fmt::format("{}:{}:{}", name, place.GetLineNumber() + 1, place.GetColumnNumber() + 1);
  }
  return std::string(name);
}

v8::MaybeLocal<v8::Module> resolve(v8::Local<v8::Context> context, v8::Local<v8::String> specifier,
                                   v8::Local<v8::FixedArray>, v8::Local<v8::Module> referrer) {
  v8::Isolate* isolate = context->GetIsolate();
  Realm::State& state = Realm::State::of(isolate);
  const std::string wanted = to_utf8(isolate, specifier);
  const std::string_view from = name_of(state, referrer);
  std::size_t index = 0;
  if (module_named(state, from, wanted, index) != nullptr) return compile(state, index, {});
  v8::Local<v8::Module> module;
  if (built_in(state, wanted).ToLocal(&module)) return module;
  throw_missing(state, wanted, with_original_places(state, place_of_import(context, referrer, specifier, from)));
  return {};
}

// Evaluates; the promise that says when it has settled.
v8::MaybeLocal<v8::Promise> evaluate(Realm::State& state, v8::Local<v8::Module> module) {
  const v8::Local<v8::Context> context = state.context_here();
  if (module->GetStatus() == v8::Module::kUninstantiated && module->InstantiateModule(context, resolve).IsNothing()) {
    return {};
  }
  v8::Local<v8::Value> promise;
  if (!module->Evaluate(context).ToLocal(&promise)) return {};
  return promise.As<v8::Promise>();
}

// `name` is told where V8 knows no place: of WebAssembly.
std::unexpected<Error> load_failure(Realm::State& state, const v8::TryCatch& caught, std::string_view code,
                                    std::string_view name = {}) {
  if (state.condemned) return fail(state.condemned->code, state.condemned->text);
  if (caught.HasTerminated()) {
    const std::scoped_lock lock(state.termination_mutex);
    if (state.out_of_memory) return fail("workers.memory", "the worker's start needs more memory than it may have");
    return fail(state.termination_code, state.termination_text);
  }
  Failure failure = state.failure_of(caught.Message(), caught.Exception(), code);
  if (failure.position.empty()) failure.position = name;
  return fail(failure.code, failure.position.empty() ? failure.text : failure.position + ": " + failure.text);
}

Result<void> load_script(Realm::State& state, const Module& source, const v8::TryCatch& caught) {
  v8::Isolate* isolate = state.isolate;
  const v8::Local<v8::Context> context = state.context_here();
  v8::Local<v8::String> name;
  v8::Local<v8::String> text;
  v8::Local<v8::Script> script;
  if (!utf8(isolate, source.name).ToLocal(&name) || !utf8(isolate, source.source).ToLocal(&text)) {
    return fail("workers.syntax", "the script is longer than a string may be");
  }
  v8::ScriptOrigin origin = origin_of(isolate, name, false);
  if (!v8::Script::Compile(context, text, &origin).ToLocal(&script))
    return load_failure(state, caught, "workers.syntax");
  if (script->Run(context).IsEmpty()) return load_failure(state, caught, "workers.exception");
  return {};
}

v8::Local<v8::Object> env_of(Realm::State& state, const Program& program) {
  v8::Isolate* isolate = state.isolate;
  v8::Local<v8::Object> env = v8::Object::New(isolate);
  for (const Variable& variable : program.variables) {
    v8::Local<v8::String> name;
    v8::Local<v8::String> value;
    if (!utf8(isolate, variable.name).ToLocal(&name) || !utf8(isolate, variable.value).ToLocal(&value)) continue;
    if (env->CreateDataProperty(state.context_here(), name, value).IsNothing()) continue;
  }
  return env;
}

// A program whose main module is WebAssembly: a WASI command, which web/wasi.js runs for each request.
Result<void> load_command(Realm::State& state, const Program& program, const v8::TryCatch& caught) {
  v8::Isolate* isolate = state.isolate;
  const Module& main = program.modules[0];
  v8::Local<v8::Value> compiled;
  v8::Local<v8::String> name;
  if (!compile_wasm(isolate, main.source).ToLocal(&compiled) || !utf8(isolate, main.name).ToLocal(&name)) {
    return load_failure(state, caught, "workers.syntax", main.name);
  }
  v8::Local<v8::Value> lack;
  if (!state
           .call(Hook::Start, kNoEvent,
                 {compiled, env_of(state, program), latin1(isolate, program.compatibility_date), name})
           .ToLocal(&lack) ||
      lack->IsString()) {
    return fail("workers.no-handler",
                fmt::format("{} is no WASI command: {}", main.name, lack.IsEmpty() ? "" : to_utf8(isolate, lack)),
                "compile a program with main() for wasm32-wasi (preview 1)");
  }
  state.handlers.emplace_back("fetch");
  return {};
}

// Tells the platform of the default export, and notes which handlers it has.
Result<void> take_handlers(Realm::State& state, v8::Local<v8::Module> entry, const Program& program,
                           const v8::TryCatch& caught) {
  v8::Isolate* isolate = state.isolate;
  const v8::Local<v8::Context> context = state.context_here();
  v8::Local<v8::Value> exported;
  if (!entry->GetModuleNamespace()
           .As<v8::Object>()
           ->Get(context, internalized(isolate, "default"))
           .ToLocal(&exported)) {
    return load_failure(state, caught, "workers.exception");
  }
  std::vector<v8::Local<v8::Value>> bindings;  // name, kind, name, …
  for (const BoundName& binding : program.bindings) {
    v8::Local<v8::String> name;
    if (!utf8(isolate, binding.name).ToLocal(&name)) continue;
    bindings.push_back(name);
    bindings.push_back(v8::Integer::New(isolate, static_cast<int>(binding.kind)));
  }
  v8::Local<v8::Value> names;
  if (!state
           .call(Hook::Start, kNoEvent,
                 {exported, env_of(state, program), latin1(isolate, program.compatibility_date), v8::Undefined(isolate),
                  v8::Array::New(isolate, bindings.data(), bindings.size())})
           .ToLocal(&names) ||
      !names->IsString()) {
    return fail("workers.no-handler", fmt::format("{} has no handlers", entry.IsEmpty() ? "" : program.modules[0].name),
                "export default { async fetch(request, env, ctx) { return new Response(\"Hello\"); } }");
  }
  std::string all = to_utf8(isolate, names);
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t comma = std::min(all.find(',', at), all.size());
    state.handlers.push_back(all.substr(at, comma - at));
    at = comma + 1;
  }
  return {};
}

}  // namespace

bool warm_up_compiler(Realm::State& state) {
  // Its own compiled code is in the snapshot; what a worker's takes is a parser and a compiler, and their pages.
  constexpr std::string_view kModule = R"(let n = 0;
      const text = (a = {}, ...rest) => `${++n}${a.b ?? rest[0]}`;
      export default { async fetch(request, env) { for (const one of [1, 2]) text(request, one); return await text(env); } };)";
  v8::Isolate* isolate = state.isolate;
  if (state.engine.state().is_inspected) return true;  // whoever debugs would be shown it
  const v8::Local<v8::Context> context = state.context_here();
  const v8::TryCatch caught(isolate);
  // V8 knows a text again that it has compiled.
  static int times = 0;
  v8::ScriptCompiler::Source source(latin1(isolate, fmt::format("{} // {}", kModule, ++times)),
                                    origin_of(isolate, internalized(isolate, "warm-up"), true));
  v8::Local<v8::Module> module;
  v8::Local<v8::Value> value;
  const auto none = [](v8::Local<v8::Context>, v8::Local<v8::String>, v8::Local<v8::FixedArray>,
                       v8::Local<v8::Module>) { return v8::MaybeLocal<v8::Module>(); };
  if (!v8::ScriptCompiler::CompileModule(isolate, &source).ToLocal(&module)) return false;
  if (!module->InstantiateModule(context, none).FromMaybe(false)) return false;
  if (!module->Evaluate(context).ToLocal(&value)) return false;
  if (!module->GetModuleNamespace().As<v8::Object>()->Get(context, internalized(isolate, "default")).ToLocal(&value))
    return false;
  v8::Local<v8::Value> handler;
  if (!value.As<v8::Object>()->Get(context, internalized(isolate, "fetch")).ToLocal(&handler)) return false;
  std::array<v8::Local<v8::Value>, 2> arguments = {v8::Object::New(isolate), v8::Object::New(isolate)};
  return !handler.As<v8::Function>()->Call(context, value, arguments.size(), arguments.data()).IsEmpty();
}

Result<void> load_program(Realm::State& state, const Program& program) {
  v8::Isolate* isolate = state.isolate;
  const v8::Local<v8::Context> context = state.context_here();
  const v8::TryCatch caught(isolate);
  if (program.kind == Program::Kind::Script) return load_script(state, program.modules[0], caught);
  if (program.kind == Program::Kind::Worker && is_wasm(program.modules[0])) {
    return load_command(state, program, caught);
  }

  const CodeCacheReader cache(program.code_cache);
  for (std::size_t index = 0; index < program.modules.size(); ++index) {
    state.loaded_modules.push_back(std::make_unique<Module>(program.modules[index]));
    const Module& module = *state.loaded_modules.back();
    LoadedModule loaded;
    loaded.source = &module;
    loaded.source_hash = hash64(module.source);
    state.modules.push_back(std::move(loaded));
    state.module_by_name.emplace(module.name, index);
  }
  for (std::size_t index = 0; index < state.modules.size(); ++index) {
    const LoadedModule& loaded = state.modules[index];
    if (compile(state, index, cache.find(loaded.source->name, loaded.source_hash)).IsEmpty()) {
      return load_failure(state, caught, "workers.syntax", loaded.source->name);
    }
  }
  const v8::Local<v8::Module> entry = state.modules[0].module.Get(isolate);
  if (entry->GetStatus() == v8::Module::kUninstantiated && entry->InstantiateModule(context, resolve).IsNothing()) {
    return load_failure(state, caught, "workers.syntax");
  }
  v8::Local<v8::Promise> settled;
  if (!evaluate(state, entry).ToLocal(&settled)) return load_failure(state, caught, "workers.exception");
  if (program.kind == Program::Kind::ModuleScript) {
    state.script_promise.Reset(isolate, settled);
    settled->MarkAsHandled();
    return {};
  }
  isolate->PerformMicrotaskCheckpoint();
  if (state.termination_asked.load()) return load_failure(state, caught, "workers.terminated");
  settled->MarkAsHandled();
  if (settled->State() == v8::Promise::kPending) {
    return fail("workers.start",
                fmt::format("a top-level await of {} waits for something that cannot happen at start-up",
                            program.modules[0].name),
                "await inside a handler: timers, fetch and caches are there from the first request on");
  }
  if (settled->State() == v8::Promise::kRejected) {
    const Failure failure = state.failure_of(settled->Result());
    return fail(failure.code, failure.position.empty() ? failure.text : failure.position + ": " + failure.text);
  }
  return take_handlers(state, entry, program, caught);
}

v8::MaybeLocal<v8::Promise> import_dynamically(v8::Local<v8::Context> context, v8::Local<v8::Data>,
                                               v8::Local<v8::Value> referrer, v8::Local<v8::String> specifier,
                                               v8::Local<v8::FixedArray>) {
  v8::Isolate* isolate = context->GetIsolate();
  Realm::State& state = Realm::State::of(isolate);
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(context).ToLocal(&resolver)) return {};
  v8::TryCatch caught(isolate);
  const std::string wanted = to_utf8(isolate, specifier);
  const std::string from = to_utf8(isolate, referrer);
  std::size_t index = 0;
  v8::Local<v8::Module> module;
  v8::Local<v8::Promise> settled;
  const bool is_known = module_named(state, from, wanted, index) != nullptr;
  if (!is_known && !built_in(state, wanted).ToLocal(&module)) {
    throw_missing(state, wanted, from);
  } else if ((!is_known || compile(state, index, {}).ToLocal(&module)) && evaluate(state, module).ToLocal(&settled)) {
    // Resolves with the namespace once the module has settled.
    const auto then = [](const v8::FunctionCallbackInfo<v8::Value>& info) { info.GetReturnValue().Set(info.Data()); };
    v8::Local<v8::Function> give_namespace;
    if (v8::Function::New(context, then, module->GetModuleNamespace()).ToLocal(&give_namespace)) {
      return settled->Then(context, give_namespace);
    }
  }
  if (!caught.HasCaught() || caught.HasTerminated()) return {};
  if (resolver->Reject(context, caught.Exception()).IsNothing()) return {};
  return resolver->GetPromise();
}

void describe_module(v8::Local<v8::Context> context, v8::Local<v8::Module> module, v8::Local<v8::Object> meta) {
  v8::Isolate* isolate = context->GetIsolate();
  v8::Local<v8::String> url;
  if (!utf8(isolate, fmt::format("worker:///{}", name_of(Realm::State::of(isolate), module))).ToLocal(&url)) return;
  meta->CreateDataProperty(context, internalized(isolate, "url"), url).Check();
}

}  // namespace verge::workers
