#include "node/questions.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "net/http_message.h"
#include "node/config_address.h"
#include "rules/worth.h"

namespace verge::node {
namespace {

constexpr Duration kUnknownCost = std::chrono::milliseconds(3);  // complexity 0.7: the fog's
constexpr Duration kLateAnswersFor = std::chrono::seconds(5);
constexpr int kWeightOfPast = 3;

int64_t microseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

std::optional<Duration> read_microseconds(std::optional<std::string_view> text) {
  int64_t number = 0;
  if (!text) return std::nullopt;
  const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (problem != std::errc{} || end != text->data() + text->size() || number < 0) return std::nullopt;
  return std::chrono::microseconds(number);
}

}  // namespace

Questions::Questions(runtime::Loop& loop, Tier own, std::vector<spool::ParentPath> paths,
                     std::function<spool::ParentAccess(size_t path)> access, LookAtParent look)
    : loop_(loop), paths_(std::move(paths)), access_(std::move(access)), look_(std::move(look)), reach_(own) {}

Questions::~Questions() = default;

void Questions::ask(AskedQuestion question, runtime::Loop& back, Done done) {
  if (counters_.waiting.fetch_add(1) >= kWaitingMax) {
    --counters_.waiting;
    ++counters_.refused;
    return tell(back, std::move(done), {.kind = Outcome::Kind::kOutOfReach, .answer = {}, .level = {}, .node = {}});
  }
  loop_.post(
      [this, alive = std::weak_ptr(alive_), question = std::move(question), &back, done = std::move(done)]() mutable {
        if (!alive.expired()) enter(std::move(question), back, std::move(done));
      });
}

void Questions::tell(runtime::Loop& back, Done done, Outcome outcome) {
  back.post([done = std::move(done), outcome = std::move(outcome)]() mutable { done(std::move(outcome)); });
}

std::optional<Tier> Questions::wanted(const AskedQuestion& question) const {
  if (!question.is_placed) return question.level;
  const double urgency = question.urgency.value_or(rules::urgency_of(question.deadline));
  const Duration cost = cost_ > Duration(0) ? cost_ : kUnknownCost;
  return parse_tier(rules::level_of(urgency, question.complexity.value_or(rules::complexity_of(cost))));
}

void Questions::enter(AskedQuestion question, runtime::Loop& back, Done done) {
  const MonotonicTime now = loop_.tick();
  if (const std::optional<ParentMeasure> parent = look_ ? look_() : std::nullopt) {
    reach_.parent_is(parent->tier, parent->round_trip, now);
  }
  const Duration left = question.asked + question.deadline - now;
  const bool can_ask = !is_stopped_ && !paths_.empty() && now >= not_before_ && question.hops < kHopsMax;
  const Placement placement = reach_.place(wanted(question), left, can_ask, now);
  if (placement.where != Placement::Where::kUp) {
    --counters_.waiting;
    Outcome outcome;
    if (placement.where == Placement::Where::kHere) outcome.kind = Outcome::Kind::kHere;
    outcome.is_replaced = placement.is_replaced;
    return tell(back, std::move(done), std::move(outcome));
  }
  const uint64_t number = next_++;
  auto waiting = std::make_unique<Waiting>(loop_);
  waiting->question = std::move(question);
  waiting->back = &back;
  waiting->done = std::move(done);
  waiting->placement = placement;
  waiting->timer.after(left, [this, number] { pass_deadline(number); });
  waiting_.emplace(number, std::move(waiting));
  unsent_.push_back(number);
  pump();
}

void Questions::settle(uint64_t number, Outcome outcome) {
  const auto place = waiting_.find(number);
  const std::unique_ptr<Waiting> waiting = std::move(place->second);
  waiting_.erase(place);
  --counters_.waiting;
  tell(*waiting->back, std::move(waiting->done), std::move(outcome));
}

void Questions::pass_deadline(uint64_t number) {
  const Waiting& waiting = *waiting_.at(number);
  reach_.late(waiting.placement.level, waiting.question.deadline, loop_.now());
  std::erase(unsent_, number);
  settle(number, {.kind = Outcome::Kind::kLate, .answer = {}, .level = {}, .node = {}});
}

Questions::Connection* Questions::idle_connection() {
  std::erase_if(connections_, [](const auto& each) { return each->is_retired && each->client->pending() == 0; });
  for (const auto& each : connections_) {
    if (!each->is_retired && each->client->pending() == 0) return each.get();
  }
  if (connections_.size() == kConnectionsMax || !address_) return nullptr;
  const spool::ParentPath& path = paths_[path_];
  const spool::ParentAccess access = access_(path_);
  auto made = std::make_unique<Connection>();
  made->authorization = access.token.empty() ? "" : "Bearer " + access.token;
  made->client = std::make_unique<net::HttpClient>(loop_, *address_, authority_of_parent(path.url),
                                                   net::HttpClientLimits{.body_bytes_max = kAnswerBytesMax}, access.tls,
                                                   path.from);
  return connections_.emplace_back(std::move(made)).get();
}

void Questions::pump() {
  if (unsent_.empty()) return;
  if (!address_) return connect();
  while (!unsent_.empty()) {
    Connection* const connection = idle_connection();
    if (connection == nullptr) return;
    const uint64_t number = unsent_.front();
    unsent_.pop_front();
    send(*connection, number, *waiting_.at(number));
  }
}

void Questions::connect() {
  if (is_resolving_) return;
  is_resolving_ = true;
  if (!resolver_) resolver_ = std::make_unique<net::Resolver>("resolver-ask");
  const spool::ParentPath& path = paths_[path_];
  resolver_->resolve(authority_of_parent(path.url), path.from.address.family(), loop_,
                     [this](const Result<net::Address>& address) {
                       is_resolving_ = false;
                       if (!address) return leave_path(address.error());
                       address_ = *address;
                       pump();
                     });
}

void Questions::send(Connection& connection, uint64_t number, const Waiting& waiting) {
  const AskedQuestion& question = waiting.question;
  const MonotonicTime now = loop_.tick();
  const Duration left = std::max<Duration>(question.asked + question.deadline - now, Duration(0));
  std::string target = fmt::format("/v1/ask/{}?topic={}&device={}&deadline_us={}&hops={}",
                                   net::percent_encode(question.rule), net::percent_encode(question.topic),
                                   net::percent_encode(question.device), microseconds(left), question.hops + 1);
  const std::optional<Tier> level = waiting.placement.level;
  if (level) target.append("&level=").append(name_of(*level));
  // An answer that comes late says how far the level is.
  net::HttpCall call{.method = "POST",
                     .target = target,
                     .fields = {{"Content-Type", "application/octet-stream"}},
                     .body = question.payload,
                     .timeout = left + kLateAnswersFor};
  if (!connection.authorization.empty()) call.fields.push_back({"Authorization", connection.authorization});
  ++counters_.sent;
  connection.client->request(call, [this, &connection, number, level, now](const Result<net::HttpAnswer>& answer) {
    answered(connection, number, level, now, answer);
  });
}

void Questions::answered(Connection& connection, uint64_t number, std::optional<Tier> level, MonotonicTime sent,
                         const Result<net::HttpAnswer>& answer) {
  const auto place = waiting_.find(number);
  const bool is_awaited = place != waiting_.end();
  if (!answer) {
    const bool was_retired = std::exchange(connection.is_retired, true);
    if (is_awaited) {
      settle(number, {.kind = Outcome::Kind::kOutOfReach, .answer = {}, .level = {}, .node = {}, .is_replaced = true});
    }
    if (!was_retired && !connection.client->is_connected()) return leave_path(answer.error());
    return pump();
  }
  reach_.measured(level, loop_.tick() - sent, loop_.now());
  if (const std::optional<Duration> cost = read_microseconds(answer->field("Verge-Took-Us"))) {
    cost_ = cost_ == Duration(0) ? *cost : (kWeightOfPast * cost_ + *cost) / (kWeightOfPast + 1);
  }
  if (is_awaited) {
    settle(number, read(*answer, place->second->placement.is_replaced));
  } else {
    ++counters_.late_answers;
  }
  pump();
}

Outcome Questions::read(const net::HttpAnswer& answer, bool is_replaced) {
  constexpr int kNoContent = 204;
  constexpr int kNotFound = 404;
  constexpr int kGatewayTimeout = 504;
  Outcome outcome{.kind = Outcome::Kind::kOutOfReach,
                  .answer = {},
                  .level = std::string(answer.field("Verge-Level").value_or("")),
                  .node = std::string(answer.field("Verge-Node").value_or("")),
                  .is_replaced = is_replaced || answer.field("Verge-Replaced").has_value()};
  if (answer.status == 200) {
    outcome.kind = Outcome::Kind::kAnswered;
    outcome.answer = answer.body;
    return outcome;
  }
  if (answer.status == kNoContent) {
    outcome.kind = Outcome::Kind::kSilent;
    return outcome;
  }
  if (answer.status == kGatewayTimeout) {
    outcome.kind = Outcome::Kind::kLate;
    return outcome;
  }
  if (answer.status == kNotFound) outcome.kind = Outcome::Kind::kSilent;
  if (const auto others = failures_.due(loop_.now())) {
    log_warning("rules", "the parent at {} answers {} to a question: {}; {} other failures since the last line",
                paths_[path_].url, answer.status, answer.body.view().substr(0, 300), *others);
  }
  return outcome;
}

// What waits for it unsent is out of reach; what was sent has its deadline.
void Questions::leave_path(const Error& why) {
  if (const auto others = failures_.due(loop_.tick())) {
    log_warning("rules", "the parent at {} cannot be asked: {}; {} other failures since the last line",
                paths_[path_].url, why.line(), *others);
  }
  path_ = (path_ + 1) % paths_.size();
  address_.reset();
  if (path_ == 0) not_before_ = loop_.now() + kRetry;
  for (const auto& each : connections_) each->is_retired = true;
  if (path_ != 0) return pump();
  for (const uint64_t number : std::exchange(unsent_, {})) {
    settle(number, {.kind = Outcome::Kind::kOutOfReach, .answer = {}, .level = {}, .node = {}, .is_replaced = true});
  }
}

void Questions::renew() {
  for (const auto& each : connections_) each->is_retired = true;
}

void Questions::stop() {
  is_stopped_ = true;
  alive_.reset();
  resolver_.reset();
  connections_.clear();
  waiting_.clear();
  unsent_.clear();
}

}  // namespace verge::node
