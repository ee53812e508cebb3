#include "spool/parent_answer.h"

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
            .asked_pause = net::retry_after(answer->fields, now, kRetryAfterMax)};
  }
  const Meaning meaning = meaning_of(answer->status, answer->body.view());
  return {.meaning = meaning,
          .error = {"uplink.refused",
                    fmt::format("{} answered {}: {}", parent, answer->status, answer->body.view().substr(0, 200)),
                    "check that parent.url names the http listener of a Verge node"},
          .asked_pause = net::retry_after(answer->fields, now, kRetryAfterMax),
          .is_parents_word = meaning != Meaning::kNotNow && answer->body.view().starts_with(kProblem)};
}

}  // namespace verge::spool
