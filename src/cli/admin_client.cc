#include "cli/admin_client.h"

#include <cstdlib>

#include <fmt/format.h>

#include "net/address.h"
#include "net/http_client.h"
#include "node/credentials.h"
#include "runtime/loop.h"

namespace verge::cli {
namespace {

constexpr const char* kTokenFile = "VERGE_ADMIN_TOKEN_FILE";

// Empty where the environment names no file.
Result<std::string> token_of_environment() {
  const char* const file = std::getenv(kTokenFile);
  if (file == nullptr || *file == '\0') return std::string();
  return node::read_secret({.kind = node::SecretSource::Kind::kFile, .name = file});
}

Result<AdminAnswer> admin_answer(Result<net::HttpAnswer> answer, std::string_view authority, bool has_token) {
  if (!answer) return std::unexpected(answer.error());
  AdminAnswer made{answer->status, std::string(answer->body.view()),
                   std::string(answer->field("Verge-Next").value_or(""))};
  if (made.status == 401 && made.body.contains("admin.unauthorized")) {
    return fail("admin.unauthorized",
                fmt::format("{} {}", authority, has_token ? "does not know this token" : "wants a token"),
                fmt::format("name a file with one of its admin.tokens in {}", kTokenFile));
  }
  return made;
}

Result<AdminAnswer> ask(std::string_view authority, net::HttpCall call, std::string_view own_token = {}) {
  const Result<net::Address> address = net::Address::resolve(authority);
  if (!address) return std::unexpected(address.error());
  const Result<std::string> token = own_token.empty() ? token_of_environment() : std::string(own_token);
  if (!token) return std::unexpected(token.error());
  const std::string authorization = "Bearer " + *token;
  if (!token->empty()) call.fields.push_back({"Authorization", authorization});
  runtime::Loop loop("admin-client");
  net::HttpClient client(loop, *address, std::string(authority), {.body_bytes_max = kAdminAnswerMax});
  Result<AdminAnswer> result = fail("http.closed", "no answer");
  client.request(call, [&](Result<net::HttpAnswer> answer) {
    result = admin_answer(std::move(answer), authority, !token->empty());
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
  return ask(authority, {.method = method, .target = target, .body = Payload(body), .timeout = timeout}, token);
}

Result<AdminClient> AdminClient::create(runtime::Loop& loop, std::string authority) {
  const Result<net::Address> address = net::Address::resolve(authority);
  if (!address) return std::unexpected(address.error());
  Result<std::string> token = token_of_environment();
  if (!token) return std::unexpected(token.error());
  AdminClient made(std::move(authority), *std::move(token));
  made.client_ = std::make_unique<net::HttpClient>(loop, *address, made.authority_,
                                                   net::HttpClientLimits{.body_bytes_max = kAdminAnswerMax});
  return made;
}

void AdminClient::get(std::string_view target, Duration timeout, Answered answered) {
  const std::string authorization = "Bearer " + token_;
  net::HttpCall call{.method = "GET", .target = target, .timeout = timeout};
  if (!token_.empty()) call.fields.push_back({"Authorization", authorization});
  client_->request(call, [authority = authority_, has_token = !token_.empty(),
                          answered = std::move(answered)](Result<net::HttpAnswer> answer) mutable {
    answered(admin_answer(std::move(answer), authority, has_token));
  });
}

}  // namespace verge::cli
