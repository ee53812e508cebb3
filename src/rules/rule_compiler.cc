#include "rules/rule_compiler.h"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/text.h"
#include "model/topic.h"
#include "rules/name_resolution.h"
#include "rules/predicate.h"
#include "rules/program_compiler.h"
#include "rules/scope.h"
#include "rules/statement_parser.h"

namespace verge::rules {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

class RuleCompiler {
 public:
  RuleCompiler(const RuleSource& source, const Tables& tables) : source_(source), tables_(tables) {}

  std::expected<Rule, RuleProblem> compile() {
    const bool compiled = check_name() && parse() && compile_condition() && check_items() && compile_columns() &&
                          compile_having() && compile_actions() && compile_memory() && compile_feeds();
    if (!compiled) return std::unexpected(std::move(problem_));
    if (rule_.memory) rule_.identity = hash64(shape(), rule_.identity);
    return std::move(rule_);
  }

 private:
  using Part = RuleProblem::Part;
  static constexpr std::string_view kImportance = "importance";
  // Value, significance, prediction, confidence, statistics, readings, and those that follow.
  static constexpr size_t kInsightParts = 7;
  static constexpr size_t kAftermathPart = 6;
  using Kind = Expression::Kind;

  bool refuse_rule(Part part, Fault fault, size_t action = 0) {
    problem_ = {.error = std::move(fault.error), .part = part, .action = action, .offset = fault.offset};
    return false;
  }
  bool refuse_sql(size_t offset, std::string_view code, std::string what, std::string fix) {
    return refuse_rule(Part::kSql, refuse(offset, code, std::move(what), std::move(fix)).error());
  }

  // What is remembered, and where it lies: the templates of actions capture fields, and insights add functions that
  // remember, beside those of the SQL.
  [[nodiscard]] std::string shape() const {
    const MemoryPlan& plan = rule_.memory_plan();
    std::string out;
    for (const Feed& feed : rule_.feeds) {
      for (const FieldPath& field : feed.fields) append_sized(out, path_text(field));
      for (size_t i = 0; i < feed.captures.size(); ++i) {
        append_varint(out, feed.capture_slots[i]);
        feed.captures[i].append_digest(out);
      }
    }
    append_varint(out, plan.slot_count);
    for (const MemoryStep& step : plan.steps) {
      append_varint(out, step.slot);
      append_fixed(out, static_cast<uint8_t>(step.function));
      append_fixed(out, static_cast<uint64_t>(step.duration_us));
      for (const Program& argument : step.arguments) argument.append_digest(out);
    }
    return out;
  }

  bool check_name() {
    const std::string& name = source_.name;
    if (name.size() > kRuleNameBytesMax || name.contains('/') || !is_topic_name(name)) {
      return refuse_rule(Part::kName, refuse(0, "rule.name", fmt::format("{} cannot name a rule", json_string(name)),
                                             "choose 1 to 128 bytes without '/', '+' and '#'")
                                          .error());
    }
    rule_.name = name;
    rule_.report = source_.report;
    rule_.identity = hash64(source_.sql, hash64(name));
    return true;
  }

  bool parse() {
    Checked<Statement> parsed = parse_statement(source_.sql);
    if (!parsed) return refuse_rule(Part::kSql, std::move(parsed.error()));
    statement_ = std::move(*parsed);
    if (!add_insights() || !add_importance()) return false;
    if (std::optional<Fault> fault = resolve_names(statement_, tables_)) {
      return refuse_rule(Part::kSql, std::move(*fault));
    }
    settle_information();
    add_feed(statement_.from);
    if (statement_.join) add_feed(statement_.join->stream);
    std::vector<std::string> streams;
    if (statement_.join) streams = {statement_.from.alias, statement_.join->stream.alias};
    capture_scope_ = CaptureScope(std::move(streams));
    window_scope_ = WindowScope(statement_.keys);
    if (needs_memory()) rule_.memory.emplace();
    if (statement_.join && !divide_join_condition(*statement_.join)) return false;
    if (!statement_.has_partition || uses_memory()) return true;
    return refuse_sql(statement_.partition.front()->offset, "rule.memory",
                      "PARTITION BY divides what functions remember, and there is none",
                      "leave it out, or use a function such as lag()");
  }

