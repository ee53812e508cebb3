#include "rules/rule_compiler.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/text.h"
#include "model/topic.h"
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
  explicit RuleCompiler(const RuleSource& source) : source_(source) {}

  std::expected<Rule, RuleProblem> compile() {
    const bool compiled = check_name() && parse() && compile_condition() && check_items() && compile_columns() &&
                          compile_actions() && compile_readings();
    if (!compiled) return std::unexpected(std::move(problem_));
    place_fields();
    return std::move(rule_);
  }

 private:
  using Part = RuleProblem::Part;

  bool refuse_rule(Part part, Fault fault, size_t action = 0) {
    problem_ = {.error = std::move(fault.error), .part = part, .action = action, .offset = fault.offset};
    return false;
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
    rule_.filter = statement_.filter;
    const std::vector<std::string_view> levels = topic_levels(rule_.filter);
    const auto wildcard = std::ranges::find(levels, "+");
    if (wildcard != levels.end()) rule_.device_level = static_cast<uint32_t>(wildcard - levels.begin());
    if (statement_.window_us) {
      rule_.window = WindowPlan{.size_us = *statement_.window_us};
      window_scope_.emplace(statement_.keys);
    }
    return true;
  }

  // Nothing when refused.
  std::optional<Program> program(const Expression& expression, Scope& scope) {
    Checked<Program> compiled = ProgramCompiler::compile(expression, scope);
    if (compiled) return std::move(*compiled);
    refuse_rule(Part::kSql, std::move(compiled.error()));
    return std::nullopt;
  }

  bool compile_condition() {
    message_scope_.refuse_aggregates("is not known yet in WHERE", "WHERE chooses the messages that enter a window");
    if (statement_.condition != nullptr) {
      rule_.condition = program(*statement_.condition, message_scope_);
      if (!rule_.condition) return false;
    }
    condition_slots_ = message_scope_.fields().size();
    return true;
  }

  bool check_items() {
    std::vector<std::string_view> names;
    for (const SelectItem& item : statement_.items) {
      if (std::ranges::find(names, item.name) != names.end()) {
        return refuse_rule(Part::kSql,
                           refuse(item.offset, "rule.duplicate-column",
                                  fmt::format("there are two columns named {}", item.name), "name one of them with AS")
                               .error());
      }
      names.push_back(item.name);
      if (item.expression == nullptr && rule_.window) {
        return refuse_rule(Part::kSql, refuse(item.offset, "rule.not-grouped", "* has many values in a window",
                                              "select group keys and aggregates")
                                           .error());
      }
    }
    return true;
  }

  Scope& row_scope() { return window_scope_ ? static_cast<Scope&>(*window_scope_) : message_scope_; }

  bool compile_columns() {
    message_scope_.refuse_aggregates("needs a window", "add GROUP BY TUMBLING(10 s)");
    for (const SelectItem& item : statement_.items) {
      if (item.expression == nullptr) {
        rule_.selects_message = true;
        continue;
      }
      std::optional<Program> compiled = program(*item.expression, row_scope());
      if (!compiled) return false;
      rule_.columns.push_back({item.name, std::move(*compiled)});
    }
    rule_.selected_columns = rule_.columns.size();
    return true;
  }

  // Group keys and the operands of aggregates are computed of each message that enters the window.
  bool compile_readings() {
    if (!rule_.window || !window_scope_) return true;
    message_scope_.refuse_aggregates("cannot be a group key", "group by what the message says");
    for (const ExpressionPointer& key : statement_.keys) {
      std::optional<Program> compiled = program(*key, message_scope_);
      if (!compiled) return false;
      rule_.window->keys.push_back(std::move(*compiled));
    }
    message_scope_.refuse_aggregates("stands inside another aggregate", "aggregate the field itself");
    for (const Expression* aggregate : window_scope_->aggregates()) {
      Reading reading{.aggregate = aggregate->aggregate};
      if (!aggregate->operands.empty()) {
        reading.program = program(*aggregate->operands.front(), message_scope_);
        if (!reading.program) return false;
      }
      rule_.window->readings.push_back(std::move(reading));
    }
    const auto device = std::ranges::find(rule_.columns, "device", &Column::name);
    if (device != rule_.columns.end()) {
      rule_.window->device_column = static_cast<uint32_t>(device - rule_.columns.begin());
    }
    return true;
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
    if (!rule_.window) return refuse(offset, fault.error.code, fault.error.what, fault.error.fix);
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
      return refuse_rule(
          Part::kActions,
          refuse(0, "rule.actions", "the rule has no action", "give it publish, upload, purge or drop").error());
    }
    for (size_t i = 0; i < source_.actions.size(); ++i) {
      const bool compiled = std::visit(Overloaded{
                                           [&](const PublishSource& publish) { return compile_publish(publish, i); },
                                           [&](const UploadSource& upload) { return compile_upload(upload, i); },
                                           [&](const PurgeSource& purge) { return compile_purge(purge, i); },
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

  bool compile_publish(const PublishSource& publish, size_t action) {
    if (publish.qos > 1) {
      return refuse_rule(
          Part::kActions,
          refuse(0, "rule.actions", fmt::format("a rule cannot publish with QoS {}", publish.qos), "choose 0 or 1")
              .error(),
          action);
    }
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
    UploadAction compiled{.priority = upload.priority};
    if (upload.topic) {
      compiled.topic = compile_template(*upload.topic, Part::kTopic, action);
      if (!compiled.topic) return false;
    }
    rule_.actions.emplace_back(std::move(compiled));
    return true;
  }

  bool compile_purge(const PurgeSource& purge, size_t action) {
    std::optional<Template> what = compile_template(purge.what, Part::kPurge, action);
    if (!what) return false;
    rule_.actions.emplace_back(PurgeAction{.what = std::move(*what), .scope = purge.scope, .softly = purge.softly});
    return true;
  }

  void place_fields() {
    const std::vector<FieldPath>& fields = message_scope_.fields();
    rule_.slot_count = fields.size();
    for (uint32_t slot = 0; slot < fields.size(); ++slot) {
      FieldTree& tree = slot < condition_slots_ ? rule_.condition_fields : rule_.row_fields;
      tree.add(fields[slot], slot);
    }
  }

  const RuleSource& source_;
  Rule rule_;
  RuleProblem problem_;
  Statement statement_;
  MessageScope message_scope_;
  std::optional<WindowScope> window_scope_;  // with rule_.window
  size_t condition_slots_ = 0;
};

}  // namespace

std::expected<Rule, RuleProblem> compile_rule(const RuleSource& source) { return RuleCompiler(source).compile(); }

}  // namespace verge::rules
