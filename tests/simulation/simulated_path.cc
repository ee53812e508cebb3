#include "tests/simulation/simulated_path.h"

#include "base/assert.h"

namespace verge::tests {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

}  // namespace

Duration SimulatedPath::between(Duration least, Duration most) {
  return least + Duration(static_cast<int64_t>(random_.unit() * static_cast<double>((most - least).count())));
}

void SimulatedPath::heal() {
  set_weather(Weather::kFine);
  character_.trouble = 0;
}

void SimulatedPath::end(const ExchangePointer& exchange, const Result<net::HttpAnswer>& answer) {
  if (exchange->is_over) return;
  exchange->is_over = true;
  open_[static_cast<size_t>(exchange->lane)] = nullptr;
  exchange->answered(answer, timeline_.now() - exchange->sent);
}

void SimulatedPath::abandon(spool::Lane lane) {
  ExchangePointer& open = open_[static_cast<size_t>(lane)];
  if (open) open->is_over = true;
  open = nullptr;
}

void SimulatedPath::fail_after(Duration delay, const ExchangePointer& exchange, std::string_view code) {
  timeline_.after(delay, [this, exchange, code] {
    end(exchange, std::unexpected(Error{code, "simulated: " + std::string(code), ""}));
  });
}

void SimulatedPath::answer_after(Duration delay, const ExchangePointer& exchange, int status, std::string body,
                                 bool retry_after) {
  timeline_.after(delay, [this, exchange, status, body = std::move(body), retry_after] {
    const std::vector<net::HttpField> fields = {{"Retry-After", "1"}};
    net::HttpAnswer answer{.status = status, .fields = {}, .body = Payload(body)};
    if (retry_after) answer.fields = fields;
    end(exchange, answer);
  });
}

void SimulatedPath::parent_ended() {
  for (const ExchangePointer& open : open_) {
    if (open && random_.chance(0.7)) fail_after(between(milliseconds(0), milliseconds(50)), open, "http.closed");
  }
}

void SimulatedPath::answer_as_proxy(Duration delay, const ExchangePointer& exchange) {
  switch (random_.below(character_.proxy_refuses ? 9 : 8)) {
    case 0:
      return answer_after(delay, exchange, 429, "slow down", random_.chance(0.5));
    case 1:
      return answer_after(delay, exchange, 503, "", true);
    case 2:
      return answer_after(delay, exchange, 200, "<html>sign in</html>", false);
    case 3:
      return answer_after(delay, exchange, 200, "", false);
    case 4:
      return answer_after(delay, exchange, 200, R"({"durable":false})", false);
    case 5:
      return answer_after(delay, exchange, 204, "", false);
    case 6:
      return answer_after(delay, exchange, 302, "", false);
    case 7:
      return answer_after(delay, exchange, 500, "oh", false);
    default:
      ++refusals_;
      return answer_after(delay, exchange, 413, "too large", false);
  }
}

void SimulatedPath::send(spool::Lane lane, const Payload& body, Duration timeout, Answered answered) {
  ExchangePointer& open = open_[static_cast<size_t>(lane)];
  VERGE_ASSERT(open == nullptr);
  open = std::make_shared<Exchange>(Exchange{.lane = lane, .sent = timeline_.now(), .answered = std::move(answered)});
  const ExchangePointer exchange = open;
  ++requests_;
  fail_after(timeout, exchange, "http.timeout");
  const Duration sending = character_.latency + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
                                                    static_cast<double>(body.size()) / character_.bytes_per_s));
  switch (weather_) {
    case Weather::kFine:
      break;
    case Weather::kDown:
      return fail_after(between(milliseconds(0), milliseconds(50)), exchange, "http.connect-refused");
    case Weather::kProxy:
      return answer_as_proxy(sending, exchange);
    case Weather::kHalfOpen:
      if (random_.chance(0.5)) arrive_after(sending, exchange, body, /*answer_is_lost=*/true);
      return;
  }
  if (character_.body_bytes_max > 0 && body.size() > character_.body_bytes_max) {
    ++refusals_;
    return answer_after(sending, exchange, 413, "too large", false);
  }
  if (!random_.chance(character_.trouble)) return arrive_after(sending, exchange, body, false);
  switch (random_.below(6)) {
    case 0:  // the request is lost
      return;
    case 1:  // the answer is
      return arrive_after(sending, exchange, body, /*answer_is_lost=*/true);
    case 2:  // it comes twice
      arrive_after(between(sending, sending + seconds(30)), exchange, body, random_.chance(0.5));
      return arrive_after(sending, exchange, body, random_.chance(0.5));
    case 3:  // it comes late, perhaps after everybody has given up on it
      return arrive_after(between(sending, sending + seconds(60)), exchange, body, false);
    case 4:  // the connection breaks midway: before it is there whole
      return fail_after(between(Duration(0), sending), exchange, "http.closed");
    default:  // … or after
      arrive_after(sending, exchange, body, false);
      return fail_after(between(sending, sending + milliseconds(100)), exchange, "http.closed");
  }
}

void SimulatedPath::arrive_after(Duration delay, const ExchangePointer& exchange, const Payload& body,
                                 bool answer_is_lost) {
  timeline_.after(delay, [this, exchange, body, answer_is_lost] {
    const Reply reply = [this, exchange, answer_is_lost](const spool::BatchAnswer& answer) {
      if (answer_is_lost || weather_ == Weather::kHalfOpen) return;
      if (weather_ == Weather::kDown) return fail_after(character_.latency, exchange, "http.closed");
      const std::string text = answer.status == 200 ? answer.body : answer.problem.line();
      answer_after(character_.latency, exchange, answer.status, text, answer.later);
    };
    const IsAwaited is_awaited = [exchange] { return !exchange->is_over; };
    if (!deliver_(exchange->lane, body, is_awaited, reply))
      fail_after(character_.latency, exchange, "http.connect-refused");
  });
}

}  // namespace verge::tests
