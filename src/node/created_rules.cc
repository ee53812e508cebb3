#include "node/created_rules.h"

#include <algorithm>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "node/config.h"
#include "node/json_toml.h"

namespace verge::node {
namespace {

using simdjson::dom::element;

bool has_name(const std::vector<rules::RuleSource>& rules, std::string_view name) {
  return std::ranges::find(rules, name, &rules::RuleSource::name) != rules.end();
}

}  // namespace

Result<rules::RuleSource> read_rule(std::string_view json) {
  simdjson::dom::parser parser;
  const simdjson::padded_string text(json);
  element root;
  if (parser.parse(text).get(root) != simdjson::SUCCESS || !root.is_object()) {
    return fail("rules.json", "the rule is no JSON object",
                R"(send {"name":"hot","sql":"SELECT * FROM 'plant/+/oven'","do":[{"upload":"normal"}]})");
  }
  const std::vector<std::string> overrides = {"rule.0=" + toml_of(root)};
  ConfigReading reading = read_config(std::nullopt, overrides);
  if (!reading.problems.empty()) return std::unexpected(reading.problems.front().error);
  if (reading.config.rules.size() != 1) {
    return fail("rules.json", "the rule cannot be read", "see [[rule]] in the reference");
  }
  return std::move(reading.config.rules.front());
}

Result<void> CreatedRules::load() {
  const Result<std::string> text = file_system_->read_file(path_, kCreatedRulesBytesMax);
  if (!text && text.error().code == "storage.missing") return {};
  if (!text) return std::unexpected(text.error());
  simdjson::dom::parser parser;
  const simdjson::padded_string copy(*text);
  element root;
  simdjson::dom::array rules;
  simdjson::dom::array stopped;
  if (parser.parse(copy).get(root) != simdjson::SUCCESS || root["rules"].get_array().get(rules) != simdjson::SUCCESS ||
      root["stopped"].get_array().get(stopped) != simdjson::SUCCESS) {
    return fail("rules.json", fmt::format("{} cannot be read", path_),
                "restore it, or remove it and create the rules again");
  }
  for (const element rule : rules) {
    std::string json = simdjson::minify(rule);
    Result<rules::RuleSource> read = read_rule(json);
    if (!read) return std::unexpected(read.error());
    created_.push_back({std::move(*read), std::move(json)});
  }
  for (const element name : stopped) {
    if (name.is_string()) stopped_.emplace_back(name.get_string().value_unsafe());
  }
  return {};
}

Result<void> CreatedRules::save() const {
  std::string out = "{\"rules\":[";
  for (const Created& each : created_) out.append(&each == created_.data() ? "" : ",\n").append(each.json);
  out.append("],\n\"stopped\":[");
  for (const std::string& name : stopped_) out.append(&name == stopped_.data() ? "" : ",").append(json_string(name));
  out.append("]}\n");
  return file_system_->replace_file(path_, out);
}

Result<void> CreatedRules::create(std::string_view json, const std::vector<rules::RuleSource>& configured) {
  Result<rules::RuleSource> rule = read_rule(json);
  if (!rule) return std::unexpected(rule.error());
  if (has_name(configured, rule->name) || is_created(rule->name)) {
    return fail("rules.exists", fmt::format("there is a rule {}", rule->name),
                "choose another name, or delete that first");
  }
  if (created_.size() == kCreatedRulesMax) {
    return fail("rules.too-many", fmt::format("{} rules were created", kCreatedRulesMax), "delete some");
  }
  simdjson::dom::parser parser;
  const simdjson::padded_string text(json);
  created_.push_back({std::move(*rule), simdjson::minify(parser.parse(text).value())});
  return {};
}

Result<void> CreatedRules::check_known(std::string_view name, const std::vector<rules::RuleSource>& configured) const {
  if (has_name(configured, name) || is_created(name)) return {};
  std::vector<std::string> names;
  for (const rules::RuleSource& rule : all(configured)) names.push_back(rule.name);
  const std::string near = nearest(name, names);
  return fail("rules.unknown", fmt::format("there is no rule {}", name),
              near.empty() ? "see GET /v1/rules" : fmt::format("did you mean {}?", near));
}

Result<void> CreatedRules::check_created(std::string_view name,
                                         const std::vector<rules::RuleSource>& configured) const {
  if (const Result<void> known = check_known(name, configured); !known) return known;
  if (is_created(name)) return {};
  return fail("rules.configured", fmt::format("the rule {} is in the configuration", name),
              "stop it, or change the file and reload");
}

Result<void> CreatedRules::replace(std::string_view name, std::string_view json,
                                   const std::vector<rules::RuleSource>& configured) {
  if (const Result<void> created = check_created(name, configured); !created) return created;
  Result<rules::RuleSource> rule = read_rule(json);
  if (!rule) return std::unexpected(rule.error());
  if (rule->name != name) {
    return fail("rules.name", fmt::format("the rule {} cannot become {}", name, rule->name),
                "give it the name that it has, or create another");
  }
  simdjson::dom::parser parser;
  const simdjson::padded_string text(json);
  const auto place = std::ranges::find_if(created_, [&](const Created& each) { return each.rule.name == name; });
  *place = {std::move(*rule), simdjson::minify(parser.parse(text).value())};
  return {};
}

Result<void> CreatedRules::remove(std::string_view name, const std::vector<rules::RuleSource>& configured) {
  if (const Result<void> created = check_created(name, configured); !created) return created;
  std::erase_if(created_, [&](const Created& each) { return each.rule.name == name; });
  std::erase(stopped_, name);
  return {};
}

Result<void> CreatedRules::stop(std::string_view name, const std::vector<rules::RuleSource>& configured) {
  if (const Result<void> known = check_known(name, configured); !known) return known;
  if (!is_stopped(name)) stopped_.emplace_back(name);
  return {};
}

Result<void> CreatedRules::start(std::string_view name, const std::vector<rules::RuleSource>& configured) {
  if (const Result<void> known = check_known(name, configured); !known) return known;
  std::erase(stopped_, name);
  return {};
}

bool CreatedRules::is_created(std::string_view name) const {
  return std::ranges::any_of(created_, [&](const Created& each) { return each.rule.name == name; });
}

bool CreatedRules::is_stopped(std::string_view name) const {
  return std::ranges::find(stopped_, name) != stopped_.end();
}

std::vector<rules::RuleSource> CreatedRules::all(const std::vector<rules::RuleSource>& configured) const {
  std::vector<rules::RuleSource> rules = configured;
  for (const Created& each : created_) {
    if (!has_name(configured, each.rule.name)) rules.push_back(each.rule);
  }
  return rules;
}

std::vector<rules::RuleSource> CreatedRules::running(const std::vector<rules::RuleSource>& configured) const {
  std::vector<rules::RuleSource> rules = all(configured);
  std::erase_if(rules, [&](const rules::RuleSource& rule) { return is_stopped(rule.name); });
  return rules;
}

}  // namespace verge::node
