#include "node/event_path.h"

#include <algorithm>

#include "base/assert.h"
#include "model/topic.h"

namespace verge::node {
namespace {

using Fate = spool::Submission::Fate;

constexpr Duration kSlice = std::chrono::microseconds(200);
// The clock on the wall may be set: look at least so often.
constexpr Duration kWindowLook = std::chrono::seconds(1);
// Numbers of who posts by HTTP, whoever it says it is, are not those of the MQTT client of that name: no name has it.
constexpr char kPosted = '\0';

// A reading on its way to the loop that owns its group, with the task that carries it.
size_t bytes_of(const rules::RuleInput& input) {
  constexpr size_t kTaskBytes = 128;
  return sizeof(input) + kTaskBytes + input.bytes.size();
}

}  // namespace

EventPath::EventPath(runtime::Loop& loop, size_t index, const Clock& clock, spool::SpoolWriter& spool,
                     std::shared_ptr<const rules::RuleSet> rules, rules::MemoryBudget& rule_memory)
    : loop_(loop),
      index_(index),
      clock_(clock),
      spool_(spool),
      evaluator_(std::move(rules), rule_memory),
      parent_waits_(loop, spool.awaited(), counters_.at_parent, counters_.short_of_parent),
      held_(loop, spool, counters_.awaiting_space, counters_.given_up,
            [this](const mqtt::AckTicket& ticket) { broker_->acknowledge(ticket, mqtt::Reason::kSuccess); }),
      window_timer_(loop) {}

EventPath::~EventPath() { loop_.forget_turn_end(*this); }

void EventPath::join(std::vector<EventPath*> paths, mqtt::Broker& broker, Purge purge, Webhook webhook) {
  VERGE_ASSERT(paths[index_] == this);
  paths_ = std::move(paths);
  broker_ = &broker;
  purge_ = std::move(purge);
  webhook_ = std::move(webhook);
}

mqtt::Verdict EventPath::take(const mqtt::Incoming& incoming, const mqtt::AckTicket& ticket) {
  const size_t begin = gathered_.items.size();
  current_ = {.client_id = incoming.client_id,
              .sequence = incoming.sequence,
              .received = incoming.received,
              .time = clock_.wall()};
  current_.is_awaited = ticket.number != 0;
  if (traces_ != nullptr) current_.caller = traces::parse_traceparent(incoming.traceparent);
  const size_t first_traced = traced_.size();
  evaluate({.topic = incoming.topic,
            .device = incoming.client_id,
            .payload = incoming.payload,
            .received = current_.time,
            .source = incoming.sequence ? incoming.client_id : std::string_view{},
            .sequence = incoming.sequence.value_or(0)});
  const DurabilityClass* demanded = ticket.number == 0 ? nullptr : durability_->of(incoming.topic);
  keep(demanded, incoming.topic, incoming.client_id, incoming.payload);
  const size_t end = gathered_.items.size();
  send_commands();
  if (traces_ != nullptr && (end == begin || current_.caller)) {
    EventTraces::Taken taken{.attributes = {{"verge.topic", std::string(incoming.topic)},
                                            {"verge.device", std::string(incoming.client_id)},
                                            {"verge.commands", static_cast<int64_t>(current_.actions)}},
                             .received = incoming.received,
                             .records = {}};
    if (current_.caller) note_traced(first_traced, taken.records);
    traces_->taken(std::move(taken), current_.caller);
  }
  const std::shared_ptr<Unrecorded> unrecorded = std::exchange(current_.unrecorded, nullptr);
  if (demanded != nullptr && demanded->level == DurabilityClass::Level::kNone) return mqtt::Verdict::kAccepted;
  std::vector<size_t> for_parent;
  if (demanded != nullptr && demanded->level == DurabilityClass::Level::kParent) {
    for (size_t i = begin; i < end; ++i) for_parent.push_back(i);
  }
  if (unrecorded != nullptr) {
    const auto at_parent = std::make_shared<bool>(false);  // shared by the two answers
    unrecorded->done = [this, ticket, at_parent](bool failed) {
      broker_->acknowledge(ticket, failed ? mqtt::Reason::kQuotaExceeded : mqtt::Reason::kSuccess, *at_parent);
    };
    if (end == begin) return mqtt::Verdict::kPending;
    ++unrecorded->left;
    uint64_t parent_wait = 0;
    if (!for_parent.empty()) {
      ++unrecorded->left;
      parent_wait = await_parent(for_parent, *demanded, [unrecorded, at_parent](bool has_it, bool refused) {
        *at_parent = has_it;
        settle(unrecorded, refused);
      });
    }
    waiters_.push_back({.begin = begin,
                        .end = end,
                        .ticket = {},
                        .refusable = true,
                        .done =
                            [unrecorded](std::span<const Fate> fates, const Error&) {
                              settle(unrecorded, std::ranges::find(fates, Fate::kRefused) != fates.end());
                            },
                        .parent_wait = parent_wait});
    return mqtt::Verdict::kPending;
  }
  if (end == begin || ticket.number == 0) return mqtt::Verdict::kAccepted;
  waiters_.push_back({.begin = begin, .end = end, .ticket = ticket, .refusable = incoming.refusable, .done = {}});
  if (!for_parent.empty()) {
    waiters_.back().parent_wait = await_parent(for_parent, *demanded, [this, ticket](bool at_parent, bool refused) {
      broker_->acknowledge(ticket, refused ? mqtt::Reason::kQuotaExceeded : mqtt::Reason::kSuccess, at_parent);
    });
  }
  return mqtt::Verdict::kPending;
}

void EventPath::keep(const DurabilityClass* demanded, std::string_view topic, std::string_view device,
                     const Payload& payload) {
  if (demanded == nullptr || demanded->level == DurabilityClass::Level::kNone) return;
  if (current_.dropped || current_.stored_verbatim) return;
  append(
      demanded->priority,
      {.kind = EventKind::kMessage, .time = current_.time, .topic = topic, .device = device, .payload = payload.view()},
      "");
}

uint64_t EventPath::await_parent(std::span<const size_t> records, const DurabilityClass& demanded,
                                 ParentWaits::Answer answer) {
  const ParentWaits::Opened opened = parent_waits_.open(demanded, std::move(answer));
  if (opened.marker) {
    for (const size_t record : records) gathered_.items[record].delivery = opened.marker;
  }
  return opened.number;
}

uint64_t EventPath::await_parent(const std::shared_ptr<Posted>& posted, std::span<const size_t> records,
                                 const DurabilityClass& demanded) {
  ++posted->unsettled;
  return await_parent(records, demanded, [posted, count = records.size()](bool at_parent, bool refused) {
    if (at_parent) posted->outcome.at_parent += count;
    if (refused && !posted->outcome.refused) {
      posted->outcome.refused = Error{"ingest.not-delivered", "it is durable here, and the parent does not have it yet",
                                      "number events (\"sequence\") and send them again, later"};
    }
    if (--posted->unsettled == 0 && posted->next == posted->events.size()) posted->done(posted->outcome);
  });
}

void EventPath::post(std::vector<PostedEvent> events, MonotonicTime received,
                     const std::optional<traces::TraceContext>& caller, std::function<void()> evaluated,
                     std::function<void(PostedOutcome)> done) {
  auto posted = std::make_shared<Posted>(Posted{.events = std::move(events),
                                                .received = received,
                                                .caller = caller,
                                                .traced = {},
                                                .evaluated = std::move(evaluated),
                                                .done = std::move(done),
                                                .outcome = {}});
  const uint64_t crowded = broker_->passages().crowded();
  if (evaluate_slice(posted)) return;
  posted_.push_back(std::move(posted));
  if (posted_.size() == 1) go_on(crowded, [this] { evaluate_posted(); });
}

void EventPath::go_on(uint64_t crowded, runtime::Task next) {
  runtime::Passages& passages = broker_->passages();
  if (passages.crowded() == crowded) {
    loop_.post(std::move(next));
  } else {
    passages.await_room(std::move(next));
  }
}

// A slice a turn.
void EventPath::evaluate_posted() {
  const uint64_t crowded = broker_->passages().crowded();
  const std::shared_ptr<Posted> first = posted_.front();
  const bool is_done = evaluate_slice(first);
  posted_.pop_front();
  if (!is_done) posted_.push_back(first);
  if (!posted_.empty()) go_on(crowded, [this] { evaluate_posted(); });
}

bool EventPath::evaluate_slice(const std::shared_ptr<Posted>& posted) {
  const MonotonicTime until = std::chrono::steady_clock::now() + kSlice;
  const size_t begin = gathered_.items.size();
  const DurabilityClass* demanded = nullptr;  // the first of the slice that demands the parent
  std::vector<size_t> for_parent;             // the records that it is demanded for
  const size_t slice_end = std::min(posted->events.size(), posted->next + kPostSliceEvents);
  std::vector<mqtt::MessagePointer> messages;
  while (posted->next < slice_end) {
    // Given back one by one too: ten thousand at once would take their time.
    const PostedEvent event = std::move(posted->events[posted->next++]);
    const size_t first = gathered_.items.size();
    evaluate_posted(event, *posted);
    const DurabilityClass* its = durability_->of(event.topic);
    if (its != nullptr && its->level == DurabilityClass::Level::kParent) {
      if (demanded == nullptr || its->at_bound == DurabilityClass::AtBound::kRefuse) demanded = its;
      for (size_t i = first; i < gathered_.items.size(); ++i) for_parent.push_back(i);
    }
    if (const std::shared_ptr<Unrecorded> unrecorded = std::exchange(current_.unrecorded, nullptr)) {
      ++posted->unsettled;
      unrecorded->done = [posted](bool failed) {
        if (failed) {
          posted->outcome.refused =
              Error{"rules.busy", "what rules remember of it could not be made durable", "send it again, later"};
        }
        if (--posted->unsettled == 0 && posted->next == posted->events.size()) posted->done(posted->outcome);
      };
    }
    messages.push_back(std::make_shared<const mqtt::Message>(
        mqtt::Message{.topic = event.topic, .payload = event.payload, .qos = 1, .received = posted->received}));
    if (std::chrono::steady_clock::now() >= until) break;
  }
  send_commands();
  for (const mqtt::MessagePointer& message : messages) broker_->publish(message);
  if (const size_t end = gathered_.items.size(); end > begin) {
    ++posted->unsettled;
    loop_.at_turn_end(*this);
    const uint64_t parent_wait = for_parent.empty() ? 0 : await_parent(posted, for_parent, *demanded);
    waiters_.push_back({.begin = begin,
                        .end = end,
                        .ticket = {},
                        .refusable = true,
                        .done =
                            [posted](std::span<const Fate> fates, const Error& error) {
                              PostedOutcome& outcome = posted->outcome;
                              for (const Fate fate : fates) {
                                outcome.stored += fate == Fate::kStored ? 1 : 0;
                                outcome.known += fate == Fate::kKnown ? 1 : 0;
                                if (fate == Fate::kRefused) outcome.refused = error;
                              }
                              if (--posted->unsettled == 0 && posted->next == posted->events.size())
                                posted->done(outcome);
                            },
                        .parent_wait = parent_wait});
  }
  if (posted->next < posted->events.size()) return false;
  posted->outcome.decided_in = loop_.tick() - posted->received;
  if (traces_ != nullptr && posted->caller) {
    traces_->taken({.name = "events",
                    .attributes = {{"verge.events", static_cast<int64_t>(posted->events.size())},
                                   {"verge.commands", static_cast<int64_t>(posted->outcome.actions)}},
                    .received = posted->received,
                    .records = std::move(posted->traced)},
                   posted->caller);
  }
  posted->evaluated();
  if (posted->unsettled == 0) posted->done(posted->outcome);
  return true;
}

void EventPath::evaluate_posted(const PostedEvent& event, Posted& posted) {
  counters_.events_http.add();
  const std::string source = event.sequence ? kPosted + event.device : std::string();
  current_ = {.client_id = source, .sequence = event.sequence, .received = posted.received, .time = clock_.wall()};
  current_.is_awaited = true;
  current_.caller = posted.caller;
  const size_t first_traced = traced_.size();
  evaluate({.topic = event.topic,
            .device = event.device,
            .payload = event.payload,
            .received = current_.time,
            .source = source,
            .sequence = event.sequence.value_or(0)});
  posted.outcome.actions += current_.actions;
  if (current_.dropped) {
    ++posted.outcome.dropped;
  } else if (!current_.stored_verbatim) {
    append(event.priority,
           {.kind = EventKind::kMessage,
            .time = current_.time,
            .topic = event.topic,
            .device = event.device,
            .payload = event.payload.view()},
           "");
  }
  if (posted.caller) note_traced(first_traced, posted.traced);
}

void EventPath::note_traced(size_t from, std::vector<traces::TraceId>& records) const {
  for (size_t i = from; i < traced_.size() && records.size() < kTracedLinksMax; ++i) {
    records.push_back(traced_[i].trace);
  }
}

void EventPath::climb(ChildStore& store, ChildBatch batch, std::function<void(const ChildBatch&)> done,
                      std::function<void()> finished) {
  store.store(
      std::move(batch), loop_,
      [this, since = loop_.tick(), done = std::move(done), finished = std::move(finished)](ChildBatch stored) mutable {
        done(stored);
        if (traces_ != nullptr) traces_->received(stored, since);
        take_climbed(std::move(stored), std::move(finished));
      });
}

void EventPath::climbed(ChildBatch stored, std::function<void()> finished) {
  loop_.post([this, stored = std::move(stored), finished = std::move(finished)]() mutable {
    take_climbed(std::move(stored), std::move(finished));
  });
}

void EventPath::take_climbed(ChildBatch stored, std::function<void()> finished) {
  climbed_.push_back({std::move(stored), 0, std::move(finished)});
  if (climbed_.size() == 1) evaluate_climbed();
}

// As far as the time of this turn goes; the rest in the next.
void EventPath::evaluate_climbed() {
  const runtime::Passages& passages = broker_->passages();
  const uint64_t crowded = passages.crowded();
  const MonotonicTime until = std::chrono::steady_clock::now() + kSlice;
  while (!climbed_.empty()) {
    Climbed& batch = climbed_.front();
    while (batch.next < batch.stored.records.size()) {
      // Given back one by one too: a hundred thousand at once would take their time.
      const ChildBatch::Record record = std::move(batch.stored.records[batch.next]);
      if (batch.stored.fates[batch.next++] == ChildBatch::Fate::kStored) evaluate_climbed(record.event);
      if (passages.crowded() == crowded && std::chrono::steady_clock::now() < until) continue;
      return go_on(crowded, [this] { evaluate_climbed(); });
    }
    const std::function<void()> finished = std::move(batch.finished);
    climbed_.pop_front();
    finished();
  }
}

void EventPath::evaluate_climbed(std::string_view bytes) {
  counters_.events_child.add();
  ByteReader reader(bytes);
  const std::optional<EventView> event = read_event(reader);
  VERGE_ASSERT(event.has_value());
  const Payload payload(event->payload);
  current_ = {.client_id = event->device, .sequence = std::nullopt, .received = loop_.now(), .time = event->time};
  const MonotonicTime since = traces_ != nullptr ? std::chrono::steady_clock::now() : MonotonicTime{};
  evaluate({.topic = event->topic, .device = event->device, .payload = payload, .received = event->time});
  send_commands();
  if (traces_ != nullptr) traces_->evaluated(*event, since, current_.actions);
  broker_->publish(std::make_shared<const mqtt::Message>(
      mqtt::Message{.topic = std::string(event->topic), .payload = payload, .qos = 1, .received = current_.received}));
}

void EventPath::evaluate(const rules::Message& message) {
  if (is_watched()) {
    tail_->add(EventTail::Kind::kMessage, message.received, message.topic, message.device, message.payload.view(), {});
  }
  if (tail_ != nullptr && tail_->is_traced()) {
    trace(message);
  } else {
    evaluator_.evaluate(message, *this);
  }
  if (current_.actions > 0) counters_.decision.record(std::chrono::steady_clock::now() - current_.received);
}

void EventPath::trace(const rules::Message& message) {
  struct Counts {
    const rules::Rule* rule = nullptr;
    uint64_t matched = 0, rows = 0, errors = 0;
  };
  const auto counts_of = [this](const rules::Rule& rule) {
    const rules::RuleCounters& counters = evaluator_.counters(rule.index);
    return Counts{.rule = &rule,
                  .matched = evaluator_.matched(rule.index),
                  .rows = counters.fired.value(),
                  .errors = counters.errors.value()};
  };
  std::vector<Counts> before;
  for (const std::string& name : tail_->traced_rules()) {
    if (const rules::Rule* rule = evaluator_.rules().find(name)) before.push_back(counts_of(*rule));
  }
  evaluator_.evaluate(message, *this);
  for (const Counts& each : before) {
    const Counts after = counts_of(*each.rule);
    // A rule with memory may take it on another loop, and its rows may come later.
    const std::string_view outcome = after.rows != each.rows       ? "row"
                                     : after.errors != each.errors ? "error"
                                     : each.rule->memory           ? "remembered or not chosen"
                                                                   : "not chosen by WHERE";
    const bool is_of_second = std::ranges::any_of(
        each.rule->feeds, [&](const rules::Feed& feed) { return topic_matches(feed.filter, message.topic); });
    if (after.matched == each.matched && !is_of_second) continue;
    tail_->add(EventTail::Kind::kTrace, message.received, message.topic, message.device, message.payload.view(),
               each.rule->name, outcome);
  }
}

void EventPath::begin_row(const rules::Rule&, uint64_t number) {
  current_.row = number;
  current_.uploads_of_row = 0;
}

void EventPath::advanced(const rules::Rule& rule, WallTime now) {
  if (journal_ == nullptr) return;
  append_record(batch_,
                {.kind = RuleRecord::Kind::kAdvance, .rule = rule.identity, .now_us = now.microseconds, .bytes = {}});
}

void EventPath::hand_over(rules::RuleInput input) {
  EventPath* owner = paths_[input.key_hash % paths_.size()];
  if (journal_ != nullptr && current_.is_awaited) {
    if (current_.unrecorded == nullptr) {
      current_.unrecorded = std::make_shared<Unrecorded>();
      current_.unrecorded->path = this;
    }
    ++current_.unrecorded->left;
  }
  if (owner == this) return accept(input, current_.unrecorded);
  const size_t bytes = bytes_of(input);
  broker_->passages().post(owner->index_, bytes, [owner, input = std::move(input), unrecorded = current_.unrecorded] {
    owner->current_ = {.received = owner->loop_.now()};
    owner->accept(input, unrecorded);
    owner->send_commands();
  });
}

// What comes of it is not the message's: neither its number nor its drop concerns it.
void EventPath::accept(const rules::RuleInput& input, std::shared_ptr<Unrecorded> unrecorded) {
  Current message =
      std::exchange(current_, {.received = current_.received, .time = clock_.wall(), .caller = current_.caller});
  if (journal_ != nullptr) {
    std::string bytes;
    rules::append_input(bytes, input);
    append_record(batch_, {.rule = input.rule, .now_us = current_.time.microseconds, .bytes = bytes});
    if (unrecorded != nullptr) unrecorded_.push_back(std::move(unrecorded));
    loop_.at_turn_end(*this);
  }
  const std::optional<WallTime> due = evaluator_.accept(input, current_.time, *this);
  message.actions += current_.actions;
  current_ = std::move(message);
  if (due && (!window_timer_.pending() || due->microseconds < window_due_.microseconds)) watch_windows();
}

void EventPath::record_in(RuleJournal& journal, const RuleLayout& layout) {
  journal_ = &journal;
  layout_ = layout;
}

void EventPath::resume() {
  is_resumed_ = true;
  record_state();
  if (!window_timer_.pending()) watch_windows();
}

// What this turn recorded; uploads that come of it follow once it is durable. Waits while a state is on its way.
void EventPath::record() {
  if (batch_.empty() || !is_resumed_) return;
  recorded_bytes_ += batch_.size();
  submit_batch({.loop = static_cast<uint32_t>(index_),
                .is_awaited = !unrecorded_.empty(),
                .records = std::exchange(batch_, {})});
  if (recorded_bytes_ > RuleJournal::kSnapshotBytes) record_state();
}

// The state makes superfluous what was recorded before, so that all uploads that came of that must be stored first:
// those that the journal answers for now, then those that the spool has by then. What comes meanwhile is recorded
// behind it.
void EventPath::record_state() {
  if (journal_ == nullptr || !is_resumed_) return;
  recorded_bytes_ = 0;
  record();
  is_resumed_ = false;
  const auto loop = static_cast<uint32_t>(index_);
  RuleJournal::Batch state{.loop = loop, .is_snapshot = true, .records = {}};
  for (const rules::Rule& rule : evaluator_.rules().rules()) {
    if (!rule.memory) continue;
    std::string bytes;
    evaluator_.memory(rule.index)->append_to(bytes);
    append_record(state.records, {.kind = RuleRecord::Kind::kState, .rule = rule.identity, .bytes = bytes});
  }
  const auto submit_state = [this](RuleJournal::Batch batch) {
    if (is_resumed_) return;  // the node stops: what came meanwhile is recorded already
    is_resumed_ = true;
    journal_->submit(std::move(batch), loop_, [](const Result<void>&) {});
    record();
  };
  journal_->submit({.loop = loop, .is_awaited = true, .records = {}}, loop_,
                   [this, submit_state, state = std::move(state)](const Result<void>&) mutable {
                     spool_.submit({}, loop_, spool::Urgency::kAwaited,
                                   [submit_state, state = std::move(state)](const spool::Submission&) mutable {
                                     submit_state(std::move(state));
                                   });
                   });
}

void EventPath::submit_batch(RuleJournal::Batch batch) {
  journal_->submit(std::move(batch), loop_,
                   [this, waiting = std::exchange(unrecorded_, {}),
                    uploads = std::exchange(remembered_, {})](const Result<void>& done) mutable {
                     for (const std::shared_ptr<Unrecorded>& each : waiting) settle(each, !done);
                     if (uploads.empty()) return;
                     spool::Submission submission;
                     submission.items = std::move(uploads);
                     spool_.submit(std::move(submission), loop_, spool::Urgency::kPatient,
                                   [this, submitted = std::chrono::steady_clock::now()](spool::Submission stored) {
                                     if (traces_ != nullptr) traces_->stored_rows(stored, submitted);
                                     held_.hold_unawaited(std::move(stored), 0);
                                   });
                   });
}

void EventPath::settle(const std::shared_ptr<Unrecorded>& unrecorded, bool failed) {
  const auto settle_there = [unrecorded, failed] {
    unrecorded->failed |= failed;
    if (--unrecorded->left == 0 && unrecorded->done) unrecorded->done(unrecorded->failed);
  };
  if (unrecorded->path->loop_.here()) return settle_there();
  unrecorded->path->loop_.post(settle_there);
}

void EventPath::watch_windows() {
  const std::optional<WallTime> next = evaluator_.next_close();
  if (!next) return;
  window_due_ = *next;
  const Duration left = std::chrono::microseconds(next->microseconds - clock_.wall().microseconds);
  window_timer_.after(std::clamp<Duration>(left, std::chrono::milliseconds(1), kWindowLook), [this] {
    current_ = {.received = loop_.now(), .time = clock_.wall()};
    evaluator_.advance(current_.time, *this);
    send_commands();
    watch_windows();
  });
}

bool EventPath::take_late(rules::LateRow& row) {
  if (computer_ == nullptr || journal_ != nullptr || drains_) return false;
  const bool is_taken = computer_->compute(row, [this](rules::LateRow computed) {
    {
      const std::lock_guard lock(computed_.mutex);
      computed_.rows.push_back(std::move(computed));
    }
    computed_.came.notify_one();
    loop_.post([this] { take_computed(); });
  });
  if (!is_taken) {
    counters_.crowded_rows.add();
    return false;
  }
  ++late_rows_;
  return true;
}

void EventPath::take_computed() {
  std::deque<rules::LateRow> rows;
  {
    const std::lock_guard lock(computed_.mutex);
    rows.swap(computed_.rows);
  }
  for (const rules::LateRow& row : rows) {
    --late_rows_;
    counters_.late_rows.add();
    current_ = {.received = loop_.now(), .time = clock_.wall()};
    evaluator_.take(row, *this);
  }
  send_commands();
}

void EventPath::send_commands() {
  for (const mqtt::MessagePointer& command : commands_) broker_->publish(command);
  commands_.clear();
  // Behind the streams that the commands went to: they are written out first.
  if (!reports_.empty() || !gathered_.items.empty() || !batch_.empty()) loop_.at_turn_end(*this);
}

void EventPath::on_turn_end() {
  record();
  submit();
}

void EventPath::submit() {
  // Window rows, QoS 0 uploads and reports are awaited by nobody here; what is critical is awaited above.
  const bool is_critical = std::ranges::any_of(
      gathered_.items, [](const spool::Submission::Item& item) { return item.priority == Priority::kCritical; });
  const spool::Urgency urgency = waiters_.empty() && !is_critical ? spool::Urgency::kPatient : spool::Urgency::kAwaited;
  for (spool::Submission::Item& item : reports_) {
    const std::optional<traces::TraceId> trace =
        traces_ == nullptr ? std::nullopt : traces_->trace_of_record(item.event);
    gathered_.items.push_back(std::move(item));
    if (!trace) continue;
    const MonotonicTime made = loop_.now();
    traced_.push_back({.item = gathered_.items.size() - 1,
                       .trace = *trace,
                       .made = {.received = made, .made = made, .rule = {}, .caller = {}}});
  }
  reports_.clear();
  if (gathered_.items.empty()) return;
  const MonotonicTime submitted = traced_.empty() ? MonotonicTime{} : std::chrono::steady_clock::now();
  spool_.submit(std::exchange(gathered_, {}), loop_, urgency,
                [this, waiters = std::exchange(waiters_, {}), traced = std::exchange(traced_, {}),
                 submitted](spool::Submission submission) mutable {
                  const std::vector<spool::Submission::Item> shown = stored_of(submission, traced);
                  settle(std::move(submission), std::move(waiters));
                  for (size_t i = 0; i < shown.size(); ++i) {
                    traces_->stored(shown[i].event, traced[i].made, shown[i].priority, submitted);
                  }
                });
}

// Those items that were stored, and of `traced` the same.
std::vector<spool::Submission::Item> EventPath::stored_of(const spool::Submission& submission,
                                                          std::vector<Traced>& traced) {
  std::erase_if(traced, [&](const Traced& each) { return submission.fates[each.item] != Fate::kStored; });
  std::vector<spool::Submission::Item> items;
  for (const Traced& each : traced) items.push_back(submission.items[each.item]);
  return items;
}

void EventPath::settle(spool::Submission submission, std::vector<Waiter> waiters) {
  size_t waited_through = 0;
  for (const Waiter& waiter : waiters) {
    waited_through = std::max(waited_through, waiter.end);
    const std::span fates = std::span(submission.fates).subspan(waiter.begin, waiter.end - waiter.begin);
    const bool is_refused = std::ranges::find(fates, Fate::kRefused) != fates.end();
    if (waiter.done) waiter.done(fates, submission.error);
    if (waiter.parent_wait != 0 && (waiter.done || !is_refused)) {
      const bool is_dropped = std::ranges::find(fates, Fate::kDropped) != fates.end();
      parent_waits_.stored(waiter.parent_wait, !is_refused && !is_dropped);
    } else if (waiter.done) {
      continue;
    } else if (!is_refused) {
      broker_->acknowledge(waiter.ticket, mqtt::Reason::kSuccess);
    } else if (waiter.parent_wait != 0) {
      // Nor held for who cannot be told: its acknowledgement means that the parent has it.
      parent_waits_.drop(waiter.parent_wait);
      broker_->acknowledge(waiter.ticket, mqtt::Reason::kQuotaExceeded);
    } else if (waiter.refusable || !held_.has_room()) {
      broker_->acknowledge(waiter.ticket, mqtt::Reason::kQuotaExceeded);
    } else {
      held_.hold(submission, waiter.begin, waiter.end, waiter.ticket);
    }
  }
  held_.hold_unawaited(std::move(submission), waited_through);
}

void EventPath::replace_rules(std::shared_ptr<const rules::RuleSet> rules) { evaluator_.replace(std::move(rules)); }

std::vector<std::string> EventPath::close_replaced() {
  std::vector<std::string> names = evaluator_.replaced_rules();
  current_ = {.received = loop_.now(), .time = clock_.wall()};
  RuleJournal* const journal = std::exchange(journal_, nullptr);  // their rows are of no record
  evaluator_.emit_replaced(*this);
  journal_ = journal;
  send_commands();
  record_state();
  return names;
}

void EventPath::drain() {
  drains_ = true;
  while (late_rows_ > 0) {
    {
      std::unique_lock lock(computed_.mutex);
      computed_.came.wait(lock, [this] { return !computed_.rows.empty(); });
    }
    take_computed();
  }
  current_ = {.received = loop_.now(), .time = clock_.wall()};
  if (journal_ == nullptr) evaluator_.drain(*this);
  is_resumed_ = true;
  record();
  send_commands();
  submit();
}

}  // namespace verge::node
