#include "rules/row_actions.h"

#include <iterator>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "model/event.h"
#include "rules/worth.h"

namespace verge::rules {
namespace {

constexpr size_t kShownMax = 200;  // bytes of a text, where it is complained about

}  // namespace

size_t RowActions::perform(const Row& row, Effects& effects) {
  row_is_made_ = false;
  size_t failed = 0;
  size_t number = 0;
  for (const Action& action : row.rule.actions) {
    ++number;
    bool performed = true;
    if (const auto* publishing = std::get_if<PublishAction>(&action)) {
      performed = publish(row, *publishing, effects);
    } else if (const auto* uploading = std::get_if<UploadAction>(&action)) {
      performed = upload(row, *uploading, effects);
    } else if (const auto* purging = std::get_if<PurgeAction>(&action)) {
      performed = purge(row, *purging, effects);
    } else if (const auto* sending = std::get_if<WebhookAction>(&action)) {
      performed = webhook(row, *sending, effects);
    } else if (const auto* calling = std::get_if<CallAction>(&action)) {
      performed = call(row, *calling, effects);
    } else if (const auto* asking = std::get_if<AskAction>(&action)) {
      performed = ask(row, *asking, effects);
    } else if (const auto* storing = std::get_if<StoreAction>(&action)) {
      performed = store(row, *storing, effects);
    } else if (const auto* telling = std::get_if<InsightAction>(&action)) {
      performed = insight(row, *telling, effects);
    } else if (std::holds_alternative<DropAction>(action) && !row.rule.has_window()) {
      effects.drop(row.rule);
    }
    if (performed) continue;
    ++failed;
    effects.not_performed(row.rule, number, why_);
  }
  row_payload_ = {};
  return failed;
}

bool RowActions::publish(const Row& row, const PublishAction& action, Effects& effects) {
  if (!make_topic(row, action.topic)) return false;
  Payload payload;
  if (!make_payload(row, action.payload, payload)) return false;
  effects.publish(row.rule, topic_, device_of(row), std::move(payload), action.qos, action.retain);
  return true;
}

bool RowActions::make_payload(const Row& row, const std::optional<Template>& of, Payload& payload) {
  if (of) {
    text_.clear();
    if (!of->append_payload(text_, row.columns)) return refuse_payload();
    payload = Payload(text_);
    return true;
  }
  const Payload* made = row_payload(row);
  if (made == nullptr) return refuse_payload();
  payload = *made;
  return true;
}

bool RowActions::make_topic(const Row& row, const Template& of) {
  topic_.clear();
  if (of.append_topic(topic_, row.columns)) return true;
  why_ = fmt::format("its topic cannot be made of the row: {} is no topic, or a value in it is missing or has / + or #",
                     json_string(std::string_view(topic_).substr(0, kShownMax)));
  return false;
}

bool RowActions::refuse_payload() {
  why_ = fmt::format("its payload is longer than {} bytes", kEventBytesMax);
  return false;
}

bool RowActions::webhook(const Row& row, const WebhookAction& action, Effects& effects) {
  Payload payload;
  if (!make_payload(row, action.payload, payload)) return false;
  effects.webhook(row.rule, action, std::move(payload), !action.payload && !row.rule.is_verbatim());
  return true;
}

std::string_view RowActions::device_of(const Row& row) {
  for (size_t i = 0; i < row.rule.columns.size(); ++i) {
    if (row.rule.columns[i].name != "device" || row.columns[i].is_null()) continue;
    device_.clear();
    append_plain(device_, row.columns[i]);
    if (is_device_name(device_)) return device_;
    break;
  }
  return row.device;
}

namespace {

// Nothing: it is not worth storing. What does not say is kept as anything else is.
std::optional<Priority> priority_by(const Value& importance) {
  if (!importance.is_numeric()) return Priority::kNormal;
  switch (handling_of(importance.as_double())) {
    case Handling::kHot:
      return Priority::kHigh;
    case Handling::kBatch:
      return Priority::kLow;
    case Handling::kAggregate:
      break;
  }
  return std::nullopt;
}

}  // namespace

bool RowActions::upload(const Row& row, const UploadAction& action, Effects& effects) {
  const std::optional<Priority> priority =
      action.priority ? action.priority : priority_by(row.columns[action.importance]);
  if (!priority) return true;
  std::string_view topic = row.topic;
  if (action.topic) {
    if (!make_topic(row, *action.topic)) return false;
    topic = topic_;
  }
  const Payload* payload = row_payload(row);
  if (payload == nullptr) return refuse_payload();
  const EventKind kind = row.rule.is_verbatim() ? EventKind::kMessage : EventKind::kSelection;
  effects.upload(row.rule, kind, *priority, topic, device_of(row), *payload, row.time);
  return true;
}

bool RowActions::purge(const Row& row, const PurgeAction& action, Effects& effects) {
  text_.clear();
  if (!action.what.append_purged(text_, row.columns)) {
    why_ = fmt::format("what it purges cannot be made of the row: a value after {} is missing",
                       json_string(std::string_view(text_).substr(0, kShownMax)));
    return false;
  }
  effects.purge(row.rule, action.scope, text_, action.softly);
  return true;
}

bool RowActions::call(const Row& row, const CallAction& action, Effects& effects) {
  const Payload* payload = row_payload(row);
  if (payload == nullptr) return refuse_payload();
  effects.call(row.rule, action.worker, row.topic, *payload, row.time);
  return true;
}

namespace {

std::optional<double> number_of(const Row& row, const std::optional<uint32_t>& column) {
  if (!column || !row.columns[*column].is_numeric()) return std::nullopt;
  return row.columns[*column].as_double();
}

}  // namespace

bool RowActions::ask(const Row& row, const AskAction& action, Effects& effects) {
  if (!make_topic(row, action.topic)) return false;
  const Payload* payload = row_payload(row);
  if (payload == nullptr) return refuse_payload();
  Question question{.topic = row.topic,
                    .device = device_of(row),
                    .payload = *payload,
                    .decision_topic = topic_,
                    .otherwise = {},
                    .urgency = number_of(row, action.urgency),
                    .complexity = number_of(row, action.complexity)};
  if (action.otherwise && !make_payload(row, action.otherwise, question.otherwise.emplace())) return false;
  effects.ask(row.rule, action, question);
  return true;
}

bool RowActions::store(const Row& row, const StoreAction& action, Effects& effects) {
  bool is_hot = action.is_hot;
  if (action.importance) {
    const Value& importance = row.columns[*action.importance];
    const Handling handling = importance.is_numeric() ? handling_of(importance.as_double()) : Handling::kBatch;
    if (handling == Handling::kAggregate) return true;
    is_hot = handling == Handling::kHot;
  }
  std::string_view topic = row.topic;
  if (action.topic) {
    if (!make_topic(row, *action.topic)) return false;
    topic = topic_;
  }
  const Payload* payload = row_payload(row);
  if (payload == nullptr) return refuse_payload();
  const EventKind kind = row.rule.is_verbatim() ? EventKind::kMessage : EventKind::kSelection;
  effects.store(row.rule, kind, is_hot, topic, device_of(row), *payload, row.time);
  return true;
}

void RowActions::begin_insight(const Row& row, const InsightAction& action, std::string_view device) {
  text_.assign("{\"type\":");
  append_json_string(text_, action.type);
  text_.append(",\"rule\":");
  append_json_string(text_, row.rule.name);
  text_.append(",\"device\":");
  append_json_string(text_, device);
  fmt::format_to(std::back_inserter(text_), ",\"topic\":{},\"time_ms\":{}", json_string(row.topic),
                 row.time.microseconds / 1000);
}

bool RowActions::upload_insight(const Row& row, const InsightAction& action, std::string_view device,
                                Effects& effects) {
  text_.push_back('}');
  if (text_.size() > kEventBytesMax) return refuse_payload();
  effects.upload(row.rule, EventKind::kSelection, action.priority, topic_, device, Payload(text_), row.time);
  return true;
}

bool RowActions::aftermath(const Row& row, const InsightAction& action, Effects& effects) {
  if (!action.aftermath || row.columns[*action.aftermath].is_null()) return true;
  topic_ = "insights/" + row.rule.name;
  if (action.topic && !make_topic(row, *action.topic)) return false;
  const std::string device(device_of(row));
  begin_insight(row, action, device);
  text_.append(",\"readings_after\":");
  append_json(text_, row.columns[*action.aftermath]);
  return upload_insight(row, action, device, effects);
}

bool RowActions::insight(const Row& row, const InsightAction& action, Effects& effects) {
  if (!aftermath(row, action, effects)) return false;
  const Value& significance = row.columns[action.significance];
  if (!significance.is_numeric() || !is_significant(significance.as_double())) return true;
  topic_ = "insights/" + row.rule.name;
  if (action.topic && !make_topic(row, *action.topic)) return false;
  const std::string device(device_of(row));
  begin_insight(row, action, device);
  const auto add = [&](std::string_view name, uint32_t column) {
    text_.append(",\"").append(name).append("\":");
    append_json(text_, row.columns[column]);
  };
  add("value", action.value);
  add("prediction", action.prediction);
  add("confidence", action.confidence);
  add("significance", action.significance);
  add("statistics", action.statistics);
  if (action.readings) add("readings", *action.readings);
  return upload_insight(row, action, device, effects);
}

std::optional<Payload> RowActions::payload_of(const Row& row) {
  row_is_made_ = false;
  const Payload* payload = row_payload(row);
  return payload == nullptr ? std::nullopt : std::optional(*payload);
}

const Payload* RowActions::row_payload(const Row& row) {
  if (row.rule.is_verbatim()) return row.message;
  if (!row_is_made_) {
    row_fits_ = append_row(row);
    if (row_fits_) row_payload_ = Payload(text_);
    row_is_made_ = true;
  }
  return row_fits_ ? &row_payload_ : nullptr;
}

bool RowActions::append_row(const Row& row) {
  const std::span columns = std::span(row.rule.columns).first(row.rule.selected_columns);
  text_.assign("{");
  if (row.rule.selects_message) {
    std::vector<std::string_view> replaced;
    for (const Column& column : columns) replaced.push_back(column.name);
    row.document->append_members(text_, replaced);
  }
  for (size_t i = 0; i < columns.size(); ++i) {
    if (text_.size() > 1) text_.push_back(',');
    append_json_string(text_, columns[i].name);
    text_.push_back(':');
    append_json(text_, row.columns[i]);
    if (text_.size() > kEventBytesMax) return false;
  }
  text_.push_back('}');
  return text_.size() <= kEventBytesMax;
}

}  // namespace verge::rules
