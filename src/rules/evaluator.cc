#include "rules/evaluator.h"

#include <algorithm>

#include "base/assert.h"
#include "base/hash.h"
#include "model/event.h"
#include "rules/scope.h"

namespace verge::rules {
namespace {

constexpr int64_t kMicrosecondsPerMillisecond = 1000;

std::string window_topic(const Rule& rule) { return "windows/" + rule.name; }

}  // namespace

Evaluator::Evaluator(std::shared_ptr<const RuleSet> rules) : rules_(std::move(rules)) {
  for (const Rule& rule : rules_->rules()) states_.push_back(make_state(rule));
}

Evaluator::State Evaluator::make_state(const Rule& rule) {
  State state{.counters = std::make_unique<RuleCounters>()};
  if (rule.window) {
    std::vector<Aggregate> aggregates;
    for (const Reading& reading : rule.window->readings) aggregates.push_back(reading.aggregate);
    state.window.emplace(rule.window->size_us, std::move(aggregates));
  }
  return state;
}

void Evaluator::evaluate(const Message& message, Effects& effects) {
  VERGE_ASSERT(!is_evaluating_);
  rules_->match(message.topic, matched_);
  if (matched_.empty()) return;
  is_evaluating_ = true;
  document_is_parsed_ = false;
  for (const uint32_t index : matched_) evaluate_rule(rules_->rules()[index], message, effects);
  is_evaluating_ = false;
}

void Evaluator::extract(const FieldTree& fields, const Message& message) {
  if (fields.empty()) return;
  if (!document_is_parsed_) {
    document_.parse(message.payload);
    document_is_parsed_ = true;
  }
  document_.extract(fields, slots_, machine_.arena());
}

void Evaluator::evaluate_rule(const Rule& rule, const Message& message, Effects& effects) {
  states_[rule.index].counters->matched.add();
  const MessageContext context{.topic = message.topic,
                               .device = message.device,
                               .time_ms = message.received.microseconds / kMicrosecondsPerMillisecond,
                               .device_level = rule.device_level};
  machine_.arena().clear();
  slots_.assign(rule.slot_count, Value{});
  if (rule.condition) {
    extract(rule.condition_fields, message);
    if (!machine_.run(*rule.condition, slots_, context).is_true()) return;
  }
  extract(rule.row_fields, message);
  if (rule.window) {
    gather(rule, *rule.window, message, context, effects);
    return;
  }
  if (rule.selects_message && !rule.is_verbatim() && !document_is_parsed_) {
    document_.parse(message.payload);
    document_is_parsed_ = true;
  }
  compute_columns(rule, context);
  perform({.rule = rule,
           .columns = columns_,
           .message = &message.payload,
           .document = &document_,
           .topic = message.topic,
           .device = message.device,
           .time = message.received},
          effects);
}

void Evaluator::compute_columns(const Rule& rule, const MessageContext& context) {
  columns_.clear();
  for (const Column& column : rule.columns) columns_.push_back(machine_.run(column.program, slots_, context));
}

void Evaluator::perform(const Row& row, Effects& effects) {
  RuleCounters* counters = counters_of(row.rule);
  const size_t failed = actions_.perform(row, effects);
  if (counters == nullptr) return;
  counters->fired.add();
  if (failed > 0) counters->errors.add(failed);
}

RuleCounters* Evaluator::counters_of(const Rule& rule) {
  const std::span<const Rule> rules = rules_->rules();
  if (rule.index < rules.size() && &rules[rule.index] == &rule) return states_[rule.index].counters.get();
  const auto same_name = std::ranges::find(rules, rule.name, &Rule::name);
  return same_name == rules.end() ? nullptr : states_[same_name->index].counters.get();
}

void Evaluator::gather(const Rule& rule, const WindowPlan& plan, const Message& message, const MessageContext& context,
                       Effects& effects) {
  RuleCounters& counters = *states_[rule.index].counters;
  WindowInput input{.rule = rule.identity, .received = message.received};
  for (const Program& key : plan.keys) append_encoded(input.bytes, machine_.run(key, slots_, context));
  if (input.bytes.size() > kGroupKeyBytesMax) {
    counters.errors.add();
  } else {
    input.key_size = static_cast<uint32_t>(input.bytes.size());
    input.key_hash = hash64(input.bytes, rule.identity);
    for (const Reading& reading : plan.readings) {
      const Value value = reading.program ? machine_.run(*reading.program, slots_, context) : Value::boolean(true);
      const size_t begin = input.bytes.size();
      append_encoded(input.bytes, value);
      if (input.bytes.size() - begin <= kReadingBytesMax) continue;
      input.bytes.resize(begin);
      append_encoded(input.bytes, Value{});
      counters.errors.add();
    }
    effects.aggregate(std::move(input));
  }
  if (rule.drops) effects.drop(rule);
}

void Evaluator::accept(const WindowInput& input, WallTime now) {
  const Rule* rule = rules_->find(input.rule);
  TumblingWindow* window = nullptr;
  if (rule != nullptr) {
    std::optional<TumblingWindow>& open = states_[rule->index].window;
    if (open) window = &*open;
  } else if (const auto replaced =
                 std::ranges::find(replaced_, input.rule, [](const Replaced& r) { return r.rule->identity; });
             replaced != replaced_.end()) {
    rule = replaced->rule;
    window = &replaced->window;
  }
  if (window == nullptr || window->add(input, now)) return;
  if (RuleCounters* counters = counters_of(*rule)) counters->errors.add();
}

void Evaluator::advance(WallTime now, Effects& effects) {
  for (const Rule& rule : rules_->rules()) {
    std::optional<TumblingWindow>& window = states_[rule.index].window;
    if (rule.window && window) emit(rule, *rule.window, window->take_closed(now), effects);
  }
}

void Evaluator::drain(Effects& effects) {
  for (const Rule& rule : rules_->rules()) {
    std::optional<TumblingWindow>& window = states_[rule.index].window;
    if (rule.window && window) emit(rule, *rule.window, window->take_all(), effects);
  }
}

void Evaluator::emit(const Rule& rule, const WindowPlan& plan, const std::vector<TumblingWindow::Closed>& windows,
                     Effects& effects) {
  VERGE_ASSERT(!is_evaluating_);
  is_evaluating_ = true;
  for (const TumblingWindow::Closed& window : windows) {
    for (const TumblingWindow::Group& group : window.groups) emit_group(rule, plan, window.start_us, group, effects);
  }
  is_evaluating_ = false;
}

void Evaluator::emit_group(const Rule& rule, const WindowPlan& plan, int64_t start_us,
                           const TumblingWindow::Group& group, Effects& effects) {
  const int64_t end_us = start_us + plan.size_us;
  machine_.arena().clear();
  slots_.clear();  // filled in the order of WindowScope's slots
  slots_.push_back(Value::integer(start_us / kMicrosecondsPerMillisecond));
  slots_.push_back(Value::integer(end_us / kMicrosecondsPerMillisecond));
  ByteReader key(group.key);
  for (size_t i = 0; i < plan.keys.size(); ++i) slots_.push_back(read_encoded(key));
  for (size_t i = 0; i < plan.readings.size(); ++i) {
    slots_.push_back(group.accumulators[i].result(plan.readings[i].aggregate));
  }
  compute_columns(rule, {});
  std::string device;
  if (plan.device_column && !columns_[*plan.device_column].is_null()) {
    append_plain(device, columns_[*plan.device_column]);
    if (!is_device_name(device)) device.clear();
  }
  const std::string topic = window_topic(rule);
  perform({.rule = rule, .columns = columns_, .topic = topic, .device = device, .time = WallTime{end_us}}, effects);
}

std::optional<WallTime> Evaluator::next_close() const {
  std::optional<WallTime> next;
  for (const State& state : states_) {
    if (!state.window) continue;
    const std::optional<WallTime> close = state.window->next_close();
    if (close && (!next || *close < *next)) next = close;
  }
  return next;
}

void Evaluator::replace(std::shared_ptr<const RuleSet> rules) {
  VERGE_ASSERT(!is_evaluating_ && replaced_.empty());
  std::vector<State> states;
  for (const Rule& rule : rules->rules()) {
    State state = make_state(rule);
    const auto same_name = std::ranges::find(rules_->rules(), rule.name, &Rule::name);
    if (same_name != rules_->rules().end()) {
      State& before = states_[same_name->index];
      state.counters = std::move(before.counters);
      if (same_name->identity == rule.identity && rule.window) state.window = std::move(before.window);
    }
    states.push_back(std::move(state));
  }
  for (const Rule& rule : rules_->rules()) {
    std::optional<TumblingWindow>& window = states_[rule.index].window;
    if (window && rules->find(rule.identity) == nullptr) replaced_.push_back({rules_, &rule, std::move(*window)});
  }
  rules_ = std::move(rules);
  states_ = std::move(states);
}

void Evaluator::emit_replaced(Effects& effects) {
  for (Replaced& replaced : replaced_) {
    const std::optional<WindowPlan>& plan = replaced.rule->window;
    if (plan) emit(*replaced.rule, *plan, replaced.window.take_all(), effects);
  }
  replaced_.clear();
}

std::vector<std::string> Evaluator::replaced_rules() const {
  std::vector<std::string> names;
  for (const Replaced& replaced : replaced_) {
    if (replaced.window.next_close()) names.push_back(replaced.rule->name);
  }
  return names;
}

}  // namespace verge::rules