  // What a row is worth where it does not say so itself: how much its first field tells, or how unusual it is.
  bool add_importance() {
    const bool is_named = std::ranges::any_of(statement_.items, [](const SelectItem& item) {
      return item.expression != nullptr && item.name == kImportance;
    });
    const auto judged = std::ranges::find_if(statement_.items, [](const SelectItem& item) {
      return item.expression != nullptr && item.expression->kind == Kind::kField && item.name != "device";
    });
    if (is_named || statement_.window || statement_.join || judged == statement_.items.end()) return true;
    for (size_t i = 0; i < source_.actions.size(); ++i) {
      const auto* upload = std::get_if<UploadSource>(&source_.actions[i]);
      const auto* store = std::get_if<StoreSource>(&source_.actions[i]);
      if ((upload == nullptr || upload->priority) && (store == nullptr || !store->by_importance)) continue;
      const std::string field = path_text(judged->expression->path);
      const std::string text =
          fmt::format("coalesce({}, greatest(information({}), anomaly({})))", kImportance, field, field);
      return add_hidden(text, std::string(kImportance), i);
    }
    return true;
  }

  // What insights need of the series is selected too, in columns that are not in the row.
  bool add_insights() {
    for (size_t i = 0; i < source_.actions.size(); ++i) {
      const auto* insight = std::get_if<InsightSource>(&source_.actions[i]);
      if (insight == nullptr) continue;
      if (statement_.window) {
        return refuse_rule(Part::kActions,
                           refuse(0, "rule.actions", "an insight is of readings, not of windows",
                                  "leave the window out, or upload its row")
                               .error(),
                           i);
      }
      const std::string& of = insight->of;
      const bool is_critical = insight->priority == Priority::kCritical;
      const auto stated = std::ranges::find_if(statement_.items, [](const SelectItem& item) {
        return item.expression != nullptr && item.name == "significance";
      });
      const ExpressionPointer significance = stated == statement_.items.end() ? nullptr : clone(*stated->expression);
      const std::array<std::pair<std::string_view, std::string>, kInsightParts> wanted = {{
          {"", of},
          {"significance", fmt::format("anomaly({})", of)},
          {"prediction", fmt::format("json_value(predict({}), '$.value')", of)},
          {"confidence", fmt::format("json_value(predict({}), '$.confidence')", of)},
          {"", fmt::format("summary({})", of)},
          {"", is_critical ? fmt::format("recent({})", of) : "NULL"},
          {"", is_critical ? fmt::format("aftermath(anomaly({}), {})", of, of) : "NULL"},
      }};
      std::array<std::string, kInsightParts>& names = insights_[i];
      for (size_t part = 0; part < wanted.size(); ++part) {
        const auto& [selected, text] = wanted[part];
        const bool is_selected =
            !selected.empty() && std::ranges::any_of(statement_.items, [&](const SelectItem& item) {
              return item.expression != nullptr && item.name == selected;
            });
        names[part] = is_selected ? std::string(selected) : fmt::format("insight {} {}", i, part);
        if (!is_selected && !add_hidden(text, names[part], i)) return false;
        if (part == kAftermathPart && is_critical && significance) {
          statement_.items.back().expression->operands[0] = clone(*significance);
        }
      }
    }
    return true;
  }

  bool add_hidden(const std::string& text, const std::string& name, size_t action) {
    Checked<Statement> parsed = parse_statement(fmt::format("SELECT {} FROM 'x'", text));
    const bool is_one = parsed && parsed->items.size() == 1 && parsed->items[0].expression != nullptr &&
                        parsed->from.filter == "x" && !parsed->condition && !parsed->window && !parsed->join;
    if (!is_one) {
      return refuse_rule(Part::kActions,
                         refuse(0, "rule.actions", fmt::format("{} is no expression", json_string(text)),
                                "write of = \"temperature\", or another expression of the message")
                             .error(),
                         action);
    }
    statement_.items.push_back({.expression = std::move(parsed->items[0].expression), .name = name});
    ++hidden_items_;
    return true;
  }

