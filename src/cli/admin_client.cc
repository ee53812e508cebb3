#include "cli/admin_client.h"

#include <fmt/format.h>

#include "net/address.h"
#include "net/http_client.h"
#include "runtime/loop.h"

namespace verge::cli {
namespace {

constexpr size_t kAnswerBytesMax = 1U << 30;

Result<AdminAnswer> ask(std::string_view authority, const net::HttpCall& call) {
  const Result<net::Address> address = net::Address::resolve(authority);
  if (!address) return std::unexpected(address.error());
  runtime::Loop loop("admin-client");
  net::HttpClient client(loop, *address, std::string(authority), {.body_bytes_max = kAnswerBytesMax});
  Result<AdminAnswer> result = fail("http.closed", "no answer");
  client.request(call, [&](Result<net::HttpAnswer> answer) {
    if (answer) {
      result = AdminAnswer{answer->status, std::string(answer->body.view()),
                           std::string(answer->field("Verge-Next").value_or(""))};
    } else {
      result = std::unexpected(answer.error());
    }
    loop.stop();
  });
  loop.run();
  return result;
}

}  // namespace

Result<AdminAnswer> admin_get(std::string_view authority, std::string_view target, Duration timeout) {
  return ask(authority, {.method = "GET", .target = target, .timeout = timeout});
}

Result<AdminAnswer> admin_post(std::string_view authority, std::string_view target, std::string_view body,
                               Duration timeout) {
  return ask(authority, {.method = "POST", .target = target, .body = Payload(body), .timeout = timeout});
}

Result<AdminAnswer> admin_request(std::string_view authority, std::string_view method, std::string_view target,
                                  std::string_view body, std::string_view token, Duration timeout) {
  const std::string authorization = fmt::format("Bearer {}", token);
  net::HttpCall call{.method = method, .target = target, .body = Payload(body), .timeout = timeout};
  if (!token.empty()) call.fields.push_back({"Authorization", authorization});
  return ask(authority, call);
}

}  // namespace verge::cli
