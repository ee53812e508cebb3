// Broker: the MQTT server on one loop. A node runs one a loop; together they are one broker to clients.
//
// A client's session belongs to the loop hash(client id) for life. A connection is accepted anywhere, and moves there
// once its CONNECT is read. Each broker has a replica of the subscription tree (in full for its own sessions, by loop
// for others); retained messages are spread by hash(topic). SUBSCRIBE is answered when every loop has the subscription,
// so that what is published after SUBACK, by anyone, is delivered; UNSUBSCRIBE likewise, so that the answers keep their
// order. Retained messages follow the SUBACK by the page, from one loop after the other, each page once the client has
// room for it: however many there are, none is lost and no more than a page of them is held for a client.
//
// What one loop has for another goes through Passages: a client that publishes faster than the loops of its subscribers
// take, at whatever QoS, is read no further until they have caught up. It alone: others of its loop go on. Two loops
// that are full towards each other go on too, since each takes what comes whatever it has to give.
//
// Sessions that outlive their connection are durable where there is a SessionJournal: what happens to them is recorded
// there, and some things wait for that. A publish is acknowledged when it is durable for all such sessions that it
// waits for, on all loops, with the receipt of its publisher at QoS 2 in the same record (Commit); only then is it sent
// to them. PUBREL goes out when it is durable that PUBREC came, PUBCOMP when it is that PUBREL did, SUBACK when the
// subscription is. So a crash at any moment makes neither side take a message twice at QoS 2, nor lose one that was
// acknowledged. What is on its way to those sessions alone waits: others get it at once.
//
// Retained messages are durable there too. The loop that keeps a topic records what it retains there, of each topic the
// last of a turn, and while a batch of those that nobody waits for is under way, of the time that this takes. Wills of
// durable sessions are recorded at CONNECT; that one was published is durable with the message.
//
// Threading: everything on the broker's loop, except what is marked. Tasks that name a broker are posted to the loops
// of all: no broker is destroyed before they have stopped.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "base/random.h"
#include "base/seldom_line.h"
#include "mqtt/access_rules.h"
#include "mqtt/authenticator.h"
#include "mqtt/commit.h"
#include "mqtt/connection.h"
#include "mqtt/inspection.h"
#include "mqtt/intake.h"
#include "mqtt/limits.h"
#include "mqtt/message.h"
#include "mqtt/pace.h"
#include "mqtt/retained_messages.h"
#include "mqtt/session.h"
#include "mqtt/session_journal.h"
#include "mqtt/subscription_tree.h"
#include "mqtt/twin_document.h"
#include "runtime/loop.h"
#include "runtime/passages.h"

namespace verge::mqtt {

// Written on the broker's loop, readable anywhere.
// The number that a client gives a message by the user property "verge-sequence", if any; an error is what it gave
// instead of a number from 0 to kSourceSequenceMax.
std::expected<std::optional<uint64_t>, std::string_view> sequence_of(const Properties& properties);

// What client ids of bridges begin with; nobody else may have one.
inline constexpr std::string_view kBridgeClients = "$bridge/";

struct BrokerCounters {
  Counter connections;  // open now
  Counter connections_total;
  Counter connections_refused;
  Counter sessions;         // kept now
  Counter subscriptions;    // held now
  Counter retained;         // held now
  Counter twins;            // likewise
  Counter received;         // PUBLISH packets from clients
  Counter received_bytes;   // all bytes from clients
  Counter sent;             // PUBLISH packets to clients
  Counter dropped;          // messages not delivered because a client's queue was full or its packet limit too small
  Counter away_bytes;       // messages that wait for clients that are away, now
  Counter away_dropped;     // of `dropped`, for want of room among those
  Counter forward_dropped;  // of `dropped`: another loop had not caught up, and nobody could be made to wait
  Counter forward_held;     // how often a client was read no further until another loop had caught up
  Counter input_bytes;      // of packets that are not whole or not taken yet, now
  Counter input_refused;    // connections closed for want of room among those
  Counter rate_held;        // how often a client was read no further because it, or all together, sent too fast
  Counter turns_ended;      // how often a client was read no further until others of its loop had their turn
  Counter rate_closed;      // connections closed because they did
  Counter forbidden;        // PUBLISH packets to topics that are not for the client, or with a number that is none
  Counter violations;       // connections closed for what they sent
  Histogram decision;       // from the read of a message to the write of the command that a rule made of it
};

class Broker final : private runtime::TurnEnd {
 public:
  Broker(runtime::Loop& loop, size_t shard, const Limits& limits, Intake& intake);
  ~Broker() override;