  void add_feed(const StreamSource& stream) {
    Feed& feed = rule_.feeds.emplace_back();
    feed.filter = stream.filter;
    const std::vector<std::string_view> levels = topic_levels(feed.filter);
    const auto wildcard = std::ranges::find(levels, "+");
    if (wildcard != levels.end()) feed.device_level = static_cast<uint32_t>(wildcard - levels.begin());
  }

  // information() is of the window where there is one, and of the last readings elsewhere.
  void settle_information() {
    const bool is_grouped = statement_.window.has_value();
    for (SelectItem& item : statement_.items) {
      if (item.expression) settle_information(*item.expression, is_grouped);
    }
    if (statement_.having) settle_information(*statement_.having, is_grouped);
    if (statement_.condition) settle_information(*statement_.condition, /*is_grouped=*/false);
  }
  static void settle_information(Expression& expression, bool is_grouped) {
    const bool is_information =
        expression.kind == Kind::kAggregate && expression.aggregate.aggregate == Aggregate::kInformation;
    if (is_information && !is_grouped) {
      expression.kind = Kind::kState;
      expression.state = StateFunction::kInformation;
      expression.aggregate = {};
    }
    const bool is_inside = expression.kind == Kind::kAggregate;
    for (ExpressionPointer& operand : expression.operands) settle_information(*operand, is_grouped && !is_inside);
  }

  [[nodiscard]] bool uses_memory() const {
    const auto remembers = [](const ExpressionPointer& part) { return part && has_state(*part); };
    return remembers(statement_.condition) ||
           std::ranges::any_of(statement_.items, remembers, &SelectItem::expression) || remembers(statement_.having);
  }
  [[nodiscard]] bool needs_memory() const {
    return statement_.join || statement_.window || statement_.event_time || uses_memory();
  }

  // Nothing when refused.
  std::optional<Program> program(const Expression& expression, Scope& scope) {
    Checked<Program> compiled = ProgramCompiler::compile(expression, scope);
    if (compiled) return std::move(*compiled);
    refuse_rule(Part::kSql, std::move(compiled.error()));
    return std::nullopt;
  }
  bool programs(std::span<const ExpressionPointer> expressions, Scope& scope, std::vector<Program>& out) {
    for (const ExpressionPointer& expression : expressions) {
      std::optional<Program> compiled = program(*expression, scope);
      if (!compiled) return false;
      out.push_back(std::move(*compiled));
    }
    return true;
  }

  // What remembers sees every message, so that a condition with such a function is left to the memory whole.
  bool compile_condition() {
    if (rule_.memory && (statement_.join || (statement_.condition && has_state(*statement_.condition)))) {
      capture_scope_.refuse_aggregates(kWhereReason, kWhereFix);
      if (!statement_.condition) return true;
      rule_.memory->condition = program(*statement_.condition, capture_scope_);
      return rule_.memory->condition.has_value();
    }
    message_scopes_[0].refuse_aggregates(kWhereReason, kWhereFix);
    if (!statement_.condition) return true;
    Feed& feed = rule_.feeds[0];
    feed.condition = program(*statement_.condition, message_scopes_[0]);
    if (!feed.condition) return false;
    feed.predicate = predicate_of(*statement_.condition);
    return true;
  }

  bool check_items() {
    std::vector<std::string_view> names;
    for (const SelectItem& item : statement_.items) {
      if (std::ranges::find(names, item.name) != names.end()) {
        return refuse_sql(item.offset, "rule.duplicate-column",
                          fmt::format("there are two columns named {}", item.name), "name one of them with AS");
      }
      names.push_back(item.name);
      if (item.expression == nullptr && statement_.window) {
        return refuse_sql(item.offset, "rule.not-grouped", "* has many values in a window",
                          "select group keys and aggregates");
      }
      if (item.expression == nullptr && statement_.join) {
        return refuse_sql(item.offset, "rule.join", "* is of one message, and a join has two",
                          "name the fields, as in a.x and b.y");
      }
    }
    return true;
  }

