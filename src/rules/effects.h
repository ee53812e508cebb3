// What evaluating rules asks for. node/ carries it out.
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/payload.h"
#include "model/event.h"
#include "model/priority.h"
#include "rules/rule.h"
#include "rules/rule_input.h"

namespace verge::rules {

struct LateRow;

// A published message as the rules see it.
struct Message {
  std::string_view topic;   // a valid topic name
  std::string_view device;  // the client's id, or empty
  const Payload& payload;
  WallTime received;
  // What recognises a repetition: who numbers the messages, and this one's number. Empty: nobody does.
  std::string_view source = {};
  uint64_t sequence = 0;
};

// What a rule asks another level. Views last for the call.
struct Question {
  std::string_view topic;   // of the message
  std::string_view device;  // as for publish()
  Payload payload;          // the message for '*' alone, else the row
  std::string_view decision_topic;
  std::optional<Payload> otherwise;
  std::optional<double> urgency;  // where the rule states it
  std::optional<double> complexity;
};

// Called while an Evaluator works, for each message in the order in which the actions are written and the rules
// declared. Views last for the call. A call must not evaluate() in its turn: what a rule publishes is queued first.
class Effects {
 public:
  virtual ~Effects() = default;
  // `device`: the row's column of that name where it holds a device's name, else who sent the message.
  virtual void publish(const Rule& rule, std::string_view topic, std::string_view device, Payload payload, uint8_t qos,
                       bool retain) = 0;
  // `kind` is kMessage where the payload is the message as it came, else kSelection. `device` as above; a window's is
  // empty where it has no such column, its time is its end.
  virtual void upload(const Rule& rule, EventKind kind, Priority priority, std::string_view topic,
                      std::string_view device, Payload payload, WallTime time) = 0;
  // Of a windowed rule: for each message that enters the window.
  virtual void drop(const Rule& rule) = 0;
  // Of the HTTP cache; `what` is not empty.
  virtual void purge(const Rule& rule, PurgeScope scope, std::string_view what, bool softly) = 0;
  // To be sent by HTTP POST. `is_json`: the payload is a row.
  virtual void webhook(const Rule& rule, const WebhookAction& action, Payload payload, bool is_json) = 0;
  // An action of the rule was not performed, the others are. `action` counts from 1; `why`: "its topic cannot be made
  // of the row: …".
  virtual void not_performed(const Rule& rule, size_t action, std::string_view why) {
    static_cast<void>(rule), static_cast<void>(action), static_cast<void>(why);
  }
  // To the code of that name; `topic` and `time` are the message's, or the window's.
  virtual void call(const Rule& rule, std::string_view worker, std::string_view topic, Payload payload, WallTime time) {
    static_cast<void>(rule), static_cast<void>(worker), static_cast<void>(topic), static_cast<void>(payload);
    static_cast<void>(time);
  }
  // To be kept here and not sent up: hot, or for a day. Else as for upload().
  virtual void store(const Rule& rule, EventKind kind, bool is_hot, std::string_view topic, std::string_view device,
                     Payload payload, WallTime time) {
    static_cast<void>(rule), static_cast<void>(kind), static_cast<void>(is_hot), static_cast<void>(topic);
    static_cast<void>(device), static_cast<void>(payload), static_cast<void>(time);
  }
  // What is decided is published on `question.decision_topic`.
  virtual void ask(const Rule& rule, const AskAction& action, const Question& question) {
    static_cast<void>(rule), static_cast<void>(action), static_cast<void>(question);
  }
  // What is performed next is of this row of a rule that remembers: `number` is the same again where the same readings
  // are taken again in the same order.
  virtual void begin_row(const Rule& rule, uint64_t number) { static_cast<void>(rule), static_cast<void>(number); }
  // The clock has moved what the rule remembers.
  virtual void advanced(const Rule& rule, WallTime now) { static_cast<void>(rule), static_cast<void>(now); }
  // The row is to be computed on another thread, and then given to Evaluator::take() of this loop. False: it is not
  // wanted, and is as it was; then it is computed at once.
  virtual bool take_late(LateRow& row) {
    static_cast<void>(row);
    return false;
  }
  // To be accepted by the Evaluator of the loop that owns input.key_hash; the same one may accept it at once.
  virtual void hand_over(RuleInput input) = 0;
};

}  // namespace verge::rules
