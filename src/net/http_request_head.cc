#include "net/http_request_head.h"

#include <fmt/format.h>

namespace verge::net {
namespace {

bool is_target(std::string_view target) {
  bool good = !target.empty();
  for (const char c : target) good &= c > 0x20 && c != 0x7f && c != '#';
  return good;
}

bool is_clients_own(std::string_view name) {
  return equals_ignoring_case(name, "host") || equals_ignoring_case(name, "content-length") ||
         equals_ignoring_case(name, "transfer-encoding") || equals_ignoring_case(name, "connection") ||
         equals_ignoring_case(name, "upgrade");
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void append_framing(std::string& out, const HttpRequestHead& head) {
  // Who sends nothing where a body is usual says so (RFC 9110 section 8.6).
  const bool means_body = head.method == "POST" || head.method == "PUT" || head.method == "PATCH";
  if (head.framing.kind == BodyFraming::Kind::kChunked) {
    append_field(out, "Transfer-Encoding", "chunked");
  } else if (head.framing.kind == BodyFraming::Kind::kLength || means_body) {
    append_field(out, "Content-Length", fmt::format_int(head.framing.length).c_str());
  }
}

}  // namespace

Result<void> append_request_head(std::string& out, const HttpRequestHead& head) {
  constexpr std::string_view kCode = "http.bad-request";
  if (!is_token(head.method)) return fail(kCode, "the method is not a token");
  if (!is_target(head.target)) return fail(kCode, "the target has characters that no target has");
  if (!is_authority(head.authority)) return fail(kCode, "the authority is not a host with or without a port");
  if (head.upgrade && (head.upgrade->empty() || !is_field_value(*head.upgrade))) {
    return fail(kCode, "the protocol to change to cannot be sent as it is");
  }
  out.append(head.method).append(" ").append(head.target).append(" HTTP/1.1\r\n");
  append_field(out, "Host", head.authority);
  for (const HttpField& field : head.fields) {
    if (!is_token(field.name) || !is_field_value(field.value)) {
      return fail(kCode, fmt::format("the field {} cannot be sent as it is", field.name));
    }
    if (!is_clients_own(field.name)) append_field(out, field.name, field.value);
  }
  append_framing(out, head);
  if (head.upgrade) {
    append_field(out, "Connection", "upgrade");
    append_field(out, "Upgrade", *head.upgrade);
  }
  out.append("\r\n");
  return {};
}

bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" || method == "DELETE";
}

}  // namespace verge::net