  Scope& row_scope() {
    if (statement_.window) return window_scope_;
    return rule_.memory ? static_cast<Scope&>(capture_scope_) : message_scopes_[0];
  }

  bool compile_columns() {
    message_scopes_[0].refuse_aggregates(kNoWindowReason, kNoWindowFix);
    capture_scope_.refuse_aggregates(kNoWindowReason, kNoWindowFix);
    for (const SelectItem& item : statement_.items) {
      if (item.expression == nullptr) {
        rule_.selects_message = true;
        continue;
      }
      std::optional<Program> compiled = program(*item.expression, row_scope());
      if (!compiled) return false;
      rule_.columns.push_back({item.name, std::move(*compiled)});
    }
    rule_.selected_columns = rule_.columns.size() - hidden_items_;
    return true;
  }

  bool compile_having() {
    if (!statement_.window || !rule_.memory) return true;
    WindowPlan& plan = rule_.memory->window.emplace();
    plan.spec = *statement_.window;
    if (!statement_.having) return true;
    plan.having = program(*statement_.having, row_scope());
    return plan.having.has_value();
  }

  // What goes on where the key lives. After the columns and templates: they say what is captured and aggregated.
  bool compile_memory() {
    if (!rule_.memory) return true;
    MemoryPlan& plan = *rule_.memory;
    if (statement_.join) {
      plan.join_within_us = statement_.join->within_us;
      plan.keeps_unmatched = statement_.join->keeps_unmatched;
    }
    if (statement_.event_time) {
      plan.has_event_time = true;
      plan.delay_us = statement_.event_time->delay_us;
      plan.ahead_us = statement_.event_time->ahead_us;
      plan.late = statement_.event_time->late;
    }
    if (rule_.answers) {
      return refuse_rule(
          Part::kActions,
          refuse(0, "rule.actions", "an answer cannot wait for what the rule remembers",
                 "answer in a rule of its own, without window, join, TIMESTAMP BY and functions that remember; "
                 "what it needs to know may be kept in a table")
              .error());
    }
    if (rule_.drops && !statement_.window) {
      return refuse_rule(Part::kActions,
                         refuse(0, "rule.actions", "drop cannot wait for what the rule remembers",
                                "drop in a rule of its own, without join, TIMESTAMP BY and functions that remember")
                             .error());
    }
    return (!plan.window || compile_window(*plan.window)) && compile_partition(plan) && compile_steps(plan) &&
           capture_message(plan);
  }

  // Group keys and the operands of aggregates are computed of each message that enters the window.
  bool compile_window(WindowPlan& plan) {
    capture_scope_.refuse_aggregates("cannot be a group key", "group by what the message says");
    if (!programs(statement_.keys, capture_scope_, plan.keys)) return false;
    capture_scope_.refuse_aggregates("stands inside another aggregate", "aggregate the field itself");
    const bool is_overlapping = plan.spec.kind == WindowKind::kSliding || plan.spec.every < plan.spec.count;
    for (const Expression* aggregate : window_scope_.aggregates()) {
      if (aggregate->aggregate.aggregate == Aggregate::kReduced && is_overlapping) {
        return refuse_sql(aggregate->offset, "rule.window", "reduced() would be made anew with nearly every reading",
                          "use TUMBLING, HOPPING, SESSION or COUNT(n)");
      }
      plan.aggregates.push_back(aggregate->aggregate);
      plan.takes_long |= takes_long(aggregate->aggregate);
      std::optional<Program>& reading = plan.readings.emplace_back();
      if (aggregate->operands.empty()) continue;
      reading = program(*aggregate->operands.front(), capture_scope_);
      if (!reading) return false;
    }
    plan.device_column = selected_column("device");
    return true;
  }

