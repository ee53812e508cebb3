#include "rules/row_actions.h"

#include <vector>

#include "base/text.h"
#include "model/event.h"

namespace verge::rules {

size_t RowActions::perform(const Row& row, Effects& effects) {
  row_is_made_ = false;
  size_t failed = 0;
  for (const Action& action : row.rule.actions) {
    bool performed = true;
    if (const auto* publishing = std::get_if<PublishAction>(&action)) {
      performed = publish(row, *publishing, effects);
    } else if (const auto* uploading = std::get_if<UploadAction>(&action)) {
      performed = upload(row, *uploading, effects);
    } else if (const auto* purging = std::get_if<PurgeAction>(&action)) {
      performed = purge(row, *purging, effects);
    } else if (const auto* calling = std::get_if<CallAction>(&action)) {
      performed = call(row, *calling, effects);
    } else if (!row.rule.has_window()) {
      effects.drop(row.rule);
    }
    if (!performed) ++failed;
  }
  row_payload_ = {};
  return failed;
}

bool RowActions::publish(const Row& row, const PublishAction& action, Effects& effects) {
  topic_.clear();
  if (!action.topic.append_topic(topic_, row.columns)) return false;
  Payload payload;
  if (action.payload) {
    text_.clear();
    if (!action.payload->append_payload(text_, row.columns)) return false;
    payload = Payload(text_);
  } else {
    const Payload* made = row_payload(row);
    if (made == nullptr) return false;
    payload = *made;
  }
  effects.publish(row.rule, topic_, device_of(row), std::move(payload), action.qos, action.retain);
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

bool RowActions::upload(const Row& row, const UploadAction& action, Effects& effects) {
  std::string_view topic = row.topic;
  if (action.topic) {
    topic_.clear();
    if (!action.topic->append_topic(topic_, row.columns)) return false;
    topic = topic_;
  }
  const Payload* payload = row_payload(row);
  if (payload == nullptr) return false;
  const EventKind kind = row.rule.is_verbatim() ? EventKind::kMessage : EventKind::kSelection;
  effects.upload(row.rule, kind, action.priority, topic, device_of(row), *payload, row.time);
  return true;
}

bool RowActions::purge(const Row& row, const PurgeAction& action, Effects& effects) {
  text_.clear();
  if (!action.what.append_purged(text_, row.columns)) return false;
  effects.purge(row.rule, action.scope, text_, action.softly);
  return true;
}

bool RowActions::call(const Row& row, const CallAction& action, Effects& effects) {
  const Payload* payload = row_payload(row);
  if (payload == nullptr) return false;
  effects.call(row.rule, action.worker, row.topic, *payload, row.time);
  return true;
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
