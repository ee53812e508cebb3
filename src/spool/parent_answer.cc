#include "spool/parent_answer.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "net/http_date.h"

namespace verge::spool {
namespace {

// Of what a parent or a proxy asks for.
constexpr Duration kRetryAfterMax = std::chrono::minutes(5);
// How a node's errors begin (docs/http.md).
constexpr std::string_view kProblem = R"({"error":{"code":")";

// Of an answer that is neither a delivery nor about tokens.
ParentAnswer::Meaning meaning_of(int status, std::string_view body) {
  using Meaning = ParentAnswer::Meaning;
  const bool is_parents = body.starts_with(kProblem);
  const std::string_view code = is_parents ? body.substr(kProblem.size()) : std::string_view();
  if (status == 413 || (is_parents && (status == 400 || status == 422))) return Meaning::kRefused;
  if (is_parents && status == 503 && (code.starts_with("spool.") || code.starts_with("storage."))) {
    return Meaning::kHeldOff;
  }
  return Meaning::kNotNow;
}

// Seconds or a date (RFC 9110 section 10.2.3). The two clocks need not agree: a date counts from the answer's own.
std::optional<Duration> retry_after(const net::HttpAnswer& answer, WallTime now) {
  const std::optional<std::string_view> field = answer.field("Retry-After");
  if (!field || field->empty()) return std::nullopt;
  const char* const text_end = field->data() + field->size();
  uint32_t delay_s = 0;
  if (const auto [end, problem] = std::from_chars(field->data(), text_end, delay_s); end == text_end) {
    // More than a number holds is more than is waited for.
    return problem == std::errc{} ? std::min<Duration>(std::chrono::seconds(delay_s), kRetryAfterMax) : kRetryAfterMax;
  }
  const int64_t now_s = now.microseconds / 1'000'000;
  const std::optional<int64_t> until_s = net::parse_http_date(*field, now_s);
  if (!until_s) return std::nullopt;
  const std::optional<std::string_view> date = answer.field("Date");
  const int64_t from_s = (date ? net::parse_http_date(*date, now_s) : std::nullopt).value_or(now_s);
  return std::clamp<Duration>(std::chrono::seconds(*until_s - from_s), Duration(0), kRetryAfterMax);
}

}  // namespace

ParentAnswer read_answer(const Result<net::HttpAnswer>& answer, std::string_view parent, bool shows_token,
                         WallTime now) {
  using Meaning = ParentAnswer::Meaning;
  if (!answer) {
    return {.error = answer.error(), .asked_pause = std::nullopt, .timed_out = answer.error().code == "http.timeout"};
  }
  if (answer->status == 200 && answer->body.view().starts_with("{\"durable\":true")) {
    return {.meaning = Meaning::kDurable, .error = {}, .asked_pause = std::nullopt, .is_parents_word = true};
  }
  if (answer->status == 401) {
    return {.error = {"uplink.unauthorized",
                      fmt::format("{} {}", parent, shows_token ? "does not know this node's token" : "demands a token"),
                      "give this node (parent.token) one of the parent's http.uplink_tokens"},
            .asked_pause = retry_after(*answer, now)};
  }
  const Meaning meaning = meaning_of(answer->status, answer->body.view());
  return {.meaning = meaning,
          .error = {"uplink.refused",
                    fmt::format("{} answered {}: {}", parent, answer->status, answer->body.view().substr(0, 200)),
                    "check that parent.url names the http listener of a Verge node"},
          .asked_pause = retry_after(*answer, now),
          .is_parents_word = meaning != Meaning::kNotNow && answer->body.view().starts_with(kProblem)};
}

}  // namespace verge::spool