  bool compile_partition(MemoryPlan& plan) {
    if (!statement_.has_partition) return true;
    plan.is_on_one_loop = statement_.join || statement_.window;
    if (plan.is_on_one_loop) return programs(statement_.partition, capture_scope_, plan.partition.emplace());
    return true;
  }

  bool compile_steps(MemoryPlan& plan) {
    plan.is_on_one_loop = plan.is_on_one_loop || (statement_.join && statement_.window);
    capture_scope_.refuse_aggregates("stands inside a function that remembers", "aggregate what it gives");
    // In a window, time alone changes what WHERE chooses, not what was aggregated.
    const bool is_chosen_by_clock = statement_.condition && has_for(*statement_.condition);
    for (size_t i = 0; i < capture_scope_.steps().size(); ++i) {
      const CaptureScope::Step step = capture_scope_.steps()[i];
      MemoryStep made{.slot = step.slot,
                      .function = step.call->state,
                      .duration_us = step.call->duration_us,
                      .follows_clock = has_for(*step.call),
                      .arguments = {}};
      if (!programs(step.call->operands, capture_scope_, made.arguments)) return false;
      plan.follows_clock |= made.follows_clock && (!plan.window || is_chosen_by_clock);
      plan.steps.push_back(std::move(made));
    }
    return true;
  }

  bool capture_message(MemoryPlan& plan) {
    if (!plan.window) {
      plan.topic_slot = capture_call(Function::kTopic);
      plan.device_slot = capture_call(Function::kDevice);
    }
    plan.slot_count = capture_scope_.slot_count();
    if (rule_.selects_message) plan.payload_slot = static_cast<uint32_t>(plan.slot_count++);
    return true;
  }

  std::optional<uint32_t> capture_call(Function function) {
    if (statement_.join) return std::nullopt;
    Expression call;
    call.kind = Kind::kCall;
    call.function = function;
    const Checked<uint32_t> slot = capture_scope_.capture(call);
    return slot ? std::optional(*slot) : std::nullopt;
  }

  bool compile_feeds() {
    for (uint8_t i = 0; i < rule_.feeds.size(); ++i) {
      MessageScope& scope = message_scopes_[i];
      scope.refuse_aggregates("cannot be a group key", "group by what the message says");
      if (rule_.memory && !compile_feed(rule_.feeds[i], i, scope, rule_.memory->payload_slot)) return false;
      rule_.feeds[i].fields = scope.fields();
    }
    return true;
  }

  bool compile_feed(Feed& feed, uint8_t number, MessageScope& scope, std::optional<uint32_t> payload_slot) {
    for (const CaptureScope::Capture& capture : capture_scope_.captures()) {
      if (capture.feed != number) continue;
      std::optional<Program> compiled = program(*capture.expression, scope);
      if (!compiled) return false;
      feed.captures.push_back(std::move(*compiled));
      feed.capture_slots.push_back(capture.slot);
    }
    if (payload_slot) {
      feed.captures.push_back(Program::of_payload());
      feed.capture_slots.push_back(*payload_slot);
    }
    if (statement_.event_time) {
      feed.timestamp = program(*statement_.event_time->timestamp, scope);
      if (!feed.timestamp) return false;
    }
    if (statement_.join) return programs(join_keys_[number], scope, feed.route);
    if (statement_.window) return programs(statement_.keys, scope, feed.route);
    if (statement_.has_partition) return programs(statement_.partition, scope, feed.route);
    Expression device;
    device.kind = Kind::kField;
    device.path = {{.name = "device"}};
    std::optional<Program> compiled = program(device, scope);
    if (!compiled) return false;
    feed.route.push_back(std::move(*compiled));
    return true;
  }

