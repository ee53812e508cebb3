// What rules do with an event: commands, records, purges, calls of webhooks and workers, questions to other levels.
#include "base/log.h"
#include "base/text.h"
#include "model/topic.h"
#include "node/event_path.h"
#include "node/rule_restoration.h"

namespace verge::node {
namespace {

constexpr Duration kRulesLogEvery = std::chrono::seconds(10);
constexpr std::string_view kReportTopic = "$verge/actions/";

}  // namespace

void EventPath::publish(const rules::Rule& rule, std::string_view topic, std::string_view device, Payload payload,
                        uint8_t qos, bool retain) {
  ++current_.actions;
  counters_.actions.add();
  if (is_watched()) {
    tail_->add(EventTail::Kind::kCommand, clock_.wall(), topic, device, payload.view(), rule.name);
  }
  if (rule.report) report(rule.name, *rule.report, topic, device, payload);
  commands_.push_back(std::make_shared<const mqtt::Message>(mqtt::Message{.topic = std::string(topic),
                                                                          .payload = std::move(payload),
                                                                          .qos = qos,
                                                                          .retain = retain,
                                                                          .received = current_.received,
                                                                          .is_decision = true}));
}

// What was done, to whom, when: follows upwards on its own, nobody waits for it.
void EventPath::report(std::string_view rule, Priority priority, std::string_view topic, std::string_view device,
                       const Payload& payload) {
  std::string text = "{\"rule\":";
  append_json_string(text, rule);
  text.append(",\"device\":");
  append_json_string(text, device);
  text.append(",\"topic\":");
  append_json_string(text, topic);
  text.append(",\"action\":");
  append_json_string(text, payload.view().substr(0, 1024));
  text.push_back('}');
  const std::string report_topic = std::string(kReportTopic).append(rule);
  reports_.emplace_back();
  reports_.back().priority = priority;
  append_event(
      reports_.back().event,
      {.kind = EventKind::kAction, .time = current_.time, .topic = report_topic, .device = device, .payload = text});
}

void EventPath::upload(const rules::Rule& rule, EventKind kind, Priority priority, std::string_view topic,
                       std::string_view device, Payload payload, WallTime time) {
  if (current_.dropped) return;
  if (kind == EventKind::kMessage && !current_.row) current_.stored_verbatim = true;
  counters_.uploads.add();
  if (is_watched()) tail_->add(EventTail::Kind::kUpload, clock_.wall(), topic, device, payload.view(), rule.name);
  if (journal_ != nullptr && current_.row) {
    spool::Submission::Item& item = remembered_.emplace_back();
    item.priority = priority;
    item.source = remembered_source(layout_, index_, rule, current_.uploads_of_row++);
    item.source_sequence = *current_.row;
    append_event(item.event, {.kind = kind, .time = time, .topic = topic, .device = device, .payload = payload.view()});
    return;
  }
  append(priority, {.kind = kind, .time = time, .topic = topic, .device = device, .payload = payload.view()},
         rule.name);
}

// A numbered message can lead to several records: each is recognised by the rule that made it and its place there.
void EventPath::append(Priority priority, const EventView& event, std::string_view rule) {
  // A reload that adds other rules changes nothing of this one's.
  if (rule != std::exchange(current_.rule, rule)) current_.uploads_of_rule = 0;
  spool::Submission::Item& item = gathered_.items.emplace_back();
  item.priority = priority;
  append_event(item.event, event);
  if (current_.sequence && !current_.client_id.empty()) {
    item.source = fmt::format("d{}\n{}\n{}", current_.client_id, rule, current_.uploads_of_rule);
    item.source_sequence = *current_.sequence;
  }
  ++current_.uploads_of_rule;
  if (traces_ == nullptr) return;
  if (const traces::TraceId trace = traces::trace_of(event); traces_->writes(trace)) {
    traced_.push_back({.item = gathered_.items.size() - 1,
                       .trace = trace,
                       .made = {.received = current_.received,
                                .made = std::chrono::steady_clock::now(),
                                .rule = std::string(rule),
                                .caller = current_.caller}});
  }
}

void EventPath::drop(const rules::Rule&) {
  current_.dropped = true;
  counters_.drops.add();
}

void EventPath::purge(const rules::Rule&, rules::PurgeScope scope, std::string_view what, bool softly) {
  counters_.purges.add();
  purge_(scope, what, softly);
}

void EventPath::not_performed(const rules::Rule& rule, size_t action, std::string_view why) {
  counters_.not_performed.add();
  if (loop_.now() < next_not_performed_log_) return;
  next_not_performed_log_ = loop_.now() + kRulesLogEvery;
  log_warning("rules", "action {} of the rule {} was not performed, {} such here so far: {}", action, rule.name,
              counters_.not_performed.value(), why);
}

void EventPath::webhook(const rules::Rule& rule, const rules::WebhookAction& action, Payload payload, bool is_json) {
  counters_.webhooks.add();
  if (!webhook_) return;
  webhook_({.rule = rule.name,
            .url = action.url,
            .body = std::move(payload),
            .is_json = is_json,
            .timeout = action.timeout,
            .attempts = action.attempts});
}

void EventPath::call(const rules::Rule&, std::string_view worker, std::string_view topic, Payload payload,
                     WallTime time) {
  counters_.calls.add();
  if (!call_ || !call_(worker, topic, time, payload)) counters_.failed_calls.add();
}

void EventPath::store(const rules::Rule& rule, EventKind kind, bool is_hot, std::string_view topic,
                      std::string_view device, Payload payload, WallTime time) {
  if (is_watched()) tail_->add(EventTail::Kind::kUpload, clock_.wall(), topic, device, payload.view(), rule.name);
  if (kept_ == nullptr) return;
  kept_->keep(is_hot ? rules::Handling::kHot : rules::Handling::kBatch,
              {.kind = kind, .time = time, .topic = topic, .device = device, .payload = payload.view()});
}

void EventPath::ask(const rules::Rule& rule, const rules::AskAction& action, const rules::Question& asked) {
  counters_.asks.add();
  Decision decision{.rule = rule.name,
                    .report = rule.report,
                    .question = {.rule = action.question,
                                 .topic = std::string(asked.topic),
                                 .device = std::string(asked.device),
                                 .payload = asked.payload,
                                 .is_placed = action.level == rules::AskLevel::kPlaced,
                                 .urgency = asked.urgency,
                                 .complexity = asked.complexity,
                                 .deadline = action.deadline,
                                 .asked = std::chrono::steady_clock::now()},
                    .topic = std::string(asked.decision_topic),
                    .otherwise = asked.otherwise,
                    .qos = action.qos,
                    .retain = action.retain};
  if (action.level == rules::AskLevel::kEdge) decision.question.level = Tier::kEdge;
  if (action.level == rules::AskLevel::kFog) decision.question.level = Tier::kFog;
  if (action.level == rules::AskLevel::kCloud) decision.question.level = Tier::kCloud;
  if (questions_ == nullptr) {
    return loop_.post([this, decision = std::move(decision)] { decide(decision, {.kind = Outcome::Kind::kHere}); });
  }
  AskedQuestion question = decision.question;
  questions_->ask(std::move(question), loop_,
                  [this, decision = std::move(decision)](const Outcome& outcome) { decide(decision, outcome); });
}

Result<std::optional<Payload>> EventPath::answer(const AskedQuestion& question) {
  return evaluator_.answer(
      question.rule,
      {.topic = question.topic, .device = question.device, .payload = question.payload, .received = clock_.wall()});
}

// In a turn of its own.
void EventPath::decide(const Decision& decision, const Outcome& outcome) {
  std::optional<Payload> decided;
  bool is_replaced = outcome.is_replaced;
  if (outcome.kind == Outcome::Kind::kAnswered) {
    decided = outcome.answer;
  } else if (outcome.kind == Outcome::Kind::kHere || outcome.kind == Outcome::Kind::kOutOfReach) {
    const Result<std::optional<Payload>> own = answer(decision.question);
    if (own) decided = *own;
    is_replaced = outcome.kind == Outcome::Kind::kOutOfReach;
  }
  if (decided) {
    counters_.decided.add();
    if (is_replaced) counters_.replaced.add();
  } else {
    counters_.fallbacks.add();
    if (outcome.kind == Outcome::Kind::kLate) counters_.late_decisions.add();
    decided = decision.otherwise;
  }
  if (!decided) return;
  current_ = {.received = decision.question.asked, .time = clock_.wall()};
  counters_.actions.add();
  const std::string& device = decision.question.device;
  if (is_watched()) {
    tail_->add(EventTail::Kind::kCommand, current_.time, decision.topic, device, decided->view(), decision.rule);
  }
  if (decision.report) report(decision.rule, *decision.report, decision.topic, device, *decided);
  commands_.push_back(std::make_shared<const mqtt::Message>(mqtt::Message{.topic = decision.topic,
                                                                          .payload = *decided,
                                                                          .qos = decision.qos,
                                                                          .retain = decision.retain,
                                                                          .received = current_.received}));
  send_commands();
}

}  // namespace verge::node
