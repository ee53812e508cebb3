// The keys of rules, what they look up in and how they read payloads; see config_schema.cc.

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <fmt/format.h>

#include "base/text.h"
#include "model/topic.h"
#include "node/config_address.h"
#include "node/config_schema.h"

namespace verge::node {
namespace {

constexpr uint64_t kMiB = 1ULL << 20;
constexpr uint64_t kGiB = 1ULL << 30;

// How an upload says its priority: by name, or by the row.
enum class UploadWord : uint8_t { kCritical, kHigh, kNormal, kLow, kImportance };

std::optional<Priority> priority_of(UploadWord word) {
  switch (word) {
    case UploadWord::kCritical:
      return Priority::kCritical;
    case UploadWord::kHigh:
      return Priority::kHigh;
    case UploadWord::kNormal:
      return Priority::kNormal;
    case UploadWord::kLow:
      return Priority::kLow;
    case UploadWord::kImportance:
      break;
  }
  return std::nullopt;
}

Choice<UploadWord> upload_choice() {
  Choice<UploadWord> words;
  for (const Priority priority : kPriorities) {
    for (const UploadWord word : {UploadWord::kCritical, UploadWord::kHigh, UploadWord::kNormal, UploadWord::kLow}) {
      if (priority_of(word) == priority) words.choices.emplace_back(name_of(priority), word);
    }
  }
  words.choices.emplace_back("importance", UploadWord::kImportance);
  return words;
}

UploadWord word_of(const std::optional<Priority>& priority) {
  for (const auto& [name, word] : upload_choice().choices) {
    if (priority_of(word) == priority) return word;
  }
  return UploadWord::kImportance;
}

enum class StoreWord { kHot, kBatch, kImportance };

// An action as it is written: a table whose first key says what it does.
struct ActionForm {
  std::optional<std::string> publish;
  std::optional<std::string> payload;
  std::optional<uint64_t> qos;
  std::optional<bool> retain;
  std::optional<UploadWord> upload;
  std::optional<std::string> topic;
  std::optional<bool> drop;
  std::optional<std::string> purge;
  std::optional<rules::PurgeScope> by;
  std::optional<bool> soft;
  std::optional<std::string> webhook;
  std::optional<Duration> timeout;
  std::optional<uint64_t> attempts;
  std::optional<std::string> worker;
  std::optional<std::string> ask;
  std::optional<std::string> otherwise;
  std::optional<rules::AskLevel> level;
  std::optional<Duration> deadline;
  std::optional<bool> answer;
  std::optional<StoreWord> store;
  std::optional<std::string> insight;
  std::optional<std::string> of;
  std::optional<Priority> priority;
};

ActionForm form_of(const rules::ActionSource& action) {
  ActionForm form;
  if (const auto* publish = std::get_if<rules::PublishSource>(&action)) {
    form.publish = publish->topic;
    form.payload = publish->payload;
    form.qos = publish->qos;
    form.retain = publish->retain;
  } else if (const auto* upload = std::get_if<rules::UploadSource>(&action)) {
    form.upload = word_of(upload->priority);
    form.topic = upload->topic;
  } else if (const auto* purge = std::get_if<rules::PurgeSource>(&action)) {
    form.purge = purge->what;
    form.by = purge->scope;
    form.soft = purge->softly;
  } else if (const auto* webhook = std::get_if<rules::WebhookSource>(&action)) {
    form.webhook = webhook->url;
    form.payload = webhook->payload;
    form.timeout = webhook->timeout;
    form.attempts = webhook->attempts;
  } else if (const auto* call = std::get_if<rules::CallSource>(&action)) {
    form.worker = call->worker;
  } else if (const auto* ask = std::get_if<rules::AskSource>(&action)) {
    form.ask = ask->question;
    form.publish = ask->topic;
    form.otherwise = ask->otherwise;
    form.level = ask->level;
    form.deadline = ask->deadline;
    form.qos = ask->qos;
    form.retain = ask->retain;
  } else if (const auto* insight = std::get_if<rules::InsightSource>(&action)) {
    form.insight = insight->type;
    form.of = insight->of;
    form.priority = insight->priority;
    form.topic = insight->topic;
  } else if (const auto* store = std::get_if<rules::StoreSource>(&action)) {
    form.store = store->by_importance ? StoreWord::kImportance : store->is_hot ? StoreWord::kHot : StoreWord::kBatch;
    form.topic = store->topic;
  } else if (std::holds_alternative<rules::AnswerSource>(action)) {
    form.answer = true;
  } else {
    form.drop = true;
  }
  return form;
}

rules::ActionSource action_of(const ActionForm& form) {
  if (form.ask) {
    rules::AskSource ask{.question = *form.ask, .topic = form.publish.value_or(""), .otherwise = form.otherwise};
    ask.level = form.level.value_or(ask.level);
    ask.deadline = form.deadline.value_or(ask.deadline);
    ask.qos = static_cast<uint8_t>(form.qos.value_or(0));
    ask.retain = form.retain.value_or(false);
    return ask;
  }
  if (form.insight) {
    return rules::InsightSource{.type = *form.insight,
                                .of = form.of.value_or(""),
                                .priority = form.priority.value_or(Priority::kHigh),
                                .topic = form.topic};
  }
  if (form.store) {
    return rules::StoreSource{.is_hot = *form.store == StoreWord::kHot,
                              .by_importance = *form.store == StoreWord::kImportance,
                              .topic = form.topic};
  }
  if (form.answer) return rules::AnswerSource{};
  if (form.publish) {
    return rules::PublishSource{*form.publish, form.payload, static_cast<uint8_t>(form.qos.value_or(0)),
                                form.retain.value_or(false)};
  }
  if (form.upload) return rules::UploadSource{priority_of(*form.upload), form.topic};
  if (form.purge) {
    return rules::PurgeSource{*form.purge, form.by.value_or(rules::PurgeScope::kTag), form.soft.value_or(false)};
  }
  if (form.webhook) {
    rules::WebhookSource webhook{.url = *form.webhook, .payload = form.payload};
    webhook.timeout = form.timeout.value_or(webhook.timeout);
    webhook.attempts = static_cast<uint32_t>(form.attempts.value_or(webhook.attempts));
    return webhook;
  }
  if (form.worker) return rules::CallSource{*form.worker};
  return rules::DropSource{};
}

void check(Visitor& visitor, const ActionForm& form) {
  const int what = int{form.publish.has_value() && !form.ask} + int{form.upload.has_value()} +
                   int{form.drop.has_value()} + int{form.purge.has_value()} + int{form.webhook.has_value()} +
                   int{form.worker.has_value()} + int{form.ask.has_value()} + int{form.answer.has_value()} +
                   int{form.insight.has_value()} + int{form.store.has_value()};
  if (what != 1) {
    visitor.refuse(
        "",
        {"config.value",
         "an action has exactly one of publish, upload, store, insight, purge, webhook, worker, ask, answer and drop",
         what == 0 ? "say which" : "write several actions: do = [ {...}, {...} ]"});
    return;
  }
  if (form.insight && !form.of) {
    visitor.refuse("insight", {"config.value", "the insight is of nothing", "add of = \"temperature\", say"});
  }
  if (form.ask && !form.publish) {
    visitor.refuse("ask", {"config.value", "what is decided goes nowhere", "add publish = \"its/topic\""});
  }
  const auto only_with = [&](bool given, std::string_view key, std::string_view owner) {
    if (given) {
      visitor.refuse(key, {"config.value", std::string(key) + " goes only with " + std::string(owner), "leave it out"});
    }
  };
  if (!form.ask) {
    only_with(form.otherwise.has_value(), "otherwise", "ask");
    only_with(form.level.has_value(), "level", "ask");
    only_with(form.deadline.has_value(), "deadline", "ask");
  }
  if (form.ask || (!form.publish && !form.webhook))
    only_with(form.payload.has_value(), "payload", "publish and webhook");
  if (!form.webhook) {
    only_with(form.timeout.has_value(), "timeout", "webhook");
    only_with(form.attempts.has_value(), "attempts", "webhook");
  } else if (const Result<WebhookUrl> url = parse_webhook_url(*form.webhook); !url) {
    visitor.refuse("webhook", url.error());
  }
  if (!form.publish) {
    only_with(form.qos.has_value(), "qos", "publish");
    only_with(form.retain.has_value(), "retain", "publish");
  }
  if (!form.upload && !form.insight && !form.store) {
    only_with(form.topic.has_value(), "topic", "upload, store and insight");
  }
  if (!form.insight) {
    only_with(form.of.has_value(), "of", "insight");
    only_with(form.priority.has_value(), "priority", "insight");
  }
  if (!form.purge) {
    only_with(form.by.has_value(), "by", "purge");
    only_with(form.soft.has_value(), "soft", "purge");
  }
  if (form.drop == false) {
    visitor.refuse("drop", {"config.value", "drop = false does nothing", "leave the action out"});
  }
  if (form.answer == false) {
    visitor.refuse("answer", {"config.value", "answer = false does nothing", "leave the action out"});
  }
}

}  // namespace

void describe(Visitor& v, RulesConfig& c) {
  v.key("memory_max", c.memory_max, Size{kMiB, kGiB << 10},
        {"What all rules may remember together; beyond it, readings that need more room are refused and counted."});
  v.key(
      "durable", c.durable, Flag{},
      {"Whether what rules remember survives the end of the node, however it ends; otherwise open windows are emitted "
       "early when it stops, and lost when it is killed."});
  v.key("kept_bytes_max", c.kept_bytes_max, Size{8 * kMiB, kGiB << 10},
        {"What rules keep on this node (store), on the disk: hot, and batch, each so much; beyond it the oldest go."});
  v.key("rule_memory_max", c.rule_memory_max, Size{kMiB, kGiB << 10}, {"The same of one rule on one event loop."});
}

void describe(Visitor& v, TableConfig& c) {
  v.key("name", c.name, Text{.may_be_empty = false},
        {.description = "What SQL calls it, in JOIN TABLE and lookup().", .required = true});
  v.key("key", c.key, Text{.may_be_empty = false},
        {.description = "The column that its rows are found by.", .required = true});
  v.key(
      "file", c.file, Text{.may_be_empty = false},
      {.description = "CSV with a line of names, or one JSON object a line; read again on SIGHUP.", .required = true});
}

void describe(Visitor& v, PayloadConfig& c) {
  v.key("topic", c.topic, Text{.may_be_empty = false},
        {.description = "The topic filter of the messages it is about; of several that match, the first counts.",
         .required = true});
  v.key("format", c.format, Choice<PayloadKind>{{{"cbor", PayloadKind::kCbor}, {"protobuf", PayloadKind::kProtobuf}}},
        {"What their payloads are."});
  v.key("file", c.file, Text{},
        {"With protobuf: the descriptor set (protoc --include_imports --descriptor_set_out); read again on SIGHUP.",
         "none"});
  v.key("type", c.type, Text{}, {"With protobuf: the full name of the message in it.", "none"});
  if (!c.topic.empty() && !is_topic_filter(c.topic)) {
    v.refuse("topic", {"config.value", fmt::format("{} is no topic filter", json_string(c.topic)),
                       "'+' stands alone in a level, '#' alone in the last"});
  }
  const bool is_protobuf = c.format == PayloadKind::kProtobuf;
  if (is_protobuf && (c.file.empty() || c.type.empty())) {
    v.refuse("format", {"config.value", "protobuf needs file and type", "give both"});
  }
  if (!is_protobuf && !(c.file.empty() && c.type.empty())) {
    v.refuse(c.file.empty() ? "type" : "file", {"config.value", "CBOR describes itself", "leave file and type out"});
  }
}

void describe(Visitor& v, rules::ActionSource& action) {
  ActionForm form = form_of(action);
  v.key("publish", form.publish, Text{},
        {"Publishes to local subscribers on this topic; ${name} stands for a column or a field. With ask: what is "
         "decided.",
         "none"});
  v.key("payload", form.payload, Text{},
        {"With publish and webhook: the template of the payload.", "the selected row as JSON"});
  v.key("qos", form.qos, Count{0, 1}, {"With publish: the quality of service."});
  v.key("retain", form.retain, Flag{}, {"With publish: whether the message is retained."});
  v.key(
      "upload", form.upload, upload_choice(),
      {"Stores the event durably here and sends it up the tree at this priority; importance: at that which the column "
       "`importance` calls for, if any.",
       "none"});
  v.key("topic", form.topic, Text{},
        {"With upload, store and insight: the template of the topic.",
         "the message's topic; insights/ and the rule's name"});
  v.key("store", form.store,
        Choice<StoreWord>{
            {{"hot", StoreWord::kHot}, {"batch", StoreWord::kBatch}, {"importance", StoreWord::kImportance}}},
        {"Keeps the row on this node, until its room is needed (hot) or compressed for a day (batch), or as the column "
         "`importance` calls for; it does not climb.",
         "none"});
  v.key("insight", form.insight, Text{.may_be_empty = false},
        {"Uploads an insight of this type where `significance` is above 0.7.", "none"});
  v.key("of", form.of, Text{.may_be_empty = false},
        {"With insight: the number that it is about, a field or an expression of the message.", "none"});
  v.key("priority", form.priority, priority_choice(),
        {"With insight: at which it climbs; critical carries the readings before it.", "high"});
  v.key("purge", form.purge, Text{.may_be_empty = false},
        {"Purges what the HTTP cache holds with this tag; ${name} stands for a column or a field.", "none"});
  v.key("by", form.by,
        Choice<rules::PurgeScope>{{{"tag", rules::PurgeScope::kTag},
                                   {"url", rules::PurgeScope::kUrl},
                                   {"prefix", rules::PurgeScope::kPrefix},
                                   {"host", rules::PurgeScope::kHost}}},
        {"With purge: what it names.", "tag"});
  v.key("soft", form.soft, Flag{},
        {"With purge: what it covers becomes stale, and may be served while it is validated.", "no"});
  v.key("webhook", form.webhook, Text{.may_be_empty = false},
        {"Sends the payload to this URL by HTTP POST, apart from everything else.", "none"});
  v.key("timeout", form.timeout, Time{std::chrono::milliseconds(10), std::chrono::minutes(5)},
        {"With webhook: how long one attempt may take.", "5s"});
  v.key("attempts", form.attempts, Count{1, 100}, {"With webhook: how often it is tried.", "5"});
  v.key("worker", form.worker, Text{.may_be_empty = false},
        {"Calls `event` of the worker of this name with the selected row.", "none"});
  v.key("ask", form.ask, Text{.may_be_empty = false},
        {"Asks the rule of this name at another level, and publishes what it answers.", "none"});
  v.key("otherwise", form.otherwise, Text{},
        {"With ask: the template of the payload where no answer comes in time.", "nothing is published then"});
  v.key("level", form.level,
        Choice<rules::AskLevel>{{{"next", rules::AskLevel::kNext},
                                 {"edge", rules::AskLevel::kEdge},
                                 {"fog", rules::AskLevel::kFog},
                                 {"cloud", rules::AskLevel::kCloud},
                                 {"placed", rules::AskLevel::kPlaced}}},
        {"With ask: who decides: the parent (next), a tier, or that which level(urgency, complexity) names (placed).",
         "next"});
  v.key("deadline", form.deadline, Time{std::chrono::milliseconds(1), std::chrono::minutes(1)},
        {"With ask: when the decision must be there.", "100ms"});
  v.key("answer", form.answer, Flag{}, {"What the rule selects is the answer to who asks it by its name.", "none"});
  v.key("drop", form.drop, Flag{}, {"Ends the event here: nothing else stores it.", "none"});
  check(v, form);
  action = action_of(form);
}

void describe(Visitor& v, rules::RuleSource& rule) {
  v.key("name", rule.name, Text{.may_be_empty = false},
        {.description = "The rule's name in reports, metrics and logs.", .required = true});
  v.key("sql", rule.sql, Text{.may_be_empty = false},
        {.description = "Which messages it takes and what it makes of them.", .required = true});
  v.key("report", rule.report, priority_or_none_choice(),
        {"The priority at which reports of published actions follow upwards; none: no report."});
  v.sequence("do", rule.actions, {"What is done with each row that the rule selects, in this order."});
}

}  // namespace verge::node