  // Equalities between the streams are the key; what is left joins the condition.
  bool divide_join_condition(const StreamJoin& join) {
    std::vector<const Expression*> parts;
    conjuncts(*join.condition, parts);
    for (const Expression* part : parts) {
      const std::optional<uint8_t> left = part->kind == Kind::kEqual ? only_stream(*part->operands[0]) : std::nullopt;
      const std::optional<uint8_t> right = part->kind == Kind::kEqual ? only_stream(*part->operands[1]) : std::nullopt;
      if (!left || !right || *left == *right) {
        return refuse_sql(part->offset, "rule.join", "ON compares the streams by other than equality",
                          "put it into WHERE, and equalities such as a.id = b.id into ON");
      }
      join_keys_[*left].push_back(without_stream(*part->operands[0]));
      join_keys_[*right].push_back(without_stream(*part->operands[1]));
    }
    return true;
  }

  // The one stream whose fields the expression names; nothing where there are none or several.
  [[nodiscard]] std::optional<uint8_t> only_stream(const Expression& expression) const {
    std::optional<uint8_t> stream;
    bool is_one = true;
    for_each(expression, [&](const Expression& part) {
      if (part.kind != Kind::kField) return;
      const std::optional<uint8_t> its = capture_scope_.stream_of(part.path);
      is_one = is_one && its && (!stream || *stream == *its);
      stream = its;
    });
    return is_one ? stream : std::nullopt;
  }

  static ExpressionPointer without_stream(const Expression& expression) {
    ExpressionPointer copy = clone(expression);
    if (copy->kind == Kind::kField) copy->path.erase(copy->path.begin());
    for (ExpressionPointer& operand : copy->operands) operand = without_stream(*operand);
    return copy;
  }

  // The column that ${name} stands for: one of the SELECT, else one more that only the templates see.
  Checked<uint32_t> column_of(std::string_view name, size_t offset) {
    const auto known = std::ranges::find(rule_.columns, name, &Column::name);
    if (known != rule_.columns.end()) return static_cast<uint32_t>(known - rule_.columns.begin());
    Checked<FieldPath> path = parse_field_path(name);
    if (!path) {
      Fault fault = std::move(path.error());
      return refuse(offset + fault.offset, "rule.template",
                    fmt::format("${{{}}} names neither a column nor a field: {}", name, fault.error.what),
                    fault.error.fix);
    }
    Expression field;
    field.kind = Expression::Kind::kField;
    field.path = std::move(*path);
    Checked<Program> compiled = ProgramCompiler::compile(field, row_scope());
    if (!compiled) return unknown_name(name, offset, compiled.error());
    rule_.columns.push_back({std::string(name), std::move(*compiled)});
    return static_cast<uint32_t>(rule_.columns.size() - 1);
  }

  std::unexpected<Fault> unknown_name(std::string_view name, size_t offset, const Fault& fault) const {
    if (!statement_.window) return refuse(offset, fault.error.code, fault.error.what, fault.error.fix);
    std::vector<std::string> candidates = {"window_start", "window_end"};
    for (const Column& column : rule_.columns) candidates.push_back(column.name);
    const std::string near = nearest(name, candidates);
    return refuse(offset, "rule.template", fmt::format("the window has no column {}", name),
                  near.empty() ? "select it, or add it to GROUP BY" : fmt::format("did you mean {}?", near));
  }

  std::optional<Template> compile_template(std::string_view text, Part part, size_t action) {
    Checked<Template> parsed =
        Template::parse(text, [this](std::string_view name, size_t offset) { return column_of(name, offset); });
    if (!parsed) {
      refuse_rule(part, std::move(parsed.error()), action);
      return std::nullopt;
    }
    if (part == Part::kTopic && !parsed->can_be_topic()) {
      refuse_rule(part,
                  refuse(0, "rule.topic", fmt::format("{} is not a topic to publish to", json_string(text)),
                         "a topic is not empty and has no '+' and '#'")
                      .error(),
                  action);
      return std::nullopt;
    }
    if (part == Part::kTopic && parsed->is_reserved()) {
      refuse_rule(part,
                  refuse(0, "rule.topic", fmt::format("{} is a topic of the node's own", json_string(text)),
                         "choose one that is not in $SYS/ and $verge/")
                      .error(),
                  action);
      return std::nullopt;
    }
    return std::move(*parsed);
  }

