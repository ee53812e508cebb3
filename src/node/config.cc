#include "node/config.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "base/named_file.h"
#include "node/config_override.h"
#include "node/config_reader.h"

namespace verge::node {
namespace {

constexpr size_t kFileBytesMax = 16U << 20;

Error unreadable(std::string_view path, const Unread& unread) {
  std::string fix = "give the path of a readable TOML file, or none for the defaults";
  if (unread.number == EACCES) fix = "let this user read the file";
  return {"config.file", fmt::format("cannot read {}: {}", path, unread.why), std::move(fix)};
}

// A node name made of the host's.
std::string host_name() {
  std::array<char, 256> buffer{};
  if (::gethostname(buffer.data(), buffer.size() - 1) != 0) return "node";
  std::string name(buffer.data());
  name.resize(std::min<size_t>(name.size(), 63));
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_';
  };
  for (char& c : name) {
    if (!allowed(c)) c = '-';
  }
  return name.empty() ? "node" : name;
}

// In the order of their places.
ConfigProblems located(const std::vector<Fault>& faults, const ConfigOrigin& origin) {
  std::multimap<Place, const Error*> ordered;
  for (const Fault& fault : faults) ordered.emplace(fault.place, &fault.error);
  ConfigProblems problems;
  for (const auto& [place, error] : ordered) problems.push_back({*error, origin.describe(place)});
  return problems;
}

// `config.origin` holds the file, if there is one, from which `document` was read.
ConfigReading finish(Table document, Config config, std::span<const std::string> overrides) {
  std::vector<Fault> faults;
  for (const std::string& text : overrides) {
    Table changed = document;
    if (std::optional<Fault> fault = apply_override(text, changed, config.origin)) {
      faults.push_back(*std::move(fault));
    } else {
      document = std::move(changed);
    }
  }
  for (Fault& fault : read_document(document, config)) faults.push_back(std::move(fault));
  if (config.node.name.empty()) config.node.name = host_name();
  ConfigReading reading;
  reading.problems = located(faults, config.origin);
  reading.config = std::move(config);
  return reading;
}

std::expected<Config, ConfigProblems> if_good(ConfigReading reading) {
  if (!reading.problems.empty()) return std::unexpected(std::move(reading.problems));
  return std::move(reading.config);
}

const std::string* text_of(const rules::RuleSource& rule, const rules::RuleProblem& problem, std::string& key) {
  using Part = rules::RuleProblem::Part;
  if (problem.part == Part::kName) return key.append(".name"), &rule.name;
  if (problem.part == Part::kSql) return key.append(".sql"), &rule.sql;
  key.append(".do");
  if (problem.part == Part::kActions || problem.action >= rule.actions.size()) return nullptr;
  key.append(fmt::format(".{}", problem.action));
  const rules::ActionSource& action = rule.actions[problem.action];
  const bool is_topic = problem.part == Part::kTopic;
  if (const auto* purge = std::get_if<rules::PurgeSource>(&action)) return key.append(".purge"), &purge->what;
  if (const auto* webhook = std::get_if<rules::WebhookSource>(&action)) {
    key.append(".payload");
    return webhook->payload ? &*webhook->payload : nullptr;
  }
  if (const auto* publish = std::get_if<rules::PublishSource>(&action)) {
    key.append(is_topic ? ".publish" : ".payload");
    return is_topic ? &publish->topic : publish->payload ? &*publish->payload : nullptr;
  }
  if (const auto* upload = std::get_if<rules::UploadSource>(&action); upload != nullptr && is_topic) {
    key.append(".topic");
    return upload->topic ? &*upload->topic : nullptr;
  }
  return nullptr;
}

}  // namespace

uint64_t RuntimeConfig::loop_count() const {
  if (loops > 0) return loops;
  return std::clamp<uint64_t>(std::thread::hardware_concurrency(), 1, kLoopsMax);
}

std::vector<PathConfig> ParentConfig::all_paths() const {
  if (url.empty()) return {};
  if (paths.empty()) return {{.url = url, .bind = {}}};
  std::vector<PathConfig> all = paths;
  for (PathConfig& path : all) {
    if (path.url.empty()) path.url = url;
  }
  return all;
}

std::string Config::place_of(const rules::RuleProblem& problem) const {
  if (problem.rule >= rules.size()) return {};
  std::string key = fmt::format("rule.{}", problem.rule);
  const std::string* text = text_of(rules[problem.rule], problem, key);
  return text == nullptr ? origin.place_of(key) : origin.place_of(key, *text, problem.offset);
}

ConfigReading read_config_text(std::string_view text, std::string_view name, std::span<const std::string> overrides) {
  Config config;
  const uint32_t source = config.origin.add_source({ConfigSource::Kind::kFile, std::string(name), std::string(text)});
  std::expected<Table, Fault> document = parse_document(text, source);
  if (!document) {
    return {.config = {}, .problems = located({document.error()}, config.origin), .is_readable = false};
  }
  return finish(*std::move(document), std::move(config), overrides);
}

ConfigReading read_config(const std::optional<std::filesystem::path>& file, std::span<const std::string> overrides) {
  if (!file) return finish({}, {}, overrides);
  const std::string path = file->string();
  const auto text = read_named_file(path, kFileBytesMax);
  if (!text) return {.config = {}, .problems = {{unreadable(path, text.error()), path}}, .is_readable = false};
  return read_config_text(*text, path, overrides);
}

std::expected<Config, ConfigProblems> parse_config(std::string_view text, std::string_view name,
                                                   std::span<const std::string> overrides) {
  return if_good(read_config_text(text, name, overrides));
}

std::expected<Config, ConfigProblems> load_config(const std::optional<std::filesystem::path>& file,
                                                  std::span<const std::string> overrides) {
  return if_good(read_config(file, overrides));
}

}  // namespace verge::node
