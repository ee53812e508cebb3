// What the broker does with requests about twins (twin_document.h). A twin is what is retained at its topics, and so it
// is durable, spread over the loops, found and delivered as all retained messages are. The loop that keeps it changes
// it, one request after the other, which is what makes its versions hold. Answers go out when what they say is durable;
// the publish that brought the request is acknowledged then too.
#include "base/assert.h"
#include "mqtt/broker.h"
#include "mqtt/encode.h"

namespace verge::mqtt {
namespace {

constexpr std::string_view kDocument = "document";
constexpr std::string_view kDelta = "delta";

}  // namespace

Verdict Broker::take_twin_request(const Session& session, const Publish& publish, TwinRequest request,
                                  const AckTicket& ticket, bool& commits) {
  Message message{
      .topic = std::string(publish.topic), .payload = Payload(publish.payload), .qos = publish.qos, .properties = {}};
  if (session.version() == Version::k5) {
    Properties forwarded;
    forwarded.correlation = publish.properties.correlation;
    append_properties(message.properties, forwarded);
  }
  const auto shared = std::make_shared<const Message>(std::move(message));
  const bool owes_receipt = publish.qos == 2 && session.durable_name() != 0;
  std::shared_ptr<Commit> commit;
  if (owes_receipt || (ticket.number != 0 && kept_.retained)) {
    commit = std::make_shared<Commit>(shared, shards_.size());
    commit->ticket = ticket;
    if (owes_receipt) {
      commit->receipt_session = session.durable_name();
      commit->receipt = publish.packet_id;
    }
    commit->awaits_retained = kept_.retained;
    commits = ticket.number != 0;
  }
  hand_on(std::move(request), shared, commit);
  if (commit) finish_part(commit);
  return Verdict::kAccepted;
}

void Broker::hand_on(TwinRequest request, const MessagePointer& shared, const std::shared_ptr<Commit>& commit) {
  Broker& owner = retainer_of(shared->topic);
  const std::shared_ptr<Commit> part = kept_.retained ? commit : nullptr;
  if (part) part->parts.fetch_add(1, std::memory_order_relaxed);
  const auto ask = [&owner, request = std::move(request), shared, part] {
    owner.ask_twin(request, shared->payload.view(),
                   [&owner, shared](const TwinAnswer& answer) { owner.answer_twin(*shared, answer); });
    if (!part) return;
    owner.retained_parts_.push_back(part);
    owner.loop_.at_turn_end(owner);
  };
  if (&owner == this) {
    ask();
  } else if (!passages_.offer(owner.shard_, sizeof(Message) + shared->topic.size() + shared->payload.size(), ask)) {
    note_forward_dropped();
    if (part) part->parts.fetch_sub(1, std::memory_order_relaxed);  // this loop's own is not named yet
  }
}

void Broker::ask_twin(const TwinRequest& request, std::string_view payload, TwinDone done) {
  VERGE_ASSERT(&retainer_of(twin_topic(request.device, kDocument)) == this);
  bool is_changed = false;
  TwinAnswer answer = change_twin(request, payload, is_changed);
  if (!is_changed || !kept_.retained) return done(answer);
  twin_answers_.push_back({std::move(done), std::move(answer)});
  loop_.at_turn_end(*this);
}

Broker::TwinAnswer Broker::change_twin(const TwinRequest& request, std::string_view payload, bool& is_changed) {
  const std::string topic = twin_topic(request.device, kDocument);
  const RetainedMessages::Page kept = retained(topic, 1);
  const std::string document(kept.messages.empty() ? std::string_view() : kept.messages.front()->payload.view());
  const auto refused = [](Error error) { return TwinAnswer{.error = std::move(error), .document = {}}; };
  if (request.operation == TwinOperation::kGet) {
    if (const Result<void> there = check_twin(request.device, document, {}); !there) return refused(there.error());
    return {.error = {}, .document = document};
  }
  if (request.operation == TwinOperation::kDelete) {
    if (const Result<void> may = check_twin(request.device, document, payload); !may) return refused(may.error());
    publish_twin(topic, {});
    publish_twin(twin_topic(request.device, kDelta), {});
    counters_.twins.subtract();
    is_changed = true;
    return {};
  }
  if (document.empty() && counters_.twins.value() >= limits_.twins_max) {
    return refused(
        {"twin.too-many", "there are as many twins as there may be", "delete some, or raise mqtt.twins_max"});
  }
  const WallTime wall = clock_ == nullptr ? SystemClock().wall() : clock_->wall();
  Result<TwinChange> change =
      changed_twin(request.device, document, payload, wall.microseconds / 1000, limits_.twin_bytes_max);
  if (!change) return refused(std::move(change.error()));
  if (!publish_twin(topic, change->document)) {
    return refused({"twin.too-many", "there is no room for what is retained",
                    "raise mqtt.retained_max or mqtt.retained_bytes_max"});
  }
  if (document.empty()) counters_.twins.add();
  if (change->is_delta_new) publish_twin(twin_topic(request.device, kDelta), change->delta);
  is_changed = true;
  return {.error = {}, .document = std::move(change->document)};
}

bool Broker::publish_twin(std::string topic, std::string_view payload) {
  const auto message = std::make_shared<const Message>(Message{.topic = std::move(topic),
                                                               .payload = Payload(payload),
                                                               .qos = 1,
                                                               .retain = true,
                                                               .properties = {},
                                                               .received = loop_.now(),
                                                               .order = next_order()});
  if (!keep_retained(message, nullptr)) return false;
  publish(message);
  return true;
}

void Broker::answer_twin(const Message& request, const TwinAnswer& answer) {
  const std::optional<TwinRequest> asked = twin_request_of(request.topic);
  const std::string_view payload = request.payload.view();
  const std::string text = answer.error
                               ? twin_rejected(*answer.error, payload)
                               : twin_accepted(asked ? asked->device : std::string_view(), answer.document, payload);
  publish(std::make_shared<const Message>(Message{.topic = request.topic + (answer.error ? "/rejected" : "/accepted"),
                                                  .payload = Payload(text),
                                                  .qos = request.qos,
                                                  .properties = request.properties,
                                                  .received = loop_.now()}));
}

}  // namespace verge::mqtt