  bool compile_actions() {
    if (source_.actions.empty()) {
      return refuse_rule(Part::kActions,
                         refuse(0, "rule.actions", "the rule has no action",
                                "give it publish, upload, store, insight, purge, webhook, worker, ask, answer or drop")
                             .error());
    }
    for (size_t i = 0; i < source_.actions.size(); ++i) {
      const bool compiled = std::visit(Overloaded{
                                           [&](const PublishSource& publish) { return compile_publish(publish, i); },
                                           [&](const UploadSource& upload) { return compile_upload(upload, i); },
                                           [&](const PurgeSource& purge) { return compile_purge(purge, i); },
                                           [&](const WebhookSource& webhook) { return compile_webhook(webhook, i); },
                                           [&](const CallSource& call) {
                                             rule_.actions.emplace_back(CallAction{call.worker});
                                             return true;
                                           },
                                           [&](const AskSource& ask) { return compile_ask(ask, i); },
                                           [&](const InsightSource& insight) { return compile_insight(insight, i); },
                                           [&](const StoreSource& store) { return compile_store(store, i); },
                                           [&](const AnswerSource&) {
                                             rule_.actions.emplace_back(AnswerAction{});
                                             rule_.answers = true;
                                             return true;
                                           },
                                           [&](const DropSource&) {
                                             rule_.actions.emplace_back(DropAction{});
                                             rule_.drops = true;
                                             return true;
                                           },
                                       },
                                       source_.actions[i]);
      if (!compiled) return false;
    }
    return true;
  }

  bool check_qos(uint8_t qos, size_t action) {
    if (qos <= 1) return true;
    return refuse_rule(
        Part::kActions,
        refuse(0, "rule.actions", fmt::format("a rule cannot publish with QoS {}", qos), "choose 0 or 1").error(),
        action);
  }

  bool compile_publish(const PublishSource& publish, size_t action) {
    if (!check_qos(publish.qos, action)) return false;
    std::optional<Template> topic = compile_template(publish.topic, Part::kTopic, action);
    if (!topic) return false;
    PublishAction compiled{.topic = std::move(*topic), .qos = publish.qos, .retain = publish.retain};
    if (publish.payload) {
      compiled.payload = compile_template(*publish.payload, Part::kPayload, action);
      if (!compiled.payload) return false;
    }
    rule_.actions.emplace_back(std::move(compiled));
    return true;
  }

  bool compile_upload(const UploadSource& upload, size_t action) {
    UploadAction compiled{.priority = upload.priority, .topic = {}};
    if (!upload.priority) {
      Checked<uint32_t> column = column_of(std::string(kImportance), 0);
      if (!column) return refuse_rule(Part::kActions, std::move(column.error()), action);
      compiled.importance = *column;
    }
    if (upload.topic) {
      compiled.topic = compile_template(*upload.topic, Part::kTopic, action);
      if (!compiled.topic) return false;
    }
    rule_.actions.emplace_back(std::move(compiled));
    return true;
  }

  bool compile_webhook(const WebhookSource& webhook, size_t action) {
    WebhookAction compiled{.url = webhook.url, .payload = {}, .timeout = webhook.timeout, .attempts = webhook.attempts};
    if (webhook.payload) {
      compiled.payload = compile_template(*webhook.payload, Part::kPayload, action);
      if (!compiled.payload) return false;
    }
    rule_.actions.emplace_back(std::move(compiled));
    return true;
  }