  // Before any loop runs: all brokers, in order of shard.
  void join(std::vector<Broker*> shards);
  // Before any loop runs, after join(): sessions that outlive their connection, and retained messages, are durable from
  // now on, as far as they are wanted to be. `journal` is stopped before the broker is destroyed.
  struct Kept {
    bool sessions = true;
    bool retained = true;
  };
  void record_in(SessionJournal& journal, const Clock& clock, Kept kept);
  // A session of this loop, as the log has it; after record_in().
  void restore(const StoredSession& stored, const Clocks& now);
  // A retained message, as the log has it; likewise. Which loop keeps it: retaining_shard_of().
  void restore_retained(const MessagePointer& message);
  [[nodiscard]] static size_t retaining_shard_of(std::string_view topic, size_t shards);
  // Which loop a client's sessions belong to.
  [[nodiscard]] static size_t shard_of(std::string_view client_id, size_t shards);

  void accept(net::Socket socket);
  // Of a bridge of this node's own (bridge.h), whose session is of this loop: it need not say who it is, rules of
  // access do not apply, and its session stays however long it is away.
  void accept_bridge(net::Socket socket);
  // What was taken of the client at QoS 2 and is not released yet: its identifiers are free again.
  void forget_receipts(std::string_view client_id);
  // To local subscribers on all loops; keeps it if it is to be retained. One that is a request about a twin is taken
  // so.
  void publish(const MessagePointer& message);
  // The answer to a ticket for which Intake::take() gave kPending. `at_parent`: the message is not only durable here.
  void acknowledge(const AckTicket& ticket, Reason reason, bool at_parent = false);

  // Twins of devices are retained messages (twin_document.h). A request, on the loop that keeps the device's; `done` is
  // called there, when what it changed is durable.
  struct TwinAnswer {
    std::optional<Error> error;
    std::string document;  // empty after a delete
  };
  using TwinDone = std::move_only_function<void(const TwinAnswer& answer)>;
  void ask_twin(const TwinRequest& request, std::string_view payload, TwinDone done);

  // Who may do what from now on, at what comes next from clients and goes to them; subscriptions that were granted
  // stay.
  void set_access(std::shared_ptr<const AccessRules> access) { access_ = std::move(access); }

  // How fast clients may send from now on.
  void set_rates(const Rates& rates) { rates_ = rates; }

  // Clients have to show who they are from now on, when they connect; null: what they say of it is not looked at.
  void set_authenticator(std::shared_ptr<Authenticator> authenticator) { authenticator_ = std::move(authenticator); }

  // Whether a client that shows a certificate is, from now on, the user that this names, and needs no password.
  void set_certificate_users(bool certificate_users) { certificate_users_ = certificate_users; }

  // For who runs the node: of this loop's sessions, or the one of the client id `only`, at most `most`.
  [[nodiscard]] std::vector<ClientView> clients(std::string_view only, size_t most) const;
  [[nodiscard]] std::vector<SubscriptionView> subscriptions(std::string_view only, size_t most) const;
  // Of the messages retained on this loop the first that match, behind the topic `after`; empty: from the beginning.
  [[nodiscard]] RetainedMessages::Page retained(std::string_view filter, size_t most,
                                                std::string_view after = {}) const;
  // Closes the client's connection (0x98), and ends its session at once if that is wanted. False: there is nothing of
  // it to be closed.
  bool kick(std::string_view client_id, bool with_session);

  // Takes no more input from clients; acknowledgements still go out.
  void stop_reading();
  // Closes all connections with "server shutting down"; wills are published.
  void shut_down();

  // The ways to the other loops, of whoever hands something to them on account of what a client sent.
  [[nodiscard]] runtime::Passages& passages() { return passages_; }

  [[nodiscard]] const BrokerCounters& counters() const { return counters_; }  // any thread
  [[nodiscard]] runtime::Loop& loop() { return loop_; }
  [[nodiscard]] size_t shard() const { return shard_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }

 private:
  friend class Connection;

  // The answer to a SUBSCRIBE or UNSUBSCRIBE that other loops do not all know of yet.
  struct PendingAnswer {
    uint64_t number = 0;  // of this answer
    uint64_t connection = 0;
    PacketType type = PacketType::kSuback;
    Suback answer;
    size_t loops_missing = 0;
  };
  // What becomes of what was recorded in a turn, once it is durable.
  struct Recorded {
    std::vector<AckTicket> tickets;                       // of PUBREL
    std::vector<std::pair<uint64_t, uint64_t>> received;  // by session and number: PUBREL is to be sent
    std::vector<uint64_t> answers;                        // of SUBSCRIBE
    [[nodiscard]] bool empty() const { return tickets.empty() && received.empty() && answers.empty(); }
  };
  // A page of retained messages is for this subscription of this session, if they are still there.
  struct PageRequest {
    std::string client_id;
    uint64_t session = 0;
    std::string filter;
    uint64_t number = 0;
    size_t shard = 0;
  };

