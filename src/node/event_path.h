// EventPath: flow 1 on one loop. A message comes in (MQTT, HTTP, a child's batch), rules decide, commands go out, and
// what is to be kept goes to the spool; whoever waits for that is told when it is durable.
//
// What a child sent, and what one request posted, is evaluated a slice a turn, so that a batch of any size delays
// nobody's decision. Requests take turns, a slice each.
//
// Order: the actions of rules are done before anything is written to a disk; acknowledgements wait for the disk. All
// that one turn of the loop produces for the spool is one submission. Windowed rules hand their readings to the loop
// that owns the group. What is evaluated in slices waits between two of them while a loop that the last went to has not
// caught up (Broker::passages()).
//
// What rules remember is durable where there is a journal (node/rule_journal.h): the readings of a turn, and the steps
// of the clock, are one batch, and a message is acknowledged when that of each loop it went to is durable. Uploads of
// rules that remember follow their batch into the spool; commands do not wait.
//
// Where a topic's class of durability is "parent" (node/durability_classes.h), the sender is told when the parent has
// the records of its message, or after a while what was reached until then (node/parent_waits.h).
//
// Rows that take long to compute are computed by the RowComputer and taken when they are done, unless there is a
// journal: it holds readings only, so that what is made of them must be made before its next snapshot.
//
// When the spool refuses: a client that can be told is told (PUBACK 0x97, HTTP 503); for one that cannot (MQTT 3.1.1)
// the record is held and offered again until it finds room (node/held_records.h), its acknowledgement outstanding,
// which in turn stops that client at its pending_max. Where no room is left to hold it, its connection is closed
// instead.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "model/event.h"
#include "mqtt/broker.h"
#include "mqtt/intake.h"
#include "node/child_store.h"
#include "node/durability_classes.h"
#include "node/event_tail.h"
#include "node/event_traces.h"
#include "node/held_records.h"
#include "node/kept_events.h"
#include "node/parent_waits.h"
#include "node/questions.h"
#include "node/row_computer.h"
#include "node/rule_journal.h"
#include "node/webhooks.h"
#include "rules/evaluator.h"
#include "runtime/loop.h"
#include "spool/spool_writer.h"

namespace verge::node {

// Written on the path's loop, readable anywhere.
struct EventPathCounters {
  Counter events_http;      // events that came by HTTP
  Counter events_child;     // new events that came from children
  Counter posted_bytes;     // bodies of HTTP clients and of children, as they came
  Counter actions;          // commands that rules published
  Counter uploads;          // records that rules or HTTP clients gave to the spool
  Counter drops;            // events that a rule ended
  Counter purges;           // that rules made
  Counter webhooks;         // likewise
  Counter not_performed;    // actions of rules that could not be made of their rows
  Counter calls;            // of workers, that rules made
  Counter failed_calls;     // of these, those that no worker got
  Counter asks;             // questions of rules
  Counter decided;          // of these, those that were answered, here too
  Counter replaced;         // by another level than the one that was to
  Counter late_decisions;   // not in time
  Counter fallbacks;        // decided by `otherwise`, or not at all
  Counter late_rows;        // rows that were computed elsewhere
  Counter crowded_rows;     // rows that were to be, and for which there was no room
  Counter given_up;         // records of rules, and reports of actions, that the spool refused and nobody waited for
  Counter awaiting_space;   // what is held now because the spool is full
  Counter at_parent;        // messages and requests that were acknowledged when the parent had them
  Counter short_of_parent;  // likewise that were to be, and were answered before
  Histogram decision;       // from receipt to the end of the rules, for messages that led to a command
};

// An event from an HTTP client.
struct PostedEvent {
  std::string topic;
  std::string device;
  Payload payload;
  Priority priority = Priority::kNormal;
  std::optional<uint64_t> sequence;  // with `device`: recognises a repetition
};

struct PostedOutcome {
  size_t stored = 0;
  size_t known = 0;      // repetitions
  size_t dropped = 0;    // ended here by a rule
  size_t at_parent = 0;  // of `stored` and `known`, those that the parent has
  size_t actions = 0;
  Duration decided_in{0};  // until the rules and their commands were done
  std::optional<Error> refused;
};

class EventPath final : public mqtt::Intake, private rules::Effects, private runtime::TurnEnd {
 public:
  EventPath(runtime::Loop& loop, size_t index, const Clock& clock, spool::SpoolWriter& spool,
            std::shared_ptr<const rules::RuleSet> rules, rules::MemoryBudget& rule_memory);
  ~EventPath() override;

