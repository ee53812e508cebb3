#include "node/ask_receiver.h"

#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "model/topic.h"
#include "node/problem.h"

namespace verge::node {
namespace {

constexpr int64_t kDeadlineMicrosecondsMax = 60'000'000;

std::optional<int64_t> number_in(std::string_view query, std::string_view name, int64_t otherwise, int64_t max) {
  const std::optional<std::string> text = net::query_parameter(query, name);
  if (!text) return otherwise;
  int64_t number = 0;
  const auto [end, problem] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (problem != std::errc{} || end != text->data() + text->size() || number < 0 || number > max) return std::nullopt;
  return number;
}

Result<AskedQuestion> read_question(const net::HttpRequest& request, MonotonicTime now) {
  const auto refuse = [](std::string what) {
    return fail("ask.malformed", std::move(what), "ask as in POST /v1/ask/brake?topic=car/7/lidar&deadline_us=80000");
  };
  AskedQuestion question;
  const std::optional<std::string> rule = net::percent_decode(request.path.substr(AskReceiver::kPath.size()));
  if (!rule || rule->empty()) return refuse("the path names no rule");
  question.rule = *rule;
  question.topic = net::query_parameter(request.query, "topic").value_or("");
  if (!is_topic_name(question.topic)) return refuse("topic is no topic");
  question.device = net::query_parameter(request.query, "device").value_or("");
  const auto deadline = number_in(request.query, "deadline_us", 1'000'000, kDeadlineMicrosecondsMax);
  const auto hops = number_in(request.query, "hops", 1, Questions::kHopsMax);
  if (!deadline || !hops) return refuse("deadline_us or hops is no number that can be");
  question.deadline = std::chrono::microseconds(*deadline);
  question.hops = static_cast<uint32_t>(*hops);
  if (const std::optional<std::string> level = net::query_parameter(request.query, "level")) {
    question.level = parse_tier(*level);
    if (!question.level) return refuse("level is none");
  }
  question.payload = request.body;
  question.asked = now;
  return question;
}

}  // namespace

void AskReceiver::receive(const net::HttpRequest& request, net::HttpResponder responder) {
  counters_.received.add();
  Result<AskedQuestion> question = read_question(request, loop_.tick());
  if (!question) return respond_problem(responder, 400, question.error());
  if (question->level.value_or(own_) <= own_) return decide(*question, /*is_replaced=*/false, responder);
  if (answering_.size() >= kWaitingMax) {
    return respond_problem(responder, 503, {"ask.busy", "too many questions wait for the parent", "decide yourself"},
                           {{"Retry-After", "1"}});
  }
  counters_.forwarded.add();
  const uint64_t number = next_++;
  AskedQuestion asked = *question;
  answering_.emplace(number, Answering{std::move(*question), std::move(responder)});
  questions_.ask(std::move(asked), loop_, [this, number](const Outcome& outcome) { pass_on(number, outcome); });
}

void AskReceiver::decide(const AskedQuestion& question, bool is_replaced, net::HttpResponder& responder) {
  const MonotonicTime begin = loop_.tick();
  const Result<std::optional<Payload>> answer = path_.answer(question);
  if (!answer) return respond_problem(responder, 404, answer.error());
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(loop_.tick() - begin);
  const std::string took_text = fmt::format("{}", took.count());
  std::vector<net::HttpField> fields = {
      {"Verge-Level", name_of(own_)}, {"Verge-Node", name_}, {"Verge-Took-Us", took_text}};
  if (is_replaced) fields.push_back({"Verge-Replaced", "1"});
  counters_.answered.add();
  if (is_replaced) counters_.replaced.add();
  const std::optional<Payload>& given = *answer;
  if (!given) return responder.respond({.status = 204, .content_type = {}, .fields = std::move(fields), .body = {}});
  const std::string_view body = given->view();
  responder.respond({.status = 200, .content_type = "application/json", .fields = std::move(fields), .body = body});
}

void AskReceiver::pass_on(uint64_t number, const Outcome& outcome) {
  const auto place = answering_.find(number);
  Answering answering = std::move(place->second);
  answering_.erase(place);
  net::HttpResponder& responder = answering.responder;
  std::vector<net::HttpField> fields;
  if (!outcome.level.empty()) fields.push_back({"Verge-Level", outcome.level});
  if (!outcome.node.empty()) fields.push_back({"Verge-Node", outcome.node});
  if (outcome.is_replaced) fields.push_back({"Verge-Replaced", "1"});
  switch (outcome.kind) {
    case Outcome::Kind::kAnswered:
      return responder.respond({.status = 200,
                                .content_type = "application/json",
                                .fields = std::move(fields),
                                .body = outcome.answer.view()});
    case Outcome::Kind::kSilent:
      return responder.respond({.status = 204, .content_type = {}, .fields = std::move(fields), .body = {}});
    case Outcome::Kind::kLate:
      return respond_problem(responder, 504, {"ask.late", "the level above did not answer in time", "decide yourself"});
    case Outcome::Kind::kHere:
    case Outcome::Kind::kOutOfReach:
      return decide(answering.question, /*is_replaced=*/true, responder);
  }
}

}  // namespace verge::node
