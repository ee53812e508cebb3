#include "cli/rule_trial.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "model/topic.h"
#include "node/json_text.h"
#include "rules/functions.h"

namespace verge::cli {
namespace {

using simdjson::dom::element;

// JSON as it is; any other bytes as a string.
std::string payload_json(std::string_view payload) {
  simdjson::dom::parser parser;
  element value;
  return node::parse_json(parser, payload, value) == simdjson::SUCCESS ? std::string(payload) : json_string(payload);
}

// A string's own text; of any other value its JSON, with all digits that the line has.
Payload payload_of(const simdjson::dom::object& object, const element& payload, std::string_view line) {
  if (payload.is_string()) return Payload(payload.get_string().value_unsafe());
  size_t place = 0;
  for (const auto& field : object) {
    if (field.key == "payload") break;
    ++place;
  }
  return Payload(node::json_minified(node::json_values(line)[place]));
}

rules::Value time_value(const element& time) {
  if (time.is_string()) return rules::Value::text(time.get_string().value_unsafe());
  if (time.is_int64()) return rules::Value::integer(time.get_int64().value_unsafe());
  return time.is_double() ? rules::Value::number(time.get_double().value_unsafe()) : rules::Value{};
}

Result<void> refuse_line(std::string what) {
  return fail("rules.line", std::move(what), R"(write {"topic":"plant/a/oven","payload":{"temperature":21}})");
}

}  // namespace

RuleTrial::RuleTrial(std::shared_ptr<const rules::RuleSet> rules, std::function<void(const std::string&)> print)
    : print_(std::move(print)), evaluator_(std::move(rules), budget_), remembered_(evaluator_.rules().rules().size()) {}

Result<void> RuleTrial::take(std::string_view line) {
  ++messages_;
  simdjson::dom::parser parser;
  element root;
  simdjson::dom::object object;
  if (node::parse_json(parser, line, root) != simdjson::SUCCESS || root.get(object) != simdjson::SUCCESS) {
    return refuse_line(fmt::format("line {} is no JSON object", messages_));
  }
  std::string_view topic;
  element payload;
  element time;
  std::string_view device;
  if (object["topic"].get_string().get(topic) != simdjson::SUCCESS || !is_topic_name(topic)) {
    return refuse_line(fmt::format("line {} has no topic", messages_));
  }
  if (object["payload"].get(payload) != simdjson::SUCCESS) {
    return refuse_line(fmt::format("line {} has no payload", messages_));
  }
  static_cast<void>(object["device"].get_string().get(device));
  if (object["time"].get(time) == simdjson::SUCCESS) {
    const std::optional<int64_t> time_us = rules::microseconds_of(time_value(time));
    if (!time_us) return refuse_line(fmt::format("line {}: its time is neither ms since 1970 nor RFC 3339", messages_));
    now_ = WallTime{*time_us};
  } else {
    now_.microseconds += 1000;
  }
  evaluator_.advance(now_, *this);
  const Payload bytes = payload_of(object, payload, line);
  evaluator_.evaluate({.topic = topic, .device = device, .payload = bytes, .received = now_}, *this);
  return {};
}

void RuleTrial::finish() { evaluator_.drain(*this); }

void RuleTrial::publish(const rules::Rule& rule, std::string_view topic, std::string_view device, Payload payload,
                        uint8_t, bool) {
  print_(fmt::format(R"({{"rule":{},"action":"publish","topic":{},"device":{},"payload":{}}})", json_string(rule.name),
                     json_string(topic), json_string(device), payload_json(payload.view())));
}

void RuleTrial::upload(const rules::Rule& rule, EventKind, Priority priority, std::string_view topic,
                       std::string_view device, Payload payload, WallTime time) {
  print_(fmt::format(R"({{"rule":{},"action":"upload","priority":"{}","topic":{},"device":{},"time":{},"payload":{}}})",
                     json_string(rule.name), name_of(priority), json_string(topic), json_string(device),
                     time.microseconds / 1000, payload_json(payload.view())));
}

void RuleTrial::drop(const rules::Rule& rule) {
  print_(fmt::format(R"({{"rule":{},"action":"drop"}})", json_string(rule.name)));
}

void RuleTrial::webhook(const rules::Rule& rule, const rules::WebhookAction& action, Payload payload, bool) {
  print_(fmt::format(R"({{"rule":{},"action":"webhook","url":{},"payload":{}}})", json_string(rule.name),
                     json_string(action.url), payload_json(payload.view())));
}

void RuleTrial::call(const rules::Rule& rule, std::string_view worker, std::string_view topic, Payload payload,
                     WallTime) {
  print_(fmt::format(R"({{"rule":{},"action":"worker","worker":{},"topic":{},"payload":{}}})", json_string(rule.name),
                     json_string(worker), json_string(topic), json_string(payload.view())));
}

void RuleTrial::purge(const rules::Rule& rule, rules::PurgeScope, std::string_view what, bool) {
  print_(fmt::format(R"({{"rule":{},"action":"purge","what":{}}})", json_string(rule.name), json_string(what)));
}

void RuleTrial::store(const rules::Rule& rule, EventKind, bool is_hot, std::string_view topic, std::string_view device,
                      Payload payload, WallTime time) {
  print_(fmt::format(R"({{"rule":{},"action":"store","class":"{}","topic":{},"device":{},"time":{},"payload":{}}})",
                     json_string(rule.name), is_hot ? "hot" : "batch", json_string(topic), json_string(device),
                     time.microseconds / 1000, payload_json(payload.view())));
}

void RuleTrial::ask(const rules::Rule& rule, const rules::AskAction& action, const rules::Question& question) {
  const std::string otherwise = question.otherwise ? payload_json(question.otherwise->view()) : "null";
  print_(fmt::format(R"({{"rule":{},"action":"ask","question":{},"topic":{},"device":{},"payload":{},"otherwise":{}}})",
                     json_string(rule.name), json_string(action.question), json_string(question.decision_topic),
                     json_string(question.device), payload_json(question.payload.view()), otherwise));
}

void RuleTrial::not_performed(const rules::Rule& rule, size_t action, std::string_view why) {
  print_(fmt::format(R"({{"rule":{},"not_performed":{},"why":{}}})", json_string(rule.name), action, json_string(why)));
}

void RuleTrial::hand_over(rules::RuleInput input) {
  if (const rules::Rule* rule = evaluator_.rules().find(input.rule)) ++remembered_[rule->index];
  evaluator_.accept(input, now_, *this);
}

}  // namespace verge::cli