  // Before any loop runs: all paths in order, the broker of this loop, and who carries out the purges and webhooks of
  // rules.
  using Purge = std::function<void(rules::PurgeScope scope, std::string_view what, bool softly)>;
  using Webhook = std::function<void(WebhookCall call)>;
  void join(std::vector<EventPath*> paths, mqtt::Broker& broker, Purge purge, Webhook webhook = {});
  // Likewise: who is shown what happens. It outlives the path.
  void show_in(EventTail& tail) { tail_ = &tail; }
  // Likewise: who writes the traces of events. It outlives the path.
  void trace_in(EventTraces& traces) {
    traces_ = &traces;
    held_.show_stored([&traces](const spool::Submission& submission, MonotonicTime submitted) {
      traces.stored_rows(submission, submitted);
    });
  }
  // Which acknowledgements wait for what, from now on. Before any loop runs, or on the loop.
  void set_durability(std::shared_ptr<const DurabilityClasses> classes) { durability_ = std::move(classes); }
  // Before any loop runs: who carries out the calls that rules make of workers; false where it cannot. Nobody: they are
  // counted as failed.
  using Call =
      std::function<bool(std::string_view worker, std::string_view topic, WallTime time, const Payload& payload)>;
  void call_with(Call call) { call_ = std::move(call); }

  // Likewise: where rules keep what does not climb. Nobody: nothing is kept.
  void keep_in(KeptEvents& kept) { kept_ = &kept; }
  // Likewise: who asks other levels. Nobody: questions of rules are answered here.
  void ask_by(Questions& questions) { questions_ = &questions; }
  // What the rule of that name says here. On the loop, in no evaluation. Error rules.unknown.
  Result<std::optional<Payload>> answer(const AskedQuestion& question);
  // Before any loop runs: what rules remember is recorded there from now on. The journal outlives the path.
  void record_in(RuleJournal& journal, const RuleLayout& layout);
  // Before any loop runs: who computes rows that take long; it ends before the path does. Nobody: the loop itself.
  void compute_by(RowComputer& computer) { computer_ = &computer; }
  // What was restored is safe: its windows go on. On the loop.
  void resume();
  // Records the whole state, so that what was recorded before is not needed any more. On the loop.
  void record_state();

  mqtt::Verdict take(const mqtt::Incoming& incoming, const mqtt::AckTicket& ticket) override;

  static constexpr size_t kPostSliceEvents = 64;

  // Events that climb by default, unless a rule drops them: evaluated in order, the first slice of them at once.
  // `evaluated` is called when the rules have run over all of them and they are forgotten here, then `done`, when those
  // that are kept are durable. Either may be called before post() returns.
  // `caller`: the trace that whoever posted them is in.
  void post(std::vector<PostedEvent> events, MonotonicTime received, const std::optional<traces::TraceContext>& caller,
            std::function<void()> evaluated, std::function<void(PostedOutcome)> done);

  // A child's batch to store; then rules run over what was new. `done` has the fates; `finished` is called when the
  // rules have run. `store` outlives the path.
  void climb(ChildStore& store, ChildBatch batch, std::function<void(const ChildBatch&)> done,
             std::function<void()> finished);
  // Runs rules over what of the batch was new. From any thread, while the loops run or are still to be started.
  void climbed(ChildBatch stored, std::function<void()> finished);

  // Evaluates by other rules from now on. Windows of rules that are not among them stay until close_replaced(), which
  // is called when every path has gone over: a reading may be on its way to them from another loop.
  void replace_rules(std::shared_ptr<const rules::RuleSet> rules);
  // Emits those windows; the names of the rules that had any.
  std::vector<std::string> close_replaced();
  // Nobody waits for the parent any more, nor will.
  void stop_waiting() { parent_waits_.stop(); }
  // Emits all open windows and submits what is left. No loop may take input any more: what it gathered here afterwards
  // would stay in its window.
  void drain();

