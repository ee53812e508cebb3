#include "cli/admin_client.h"

#include <cstdlib>

#include <fmt/format.h>

#include "net/address.h"
#include "net/http_client.h"
#include "node/credentials.h"
#include "runtime/loop.h"

namespace verge::cli {
namespace {

constexpr size_t kAnswerBytesMax = 1U << 30;
constexpr const char* kTokenFile = "VERGE_ADMIN_TOKEN_FILE";

// Empty where the environment names no file.
Result<std::string> token_of_environment() {
  const char* const file = std::getenv(kTokenFile);
  if (file == nullptr || *file == '\0') return std::string();
  return node::read_secret({.kind = node::SecretSource::Kind::kFile, .name = file});
}

Result<AdminAnswer> ask(std::string_view authority, net::HttpCall call, std::string_view own_token = {}) {
  const Result<net::Address> address = net::Address::resolve(authority);
  if (!address) return std::unexpected(address.error());
  const Result<std::string> token = own_token.empty() ? token_of_environment() : std::string(own_token);
  if (!token) return std::unexpected(token.error());
  const std::string authorization = "Bearer " + *token;
  if (!token->empty()) call.fields.push_back({"Authorization", authorization});
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
  if (result && result->status == 401 && result->body.contains("admin.unauthorized")) {
    return fail("admin.unauthorized",
                fmt::format("{} {}", authority, token->empty() ? "wants a token" : "does not know this token"),
                fmt::format("name a file with one of its admin.tokens in {}", kTokenFile));
  }
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
  return ask(authority, {.method = method, .target = target, .body = Payload(body), .timeout = timeout}, token);
}

}  // namespace verge::cli
