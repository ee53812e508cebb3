#include "node/worker_bundle.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "node/config.h"
#include "node/json_toml.h"

namespace verge::node {
namespace {

using simdjson::dom::element;

constexpr size_t kModulesMax = 4096;
constexpr std::array<std::pair<std::string_view, calls::ModuleType>, 4> kTypes = {
    {{"javascript", calls::ModuleType::kJavaScript},
     {"json", calls::ModuleType::kJson},
     {"text", calls::ModuleType::kText},
     {"bytes", calls::ModuleType::kBytes}}};

std::unexpected<Error> bad_bundle(std::string what) {
  return fail("workers.bundle", std::move(what), "deploy with `verge worker deploy`, or see the format of bundles");
}

Result<isolates::ModuleSource> read_module(const element& value) {
  isolates::ModuleSource module;
  std::string_view name, type = "javascript", text;
  if (value["name"].get(name) != simdjson::SUCCESS || name.empty()) return bad_bundle("a module has no name");
  module.name = name;
  static_cast<void>(value["type"].get(type));
  const auto* known = std::ranges::find(kTypes, type, &std::pair<std::string_view, calls::ModuleType>::first);
  if (known == kTypes.end()) return bad_bundle(fmt::format("{} is no type of a module", json_string(type)));
  module.type = known->second;
  if (value["source"].get(text) == simdjson::SUCCESS) {
    module.source = text;
  } else if (value["base64"].get(text) == simdjson::SUCCESS) {
    std::optional<std::string> bytes = from_base64(text);
    if (!bytes) return bad_bundle(fmt::format("the base64 of module {} cannot be read", json_string(name)));
    module.source = *std::move(bytes);
  } else {
    return bad_bundle(fmt::format("module {} has neither source nor base64", json_string(name)));
  }
  return module;
}

// The keys of [[worker]], read as the file is.
Result<WorkerConfig> read_keys(const element& keys, std::string_view main_module) {
  simdjson::dom::object object;
  if (keys.get(object) != simdjson::SUCCESS) return bad_bundle("\"worker\" is no object");
  std::string toml = toml_of(keys);
  // It is here already.
  toml.insert(1, "file = " + json_string(main_module) + (object.size() == 0 ? "" : ", "));
  const std::vector<std::string> overrides = {"worker.0=" + toml};
  ConfigReading reading = read_config(std::nullopt, overrides);
  if (!reading.problems.empty()) return std::unexpected(reading.problems.front().error);
  if (reading.config.workers.size() != 1) return bad_bundle("\"worker\" cannot be read");
  return std::move(reading.config.workers.front());
}

}  // namespace

Result<WorkerSpec> read_worker_bundle(std::string_view json) {
  if (json.size() > kWorkerBundleBytesMax) return bad_bundle("the bundle is larger than 48 MiB");
  simdjson::dom::parser parser;
  const simdjson::padded_string text(json);
  element root, keys;
  simdjson::dom::array modules;
  if (parser.parse(text).get(root) != simdjson::SUCCESS || !root.is_object()) {
    return bad_bundle("the bundle is no JSON object");
  }
  if (root["worker"].get(keys) != simdjson::SUCCESS) return bad_bundle("the bundle has no \"worker\"");
  if (root["modules"].get(modules) != simdjson::SUCCESS || modules.size() == 0) {
    return bad_bundle("the bundle has no \"modules\"");
  }
  if (modules.size() > kModulesMax) return bad_bundle(fmt::format("{} modules are too many", modules.size()));
  WorkerSpec spec;
  for (const element module : modules) {
    Result<isolates::ModuleSource> read = read_module(module);
    if (!read) return std::unexpected(read.error());
    spec.modules.push_back(std::move(*read));
  }
  Result<WorkerConfig> config = read_keys(keys, spec.modules.front().name);
  if (!config) return std::unexpected(config.error());
  spec.config = std::move(*config);
  if (const Result<void> dated = settle_compatibility_date(spec); !dated) return std::unexpected(dated.error());
  spec.variables = spec.config.env;
  simdjson::dom::object secrets;
  if (root["secrets"].get(secrets) == simdjson::SUCCESS) {
    for (const auto& [name, value] : secrets) {
      std::string_view secret;
      if (value.get(secret) != simdjson::SUCCESS) return bad_bundle("a secret is a string");
      const bool is_twice = std::ranges::any_of(spec.variables, [&](const auto& one) { return one.first == name; });
      if (is_twice) return bad_bundle(fmt::format("{} is both in env and in secrets", json_string(name)));
      spec.variables.emplace_back(name, secret);
    }
  }
  return spec;
}

}  // namespace verge::node