  [[nodiscard]] const EventPathCounters& counters() const { return counters_; }  // any thread
  void count_posted(uint64_t bytes) { counters_.posted_bytes.add(bytes); }
  [[nodiscard]] const rules::Evaluator& evaluator() const { return evaluator_; }
  // Before any loop runs.
  [[nodiscard]] rules::Evaluator& evaluator() { return evaluator_; }

 private:
  // Somebody who waits for items of a submission.
  struct Waiter {
    size_t begin = 0;
    size_t end = 0;
    mqtt::AckTicket ticket;
    bool refusable = false;
    std::function<void(std::span<const spool::Submission::Fate>, const Error&)> done;
    uint64_t parent_wait = 0;  // where the parent is to have them too: the number of the wait
  };
  // A message that waits for batches of the journal, and for the spool. Changed on its own path's loop.
  struct Unrecorded {
    EventPath* path = nullptr;
    size_t left = 0;
    bool failed = false;
    std::function<void(bool failed)> done;
  };
  // An item of a submission that is traced.
  struct Traced {
    size_t item = 0;
    traces::TraceId trace;
    EventTraces::Made made;
  };
  static constexpr size_t kTracedLinksMax = 128;  // of one span; OpenTelemetry's own bound

  // What one request posted; from `next` on it is to be evaluated.
  struct Posted {
    std::vector<PostedEvent> events;
    MonotonicTime received;
    std::optional<traces::TraceContext> caller;
    std::vector<traces::TraceId> traced;  // with a caller
    std::function<void()> evaluated;
    std::function<void(PostedOutcome)> done;
    size_t next = 0;
    size_t unsettled = 0;  // slices that wait for the spool
    PostedOutcome outcome;
  };
  // What a child sent and is stored; from `next` on it is to be evaluated.
  struct Climbed {
    ChildBatch stored;
    size_t next = 0;
    std::function<void()> finished;
  };
  // What a rule asked, until it is decided.
  struct Decision {
    std::string rule;
    std::optional<Priority> report;
    AskedQuestion question;
    std::string topic;
    std::optional<Payload> otherwise;
    uint8_t qos = 0;
    bool retain = false;
  };
  // The message that is being evaluated.
  struct Current {
    std::string_view client_id;
    std::optional<uint64_t> sequence;
    MonotonicTime received;
    WallTime time;
    bool dropped = false;
    bool stored_verbatim = false;
    size_t actions = 0;
    std::string_view rule;  // that uploaded last
    size_t uploads_of_rule = 0;
    bool is_awaited = false;  // somebody is told when it is durable
    std::optional<traces::TraceContext> caller;
    std::shared_ptr<Unrecorded>
        unrecorded;               // once a rule remembers it, with a journal; shared with the loops it went to
    std::optional<uint64_t> row;  // of a rule that remembers
    size_t uploads_of_row = 0;
  };

  void publish(const rules::Rule& rule, std::string_view topic, std::string_view device, Payload payload, uint8_t qos,
               bool retain) override;
  void upload(const rules::Rule& rule, EventKind kind, Priority priority, std::string_view topic,
              std::string_view device, Payload payload, WallTime time) override;
  void drop(const rules::Rule& rule) override;
  void purge(const rules::Rule& rule, rules::PurgeScope scope, std::string_view what, bool softly) override;
  void webhook(const rules::Rule& rule, const rules::WebhookAction& action, Payload payload, bool is_json) override;
  void not_performed(const rules::Rule& rule, size_t action, std::string_view why) override;
  void call(const rules::Rule& rule, std::string_view worker, std::string_view topic, Payload payload,
            WallTime time) override;
  void store(const rules::Rule& rule, EventKind kind, bool is_hot, std::string_view topic, std::string_view device,
             Payload payload, WallTime time) override;
  void ask(const rules::Rule& rule, const rules::AskAction& action, const rules::Question& question) override;
  void begin_row(const rules::Rule& rule, uint64_t number) override;
  void advanced(const rules::Rule& rule, WallTime now) override;
  bool take_late(rules::LateRow& row) override;
  void hand_over(rules::RuleInput input) override;
  void on_turn_end() override;