  // `bytes`: read on another loop, from CONNECT on.
  void adopt(net::Socket socket, std::string bytes);
  [[nodiscard]] Broker& home_of(std::string_view client_id) const;
  [[nodiscard]] Broker& retainer_of(std::string_view topic) const;
  std::string new_client_id();

  // Whether the client id is another user's, as far as there is a session of it.
  [[nodiscard]] bool is_of_another(std::string_view client_id, std::string_view user) const;
  void authenticated(uint64_t connection, bool is_right);
  [[nodiscard]] bool has_room_for_session(std::string_view client_id) const;
  Session& open_session(const Connect& connect, std::string_view user, Connection& connection, bool& present);
  void end_session(Session& session);
  [[nodiscard]] Session* find_session(std::string_view client_id, uint64_t serial) const;

  void subscribe(Connection& connection, const Subscribe& request);
  // The reason to refuse a filter; kSuccess: none.
  [[nodiscard]] Reason refusal_of(const Session& session, const SubscriptionRequest& request, size_t place) const;
  void unsubscribe(Connection& connection, const Unsubscribe& request);
  // On this loop only. False when there was none.
  bool forget_subscription(Session& session, std::string_view filter);
  // Lets every other loop know, then sends the answer, if there is one.
  enum class Change { kAdded, kRemoved };
  void spread(Change change, const Session& session, const std::vector<std::string>& filters,
              std::optional<PendingAnswer> answer);
  void count_answer(uint64_t number);
  // Asks for the next page of retained messages that the session waits for, if it has room for them.
  void send_retained(Session& session);
  // Of that topic: the client was not given after all what was published to it.
  void send_retained_again(Session& session, const Message& message, uint8_t qos);
  void take_retained(const PageRequest& request, RetainedMessages::Page page);

  // From a client of this loop. `message` is made only if somebody takes it.
  // `commits`: acknowledge() will be called once more with the ticket, for what is made durable of it.
  Verdict take_publish(Connection& connection, const Publish& publish, const AckTicket& ticket, bool& commits);
  // `also`: records that become durable with it.
  void publish_will(Message will, std::string also);
  Verdict take_twin_request(const Session& session, const Publish& publish, TwinRequest request,
                            const AckTicket& ticket, bool& commits);
  // To the loop that keeps the twin, which takes part in the commit, if there is one.
  void hand_on(TwinRequest request, const MessagePointer& message, const std::shared_ptr<Commit>& commit);
  // Puts it there, and tells who subscribes; an empty payload takes it away. False: there is no room.
  bool publish_twin(std::string topic, std::string_view payload);
  void answer_twin(const Message& request, const TwinAnswer& answer);
  TwinAnswer change_twin(const TwinRequest& request, std::string_view payload, bool& is_changed);
  // Uses matches_, which the caller has filled for the message's topic.
  void fan_out(const MessagePointer& message, std::shared_ptr<Commit> commit);
  void deliver_local(const MessagePointer& message, std::shared_ptr<Commit>& commit);
  // With a commit, what is durable becomes a target of it; where there is none, one is made. False: it is dropped.
  bool deliver(Session& session, Delivery delivery, std::shared_ptr<Commit>& commit);
  [[nodiscard]] bool may_receive(const Session& session, const Message& message) const;
  // To one member of a shared subscription, on whichever loop: one who is connected, if there is one.
  void share(const SubscriptionTree::Group& group, const MessagePointer& message, std::shared_ptr<Commit>& commit);
  // The loops in `asked` have nobody who is connected.
  void share_here(std::string_view filter, const MessagePointer& message, uint64_t asked,
                  std::shared_ptr<Commit>& commit);
  void share_there(size_t shard, std::string filter, const MessagePointer& message, uint64_t asked,
                   const std::shared_ptr<Commit>& commit);
  bool deliver_to_member(const SubscriptionTree::Group& group, const MessagePointer& message, bool connected,
                         std::shared_ptr<Commit>& commit);

