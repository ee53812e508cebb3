// Questions: what rules ask the levels above, over connections of their own to the parent (POST /v1/ask/RULE), each
// with a deadline (docs/formats/ask.md).
//
// Where a question goes, a Reach decides. Its outcome is told once, at its deadline at the latest; an answer that comes
// later is counted and dropped. Questions do not wait for one another but for a connection: there are kConnectionsMax,
// each with one question at a time. A path to the parent that cannot be connected to is left for the next, and for
// kRetry nothing is asked there, so that what is out of reach costs no waiting.
//
// Bounds: kWaitingMax questions; beyond, the level is out of reach.
//
// Threading: ask() and counters from any thread; everything else on the loop.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/payload.h"
#include "base/seldom_line.h"
#include "net/http_client.h"
#include "net/resolver.h"
#include "node/reach.h"
#include "rules/rule_source.h"
#include "runtime/loop.h"
#include "spool/uplink.h"

namespace verge::node {

struct AskedQuestion {
  std::string rule;  // that is asked
  std::string topic;
  std::string device;
  Payload payload;
  std::optional<Tier> level;  // that is to decide; none: the parent
  // To be placed by level(urgency, complexity), which are taken from deadline and measured cost where they are not
  // given.
  bool is_placed = false;
  std::optional<double> urgency;
  std::optional<double> complexity;
  Duration deadline{0};
  MonotonicTime asked;  // the deadline counts from here
  uint32_t hops = 0;    // levels that it has passed
};

struct Outcome {
  enum class Kind {
    kAnswered,
    kSilent,      // the rule there does not choose the message, or is not there
    kLate,        // the deadline has passed
    kHere,        // this node is to decide
    kOutOfReach,  // likewise, since no other can
  };
  Kind kind = Kind::kOutOfReach;
  Payload answer;
  std::string level;  // who decided
  std::string node;
  bool is_replaced = false;  // another level than the one that was wanted
};

class Questions {
 public:
  static constexpr size_t kWaitingMax = 1024;
  static constexpr size_t kConnectionsMax = 8;
  static constexpr size_t kAnswerBytesMax = 1U << 20;
  static constexpr uint32_t kHopsMax = 8;
  static constexpr Duration kRetry = std::chrono::seconds(1);

  using Done = std::move_only_function<void(Outcome)>;
  // What reports say of the parent, from any thread; nothing where they say nothing.
  struct ParentMeasure {
    Tier tier = Tier::kCloud;
    Duration round_trip{0};
  };
  using LookAtParent = std::function<std::optional<ParentMeasure>()>;

  struct Counters {
    std::atomic<uint64_t> sent{0};
    std::atomic<uint64_t> late_answers{0};
    std::atomic<uint64_t> refused{0};  // for want of room
    std::atomic<uint64_t> waiting{0};  // now
  };

  // `paths`: to the parent, none where there is none; `access`: asked for each connection. The loop outlives it.
  Questions(runtime::Loop& loop, Tier own, std::vector<spool::ParentPath> paths,
            std::function<spool::ParentAccess(size_t path)> access, LookAtParent look);
  ~Questions();
  Questions(const Questions&) = delete;
  Questions& operator=(const Questions&) = delete;

  // `done` is called on `back`, which outlives this, never from within ask(); not after stop().
  void ask(AskedQuestion question, runtime::Loop& back, Done done);
  // Connections are made anew from now on.
  void renew();
  // Closes what is open; call before destruction.
  void stop();

  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Waiting {
    explicit Waiting(runtime::Loop& loop) : timer(loop) {}
    AskedQuestion question;
    runtime::Loop* back = nullptr;
    Done done;
    Placement placement;
    runtime::Timer timer;
  };
  struct Connection {
    std::unique_ptr<net::HttpClient> client;
    std::string authorization;
    bool is_retired = false;
  };

  void enter(AskedQuestion question, runtime::Loop& back, Done done);
  static void tell(runtime::Loop& back, Done done, Outcome outcome);
  [[nodiscard]] std::optional<Tier> wanted(const AskedQuestion& question) const;
  void settle(uint64_t number, Outcome outcome);
  void pass_deadline(uint64_t number);
  void connect();
  void pump();
  void send(Connection& connection, uint64_t number, const Waiting& waiting);
  void answered(Connection& connection, uint64_t number, std::optional<Tier> level, MonotonicTime sent,
                const Result<net::HttpAnswer>& answer);
  Outcome read(const net::HttpAnswer& answer, bool is_replaced);
  void leave_path(const Error& why);
  Connection* idle_connection();

  runtime::Loop& loop_;
  const std::vector<spool::ParentPath> paths_;
  const std::function<spool::ParentAccess(size_t path)> access_;
  const LookAtParent look_;
  Reach reach_;
  Counters counters_;
  SeldomLine failures_{std::chrono::seconds(10)};
  size_t path_ = 0;
  std::optional<net::Address> address_;
  bool is_resolving_ = false;
  MonotonicTime not_before_{};
  Duration cost_{0};  // of a decision, as measured where it is made
  std::unordered_map<uint64_t, std::unique_ptr<Waiting>> waiting_;
  std::deque<uint64_t> unsent_;
  uint64_t next_ = 1;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<net::Resolver> resolver_;
  bool is_stopped_ = false;
  // What arrives after stop() finds it expired.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace verge::node