  bool compile_ask(const AskSource& ask, size_t action) {
    if (!check_qos(ask.qos, action)) return false;
    std::optional<Template> topic = compile_template(ask.topic, Part::kTopic, action);
    if (!topic) return false;
    AskAction compiled{.question = ask.question,
                       .topic = std::move(*topic),
                       .otherwise = {},
                       .level = ask.level,
                       .deadline = ask.deadline,
                       .qos = ask.qos,
                       .retain = ask.retain,
                       .urgency = {},
                       .complexity = {}};
    if (ask.otherwise) {
      compiled.otherwise = compile_template(*ask.otherwise, Part::kPayload, action);
      if (!compiled.otherwise) return false;
    }
    if (ask.level == AskLevel::kPlaced) {
      compiled.urgency = selected_column("urgency");
      compiled.complexity = selected_column("complexity");
    }
    rule_.actions.emplace_back(std::move(compiled));
    return true;
  }

  bool compile_store(const StoreSource& store, size_t action) {
    StoreAction compiled{.is_hot = store.is_hot, .importance = {}, .topic = {}};
    if (store.by_importance) {
      Checked<uint32_t> column = column_of(std::string(kImportance), 0);
      if (!column) return refuse_rule(Part::kActions, std::move(column.error()), action);
      compiled.importance = *column;
    }
    if (store.topic) {
      compiled.topic = compile_template(*store.topic, Part::kTopic, action);
      if (!compiled.topic) return false;
    }
    rule_.actions.emplace_back(std::move(compiled));
    return true;
  }

  bool compile_insight(const InsightSource& insight, size_t action) {
    const std::array<std::string, kInsightParts>& names = insights_.at(action);
    std::array<uint32_t, kInsightParts> columns{};
    for (size_t i = 0; i < names.size(); ++i) columns[i] = selected_column(names[i]).value_or(0);
    InsightAction compiled{.type = insight.type,
                           .priority = insight.priority,
                           .topic = {},
                           .value = columns[0],
                           .significance = columns[1],
                           .prediction = columns[2],
                           .confidence = columns[3],
                           .statistics = columns[4],
                           .readings = {},
                           .aftermath = {}};
    if (insight.priority == Priority::kCritical) {
      compiled.readings = columns[5];
      compiled.aftermath = columns[kAftermathPart];
    }
    if (insight.topic) {
      compiled.topic = compile_template(*insight.topic, Part::kTopic, action);
      if (!compiled.topic) return false;
    }
    rule_.actions.emplace_back(std::move(compiled));
    return true;
  }

  [[nodiscard]] std::optional<uint32_t> selected_column(std::string_view name) const {
    const auto column = std::ranges::find(rule_.columns, name, &Column::name);
    if (column == rule_.columns.end()) return std::nullopt;
    return static_cast<uint32_t>(column - rule_.columns.begin());
  }

  bool compile_purge(const PurgeSource& purge, size_t action) {
    std::optional<Template> what = compile_template(purge.what, Part::kPurge, action);
    if (!what) return false;
    rule_.actions.emplace_back(PurgeAction{.what = std::move(*what), .scope = purge.scope, .softly = purge.softly});
    return true;
  }

  static constexpr std::string_view kWhereReason = "is not known yet in WHERE";
  static constexpr std::string_view kWhereFix = "WHERE chooses the messages that enter a window; use HAVING";
  static constexpr std::string_view kNoWindowReason = "needs a window";
  static constexpr std::string_view kNoWindowFix = "add GROUP BY TUMBLING(10 s)";

  const RuleSource& source_;
  const Tables& tables_;
  Rule rule_;
  RuleProblem problem_;
  Statement statement_;
  size_t hidden_items_ = 0;                                            // at the end of the statement's
  std::map<size_t, std::array<std::string, kInsightParts>> insights_;  // by action: the columns that it is made of
  std::array<MessageScope, 2> message_scopes_;                         // by feed
  CaptureScope capture_scope_{{}};
  WindowScope window_scope_{{}};  // of statement_.keys
  std::array<std::vector<ExpressionPointer>, 2> join_keys_;
};

}  // namespace

std::expected<Rule, RuleProblem> compile_rule(const RuleSource& source, const Tables& tables) {
  return RuleCompiler(source, tables).compile();
}

}  // namespace verge::rules
