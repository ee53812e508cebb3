#include "rules/evaluator.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/hash.h"
#include "model/event.h"
#include "model/topic.h"

namespace verge::rules {
namespace {

constexpr int64_t kMicrosecondsPerMillisecond = 1000;

}  // namespace

Evaluator::Evaluator(std::shared_ptr<const RuleSet> rules, MemoryBudget& budget)
    : rules_(std::move(rules)), budget_(budget), slots_(rules_->slot_count()) {
  for (const Rule& rule : rules_->rules()) states_.push_back(make_state(rule));
  for (size_t i = 0; i < rules_->groups().size(); ++i) seen_.push_back(std::make_unique<Counter>());
}

Evaluator::State Evaluator::make_state(const Rule& rule) {
  State state{.counters = std::make_unique<RuleCounters>()};
  if (rule.memory) {
    state.memory = std::make_unique<Memory>(rule, rules_->tables(), budget_);
    remembering_.push_back(static_cast<uint32_t>(rule.index));
  }
  return state;
}

uint64_t Evaluator::matched(size_t rule) const {
  return states_[rule].matched_before + seen_[rules_->group_of(rule)]->value();
}

void Evaluator::evaluate(const Message& message, Effects& effects) {
  VERGE_ASSERT(!is_evaluating_);
  rules_->match(message.topic, groups_);
  if (groups_.empty()) return;
  is_evaluating_ = true;
  find_candidates(message);
  for (const uint32_t number : candidates_) {
    const RuleSet::FeedPlace place = rules_->feed(number);
    evaluate_feed(rules_->rules()[place.rule], place.feed, message, effects);
  }
  forget_fields();
  is_evaluating_ = false;
}

void Evaluator::forget_fields() {
  for (const uint32_t slot : found_) slots_[slot] = Value{};
  found_.clear();
}

Result<std::optional<Payload>> Evaluator::answer(std::string_view name, const Message& message) {
  VERGE_ASSERT(!is_evaluating_);
  const Rule* rule = rules_->find(name);
  if (rule == nullptr || !rule->answers) {
    return fail("rules.unknown", fmt::format("no rule {} answers here", name),
                "give the rule of that name the action answer = true");
  }
  const Feed& feed = rule->feeds.front();
  if (!topic_matches(feed.filter, message.topic)) return std::nullopt;
  document_is_parsed_ = false;
  if (!feed.fields.empty()) extract(message);
  const MessageContext context = context_of(feed, message);
  machine_.arena().clear();
  std::optional<Payload> answer;
  if (!feed.condition || machine_.run(*feed.condition, slots_, context).is_true()) {
    answer = actions_.payload_of(row_of(*rule, context, message));
    RuleCounters& counters = *states_[rule->index].counters;
    counters.fired.add();
    if (!answer) counters.errors.add();
  }
  forget_fields();
  return answer;
}

// Of all groups together, in order of declaration.
void Evaluator::find_candidates(const Message& message) {
  document_is_parsed_ = false;
  bool reads_fields = false;
  for (const uint32_t number : groups_) reads_fields |= rules_->groups()[number].reads_fields;
  if (reads_fields) extract(message);
  candidates_.clear();
  for (const uint32_t number : groups_) {
    seen_[number]->add();
    rules_->groups()[number].index.candidates(slots_, scratch_, candidates_);
  }
  std::ranges::sort(candidates_);
}

void Evaluator::extract(const Message& message) {
  parse(message);
  fields_arena_.clear();
  document_.extract(rules_->fields(), slots_, found_, fields_arena_);
}

void Evaluator::parse(const Message& message) {
  if (document_is_parsed_) return;
  parse(message.topic, message.payload, document_);
  document_is_parsed_ = true;
}

void Evaluator::parse(std::string_view topic, const Payload& payload, Document& into) {
  const payloads::Format* format = rules_->formats().of(topic, formats_);
  if (format == nullptr) return into.parse(payload);
  json_.clear();
  const bool is_good = format->append_json(payload.view(), json_);
  into.parse(is_good ? Payload(json_) : Payload());
}

void Evaluator::evaluate_feed(const Rule& rule, uint8_t number, const Message& message, Effects& effects) {
  const Feed& feed = rule.feeds[number];
  const MessageContext context = context_of(feed, message);
  machine_.arena().clear();
  if (feed.condition && !machine_.run(*feed.condition, slots_, context).is_true()) return;
  if (!rule.memory) return select(rule, context, message, effects);
  hand_over(rule, number, context, message, effects);
  if (rule.drops) effects.drop(rule);
}

MessageContext Evaluator::context_of(const Feed& feed, const Message& message) const {
  return {.topic = message.topic,
          .device = message.device,
          .payload = message.payload.view(),
          .time_ms = message.received.microseconds / kMicrosecondsPerMillisecond,
          .device_level = feed.device_level,
          .tables = &rules_->tables()};
}

void Evaluator::select(const Rule& rule, const MessageContext& context, const Message& message, Effects& effects) {
  const size_t failed = actions_.perform(row_of(rule, context, message), effects);
  RuleCounters& counters = *states_[rule.index].counters;
  counters.fired.add();
  if (failed > 0) counters.errors.add(failed);
}

// Good until the next one.
Row Evaluator::row_of(const Rule& rule, const MessageContext& context, const Message& message) {
  if (rule.selects_message && !rule.is_verbatim()) parse(message);
  columns_.clear();
  for (const Column& column : rule.columns) columns_.push_back(machine_.run(column.program, slots_, context));
  return {.rule = rule,
          .columns = columns_,
          .message = &message.payload,
          .document = &document_,
          .topic = message.topic,
          .device = message.device,
          .time = message.received};
}

void Evaluator::hand_over(const Rule& rule, uint8_t number, const MessageContext& context, const Message& message,
                          Effects& effects) {
  const Feed& feed = rule.feeds[number];
  const MemoryPlan& plan = rule.memory_plan();
  RuleCounters& counters = *states_[rule.index].counters;
  RuleInput input{.rule = rule.identity,
                  .received = message.received,
                  .time_us = message.received.microseconds,
                  .feed = number,
                  .bytes = {},
                  .source = std::string(message.source),
                  .sequence = message.sequence};
  for (const Program& part : feed.route) {
    const Value value = machine_.run(part, slots_, context);
    // NULL equals nothing; the second stream's keys are never NULL.
    if (value.is_null() && plan.join_within_us && !(plan.keeps_unmatched && number == 0)) return;
    append_encoded(input.bytes, value);
  }
  if (input.bytes.size() > kKeyBytesMax) return counters.errors.add();
  input.key_size = static_cast<uint32_t>(input.bytes.size());
  input.key_hash = hash64(plan.is_on_one_loop ? std::string_view{} : input.key(), rule.identity);
  if (feed.timestamp) {
    const std::optional<int64_t> time_us = microseconds_of(machine_.run(*feed.timestamp, slots_, context));
    if (!time_us) return counters.errors.add();
    input.time_us = *time_us;
  }
  if (!append_captures(plan, feed, context, input)) counters.errors.add();
  effects.hand_over(std::move(input));
}

// False when one was too long, and counts as NULL.
bool Evaluator::append_captures(const MemoryPlan& plan, const Feed& feed, const MessageContext& context,
                                RuleInput& input) {
  bool fits = true;
  for (size_t i = 0; i < feed.captures.size(); ++i) {
    const size_t begin = input.bytes.size();
    append_encoded(input.bytes, machine_.run(feed.captures[i], slots_, context));
    const bool is_message = feed.capture_slots[i] == plan.payload_slot || feed.capture_slots[i] == plan.topic_slot;
    if (input.bytes.size() - begin <= kCapturedBytesMax || is_message) continue;
    input.bytes.resize(begin);
    append_encoded(input.bytes, Value{});
    fits = false;
  }
  return fits;
}

std::optional<WallTime> Evaluator::accept(const RuleInput& input, WallTime now, Effects& effects) {
  const Rule* rule = rules_->find(input.rule);
  Memory* memory = nullptr;
  if (rule != nullptr) {
    memory = states_[rule->index].memory.get();
  } else if (const auto replaced =
                 std::ranges::find(replaced_, input.rule, [](const Replaced& r) { return r.rule->identity; });
             replaced != replaced_.end()) {
    rule = replaced->rule;
    memory = replaced->memory.get();
  }
  if (memory == nullptr || input.feed >= rule->feeds.size()) return std::nullopt;
  const Memory::Losses before = memory->losses();
  row_effects_ = &effects;
  memory->accept(input, now.microseconds, *this);
  note_memory(*rule, *memory, before);
  const std::optional<int64_t> due_us = memory->next_due_us();
  return due_us ? std::optional(WallTime{*due_us}) : std::nullopt;
}

void Evaluator::note_memory(const Rule& rule, const Memory& memory, const Memory::Losses& before) {
  RuleCounters* counters = counters_of(rule);
  if (counters == nullptr) return;
  const Memory::Losses& after = memory.losses();
  if (after.late != before.late) counters->late.add(after.late - before.late);
  if (after.refused != before.refused) counters->refused.add(after.refused - before.refused);
  if (after.forgotten != before.forgotten) counters->forgotten.add(after.forgotten - before.forgotten);
  if (after.errors != before.errors) counters->errors.add(after.errors - before.errors);
  counters->bytes.set(memory.bytes());
}

void Evaluator::take(const Rule& rule, const Memory::Row& made) {
  row_machine_.arena().clear();
  const MessageContext context{.tables = &rules_->tables()};
  const MemoryPlan& plan = rule.memory_plan();
  if (made.is_of_window) {
    const std::optional<Program>& having = plan.window_plan().having;
    if (having && !row_machine_.run(*having, made.slots, context).is_true()) return;
  }
  row_columns_.clear();
  for (const Column& column : rule.columns)
    row_columns_.push_back(row_machine_.run(column.program, made.slots, context));
  std::string topic = (plan.join_within_us && !plan.window ? "joins/" : "windows/") + rule.name;
  std::string device;
  if (plan.topic_slot) topic.assign(made.slots[*plan.topic_slot].view());
  if (plan.device_slot) device.assign(made.slots[*plan.device_slot].view());
  if (plan.window && plan.window->device_column && !row_columns_[*plan.window->device_column].is_null()) {
    append_plain(device, row_columns_[*plan.window->device_column]);
    if (!is_device_name(device)) device.clear();
  }
  Payload payload;
  if (plan.payload_slot && made.slots[*plan.payload_slot].is_text()) {
    payload = Payload(made.slots[*plan.payload_slot].view());
    if (!rule.is_verbatim()) parse(topic, payload, row_document_);
  }
  const Row row{.rule = rule,
                .columns = row_columns_,
                .message = &payload,
                .document = &row_document_,
                .topic = topic,
                .device = device,
                .time = WallTime{made.time_us}};
  row_effects_->begin_row(rule, made.number);
  const size_t failed = row_actions_.perform(row, *row_effects_);
  RuleCounters* counters = counters_of(rule);
  if (counters == nullptr) return;
  counters->fired.add();
  if (failed > 0) counters->errors.add(failed);
}

bool Evaluator::take_late(const Rule& rule, Emission& emission, uint64_t number) {
  const auto replaced = std::ranges::find(replaced_, &rule, &Replaced::rule);
  LateRow row{.rules = replaced == replaced_.end() ? rules_ : replaced->rules,
              .rule = &rule,
              .emission = std::move(emission),
              .number = number};
  if (row_effects_->take_late(row)) return true;
  emission = std::move(row.emission);
  return false;
}

void Evaluator::take(const LateRow& row, Effects& effects) {
  row_effects_ = &effects;
  std::vector<Value> slots;
  Memory::fill_slots(row.rule->memory_plan().window_plan(), row.emission, slots);
  take(*row.rule, {.slots = slots, .time_us = row.emission.end_us, .is_of_window = true, .number = row.number});
}

RuleCounters* Evaluator::counters_of(const Rule& rule) {
  const std::span<const Rule> rules = rules_->rules();
  if (rule.index < rules.size() && &rules[rule.index] == &rule) return states_[rule.index].counters.get();
  const Rule* same_name = rules_->find(rule.name);
  return same_name == nullptr ? nullptr : states_[same_name->index].counters.get();
}

void Evaluator::advance(WallTime now, Effects& effects) {
  for (const uint32_t index : remembering_) {
    if (!states_[index].memory->is_due(now.microseconds)) continue;
    const Rule& rule = rules_->rules()[index];
    effects.advanced(rule, now);
    advance(rule, now, effects);
  }
}

void Evaluator::advance(const Rule& rule, WallTime now, Effects& effects) {
  row_effects_ = &effects;
  Memory& memory = *states_[rule.index].memory;
  const Memory::Losses before = memory.losses();
  memory.advance(now.microseconds, *this);
  note_memory(rule, memory, before);
}

void Evaluator::reach(const Rule& rule, int64_t time_us, Effects& effects) {
  row_effects_ = &effects;
  states_[rule.index].memory->reach(time_us, *this);
}

void Evaluator::drain(Effects& effects) {
  row_effects_ = &effects;
  for (const uint32_t index : remembering_) states_[index].memory->drain(*this);
}

std::optional<WallTime> Evaluator::next_close() const {
  std::optional<WallTime> next;
  for (const uint32_t index : remembering_) {
    const std::optional<int64_t> due = states_[index].memory->next_due_us();
    if (due && (!next || *due < next->microseconds)) next = WallTime{*due};
  }
  return next;
}

void Evaluator::replace(std::shared_ptr<const RuleSet> rules) {
  VERGE_ASSERT(!is_evaluating_ && replaced_.empty());
  const std::shared_ptr<const RuleSet> before = std::exchange(rules_, std::move(rules));
  std::vector<State> old_states = std::exchange(states_, {});
  const std::vector<std::unique_ptr<Counter>> old_seen = std::exchange(seen_, {});
  remembering_.clear();
  for (const Rule& rule : rules_->rules()) {
    State state = make_state(rule);
    if (const Rule* same_name = before->find(rule.name)) {
      State& old = old_states[same_name->index];
      state.counters = std::move(old.counters);
      state.matched_before = old.matched_before + old_seen[before->group_of(same_name->index)]->value();
      if (same_name->identity == rule.identity && rule.memory) {
        state.memory = std::move(old.memory);
        state.memory->rebind(rule, rules_->tables());
      }
    }
    states_.push_back(std::move(state));
  }
  for (const Rule& rule : before->rules()) {
    std::unique_ptr<Memory>& memory = old_states[rule.index].memory;
    if (memory != nullptr) replaced_.push_back({before, &rule, std::move(memory)});
  }
  for (size_t i = 0; i < rules_->groups().size(); ++i) seen_.push_back(std::make_unique<Counter>());
  slots_.assign(rules_->slot_count(), Value{});
}

void Evaluator::emit_replaced(Effects& effects) {
  row_effects_ = &effects;
  for (Replaced& replaced : replaced_) replaced.memory->drain(*this);
  replaced_.clear();
}

std::vector<std::string> Evaluator::replaced_rules() const {
  std::vector<std::string> names;
  for (const Replaced& replaced : replaced_) {
    if (!replaced.memory->is_empty()) names.push_back(replaced.rule->name);
  }
  return names;
}

}  // namespace verge::rules
