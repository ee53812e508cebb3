// A rule as a person writes it, before it is compiled: SQL and actions as text, and where in that text a problem lies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/priority.h"

namespace verge::rules {

// Publishes to local subscribers. ${name} in `topic` and `payload` stands for a column of the SELECT, else for a field
// of the message. Without a payload the selected row is published as JSON.
struct PublishSource {
  std::string topic;
  std::optional<std::string> payload;
  uint8_t qos = 0;  // 0..1
  bool retain = false;
};

// Stores durably here and sends up the tree. `SELECT *` uploads the message as it came, any other SELECT its row as
// JSON. Without a topic the message's own is kept (a window's: the rule's name under "windows/").
struct UploadSource {
  // None: by the column or field `importance`: above 0.8 high, above 0.5 low, else it is not stored.
  std::optional<Priority> priority = Priority::kNormal;
  std::optional<std::string> topic;
};

// Ends the event here: nothing else stores it.
struct DropSource {};

// What of the HTTP cache a purge covers: the answers with a tag, to a URL, to all URLs that begin so, of a host.
enum class PurgeScope : uint8_t { kTag, kUrl, kPrefix, kHost };

// Purges what the cache holds. `what` is a template, as that of a topic is.
struct PurgeSource {
  std::string what;
  PurgeScope scope = PurgeScope::kTag;
  bool softly = false;  // what is purged becomes stale
};

// Sends the payload, else the row, to a server by HTTP POST.
struct WebhookSource {
  std::string url;  // not a template: a message does not say where to
  std::optional<std::string> payload;
  Duration timeout = std::chrono::seconds(5);
  uint32_t attempts = 5;
};

// Calls a worker's `event` with the message as it came, for `SELECT *`, else with the row as JSON.
struct CallSource {
  std::string worker;
};

// Which level decides: the parent, one of a tier, or that which level(urgency, complexity) names.
enum class AskLevel : uint8_t { kNext, kEdge, kFog, kCloud, kPlaced };

// Asks the rule `question` of another level for a decision, and publishes what it says. Without an answer in time the
// template `otherwise` is published; without that, nothing.
struct AskSource {
  std::string question;
  std::string topic;
  std::optional<std::string> otherwise;
  AskLevel level = AskLevel::kNext;
  Duration deadline = std::chrono::milliseconds(100);
  uint8_t qos = 0;  // 0..1
  bool retain = false;
};

// What the rule selects is the answer to who asks it by its name.
struct AnswerSource {};

using ActionSource = std::variant<PublishSource, UploadSource, DropSource, PurgeSource, WebhookSource, CallSource,
                                  AskSource, AnswerSource>;

struct RuleSource {
  std::string name;
  std::string sql;
  std::vector<ActionSource> actions;
  // The priority at which the report of each published action (device, action, time) follows upwards; none: no report.
  std::optional<Priority> report = Priority::kNormal;
};

// Why a rule was refused, and where: `offset` counts bytes into the text that `part` names.
struct RuleProblem {
  enum class Part { kName, kSql, kTopic, kPayload, kPurge, kActions };
  Error error;
  size_t rule = 0;  // index into the rules given
  Part part = Part::kSql;
  size_t action = 0;  // index into RuleSource::actions, for kTopic, kPayload and kPurge
  size_t offset = 0;
};

}  // namespace verge::rules