  // This loop has named its sessions; the last to do so submits.
  void finish_part(const std::shared_ptr<Commit>& commit);
  // On the loop of its targets: they may be sent, or will not be.
  void settle(const Commit& commit, bool durable);
  // Adds to what this turn records.
  std::string& record();
  void record_done(Session& session);
  void record_left(const Session& session);
  void record_release(const Session& session, uint16_t packet_id, const AckTicket& ticket);
  void record_refusal(const Session& session, uint16_t packet_id);
  void record_received(const Session& session, uint64_t number);
  // Submits what this turn recorded so far: before what another thread may record after it.
  void flush_records();
  void take_recorded(const Recorded& recorded, bool durable);
  [[nodiscard]] Clocks clocks() const;
  // What the session's client wants to be published when it goes without saying so; null: nothing.
  void record_will(Session& session, const Message* will, Duration delay, std::optional<Duration> expiry);
  void retain(const MessagePointer& message, const std::shared_ptr<Commit>& commit);
  // On the loop that keeps the topic.
  bool keep_retained(const MessagePointer& message, const std::shared_ptr<Commit>& part);
  void record_retained();
  void note_forward_dropped();
  // Lets the connection go on once the loop has room that was found to have none.
  void await_room(const Connection& connection);
  // Lets the connection go on when that time has come, and all together may send again.
  void await_pace(const Connection& connection, MonotonicTime due);
  void watch_pace();
  void release_paced();
  // Lets the connection go on after the others of its loop.
  void await_turn(const Connection& connection);
  // An input buffer took `before` bytes and takes `now`; false: that is too much.
  bool count_input(size_t before, size_t now);

  // The session's client is away from now on, or not any more.
  void count_away(Session& session);
  void count_back(const Session& session);
  void note_away_dropped(size_t count);
  void connection_ended(Connection& connection);
  // Passes the answer to a publish of a connection that has ended on to its session.
  void settle_outstanding(const AckTicket& ticket, Reason reason);
  void on_turn_end() override;
  void sweep();

  runtime::Loop& loop_;
  const size_t shard_;
  const Limits limits_;
  Intake& intake_;
  std::shared_ptr<const AccessRules> access_ = std::make_shared<const AccessRules>();
  std::shared_ptr<Authenticator> authenticator_;
  bool certificate_users_ = false;
  std::vector<Broker*> shards_;
  runtime::Passages passages_;
  Random random_;
  SubscriptionTree tree_;
  RetainedMessages retained_;
  uint64_t highest_order_ = 0;  // of what came to be retained
  BrokerCounters counters_;
  size_t input_bytes_ = 0;  // of connections_ and ended_
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  // Publishes at QoS 2 whose connection ended before it was known whether they are kept: their sessions still want to
  // know. Each ticket is answered once, which ends its entry.
  struct Outstanding {
    std::string client_id;
    uint64_t session = 0;
    struct Awaited {
      uint16_t packet_id = 0;
      uint8_t waits = 0;  // answers to come
      Reason reason = Reason::kSuccess;
    };
    std::unordered_map<uint64_t, Awaited> publishes;  // by the number of the ticket
  };
  std::unordered_map<uint64_t, Outstanding> outstanding_;  // by serial of the connection
  struct Ended {
    std::unique_ptr<Connection> connection;
    MonotonicTime since;
  };
  std::vector<Ended> ended_;  // destroyed at the end of a turn, once their last output is written
  std::unordered_map<std::string, std::unique_ptr<Session>, StringHash, std::equal_to<>> sessions_;
  size_t session_bytes_ = 0;  // of sessions_, with their subscriptions
  size_t away_bytes_ = 0;     // what waits for the clients of sessions_ that are away
  SeldomLine away_full_;
  std::unordered_map<uint64_t, PendingAnswer> answering_;
  struct DelayedWill {
    MonotonicTime due;
    Message message;
    uint64_t durable_name = 0;  // of its session
  };
  std::unordered_map<uint64_t, DelayedWill> delayed_wills_;  // by session serial
  SessionJournal* journal_ = nullptr;
  const Clock* clock_ = nullptr;
  Kept kept_{.sessions = false, .retained = false};
  MessagesByTopic changed_retained_;                     // not recorded yet; what was cleared has no payload
  size_t changed_bytes_ = 0;                             // of those
  std::vector<std::shared_ptr<Commit>> retained_parts_;  // that wait for them to be
  size_t retained_batches_ = 0;                          // under way
  struct TwinAnswering {
    TwinDone done;
    TwinAnswer answer;
  };
  std::vector<TwinAnswering> twin_answers_;                  // likewise, that wait for them
  std::unordered_map<uint64_t, Session*> durable_sessions_;  // by their durable name
  std::string records_;                                      // of this turn
  Recorded recorded_;
  uint64_t next_serial_ = 1;
  uint64_t match_mark_ = 0;
  SubscriptionTree::Matches matches_;
  uint64_t matched_ = 0;                  // subscriptions of this loop that messages were delivered to, each time
  std::vector<MonotonicTime> decisions_;  // received times of decisions sent in this turn
  bool stopped_ = false;                  // no more input is taken
  Rates rates_;
  Pace message_pace_;  // of all connections
  Pace byte_pace_;
  std::multimap<MonotonicTime, uint64_t> paced_;  // serials of connections that are read no further until then
  runtime::Timer pace_timer_;
  runtime::Timer sweep_timer_;
};

}  // namespace verge::mqtt
