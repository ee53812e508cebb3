#include "cli/admin_client.h"

#include "net/address.h"
#include "net/http_client.h"
#include "runtime/loop.h"

namespace verge::cli {
namespace {

constexpr size_t kAnswerBytesMax = 1U << 30;

}  // namespace

Result<AdminAnswer> admin_get(std::string_view authority, std::string_view target, Duration timeout) {
  const Result<net::Address> address = net::Address::resolve(authority);
  if (!address) return std::unexpected(address.error());
  runtime::Loop loop("admin-client");
  net::HttpClient client(loop, *address, std::string(authority), {.body_bytes_max = kAnswerBytesMax});
  Result<AdminAnswer> result = fail("http.closed", "no answer");
  client.request({.method = "GET", .target = target, .timeout = timeout}, [&](Result<net::HttpAnswer> answer) {
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

}  // namespace verge::cli