  // Of these of the records gathered in this turn; the number of the wait.
  uint64_t await_parent(std::span<const size_t> records, const DurabilityClass& demanded, ParentWaits::Answer answer);
  uint64_t await_parent(const std::shared_ptr<Posted>& posted, std::span<const size_t> records,
                        const DurabilityClass& demanded);
  // Keeps the message where its class demands it and no rule did.
  void keep(const DurabilityClass* demanded, std::string_view topic, std::string_view device, const Payload& payload);
  void evaluate(const rules::Message& message);
  // The same, and what became of it in the rules that are traced.
  void trace(const rules::Message& message);
  void evaluate_posted();
  // Calls `next` in another turn, when there is room where the caller found none since passages().crowded() was
  // `crowded`.
  void go_on(uint64_t crowded, runtime::Task next);
  // Evaluates a slice; false when some are left.
  bool evaluate_slice(const std::shared_ptr<Posted>& posted);
  void evaluate_posted(const PostedEvent& event, Posted& posted);
  void take_climbed(ChildBatch stored, std::function<void()> finished);
  void evaluate_climbed();
  void evaluate_climbed(std::string_view bytes);
  [[nodiscard]] bool is_watched() const { return tail_ != nullptr && tail_->is_watched(); }
  void send_commands();
  void decide(const Decision& decision, const Outcome& outcome);
  void report(std::string_view rule, Priority priority, std::string_view topic, std::string_view device,
              const Payload& payload);
  // `rule`: who made the record, empty for the message itself.
  void append(Priority priority, const EventView& event, std::string_view rule);
  // Adds the traces of what is traced from there on.
  void note_traced(size_t from, std::vector<traces::TraceId>& records) const;
  void accept(const rules::RuleInput& input, std::shared_ptr<Unrecorded> unrecorded);
  void record();
  void submit_batch(RuleJournal::Batch batch);
  static void settle(const std::shared_ptr<Unrecorded>& unrecorded, bool failed);
  void watch_windows();
  // Those that were computed by now.
  void take_computed();
  void submit();
  void settle(spool::Submission submission, std::vector<Waiter> waiters);
  static std::vector<spool::Submission::Item> stored_of(const spool::Submission& submission,
                                                        std::vector<Traced>& traced);

  runtime::Loop& loop_;
  const size_t index_;
  const Clock& clock_;
  spool::SpoolWriter& spool_;
  std::vector<EventPath*> paths_;
  mqtt::Broker* broker_ = nullptr;
  Purge purge_;
  EventTail* tail_ = nullptr;      // null: nobody is shown anything
  EventTraces* traces_ = nullptr;  // null: nothing is traced
  Webhook webhook_;
  Call call_;
  Questions* questions_ = nullptr;
  KeptEvents* kept_ = nullptr;
  rules::Evaluator evaluator_;
  Current current_;
  std::vector<mqtt::MessagePointer> commands_;  // made by rules, not yet published

  RuleJournal* journal_ = nullptr;
  RuleLayout layout_;
  std::string batch_;                                    // of this turn
  std::vector<std::shared_ptr<Unrecorded>> unrecorded_;  // in it; shared with the loops their messages came from
  std::vector<spool::Submission::Item> remembered_;      // uploads that follow it
  uint64_t recorded_bytes_ = 0;                          // since the last state
  bool is_resumed_ = false;

  // What is or was computed elsewhere.
  struct Computed {
    std::mutex mutex;
    std::condition_variable came;
    std::deque<rules::LateRow> rows;  // guarded by the mutex
  };
  RowComputer* computer_ = nullptr;
  Computed computed_;
  size_t late_rows_ = 0;  // that are not taken yet
  bool drains_ = false;   // nothing is computed elsewhere any more

  spool::Submission gathered_;  // of this turn
  std::vector<Waiter> waiters_;
  std::vector<Traced> traced_;                    // items of it
  std::vector<spool::Submission::Item> reports_;  // of this turn; nobody waits for them
  std::deque<std::shared_ptr<Posted>> posted_;    // shared with the waiters of their slices
  std::deque<Climbed> climbed_;
  std::shared_ptr<const DurabilityClasses> durability_ = std::make_shared<const DurabilityClasses>();
  ParentWaits parent_waits_;
  HeldRecords held_;
  MonotonicTime next_not_performed_log_{};
  runtime::Timer window_timer_;
  WallTime window_due_;  // while it is pending: what it was set for
  EventPathCounters counters_;
};

}  // namespace verge::node
