// Performs a rule's actions for one row: a selected message, or one group of a closed window.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/payload.h"
#include "rules/document.h"
#include "rules/effects.h"
#include "rules/rule.h"
#include "rules/value.h"

namespace verge::rules {

struct Row {
  const Rule& rule;
  std::span<const Value> columns;
  const Payload* message = nullptr;    // what '*' alone stands for
  const Document* document = nullptr;  // parsed where the rule has '*' beside other columns
  std::string_view topic;              // where an upload goes that names none
  std::string_view device;
  WallTime time;
};

class RowActions {
 public:
  // How many actions failed, because their topic, or what they purge, could not be made or their payload is larger than
  // kEventBytesMax; the others were performed.
  size_t perform(const Row& row, Effects& effects);
  // What the row is as a payload; nothing where it is too large.
  std::optional<Payload> payload_of(const Row& row);

 private:
  // Made once for all actions of the row; null when it is too large.
  const Payload* row_payload(const Row& row);
  bool append_row(const Row& row);
  // The row's column of that name, else, and where that holds no device's name, who sent the message. Good until the
  // next call.
  std::string_view device_of(const Row& row);
  bool publish(const Row& row, const PublishAction& action, Effects& effects);
  bool upload(const Row& row, const UploadAction& action, Effects& effects);
  bool webhook(const Row& row, const WebhookAction& action, Effects& effects);
  // From the template, else the row; false when it cannot be made.
  bool make_payload(const Row& row, const std::optional<Template>& of, Payload& payload);
  bool purge(const Row& row, const PurgeAction& action, Effects& effects);
  bool call(const Row& row, const CallAction& action, Effects& effects);
  bool ask(const Row& row, const AskAction& action, Effects& effects);
  bool store(const Row& row, const StoreAction& action, Effects& effects);
  bool insight(const Row& row, const InsightAction& action, Effects& effects);
  // The readings that follow a critical one, once they are there.
  bool aftermath(const Row& row, const InsightAction& action, Effects& effects);
  // Into text_, as far as all insights begin.
  void begin_insight(const Row& row, const InsightAction& action, std::string_view device);
  bool upload_insight(const Row& row, const InsightAction& action, std::string_view device, Effects& effects);
  // Into topic_. These say in why_ what is wrong where they are false.
  bool make_topic(const Row& row, const Template& of);
  bool refuse_payload();

  std::string topic_;
  std::string text_;
  std::string device_;
  std::string why_;  // the last action was not performed
  Payload row_payload_;
  bool row_is_made_ = false;
  bool row_fits_ = false;
};

}  // namespace verge::rules
