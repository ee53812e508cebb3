#include "net/http_response.h"

#include <ctime>
#include <iterator>

#include <fmt/format.h>

namespace verge::net {
namespace {

bool is_servers_own(std::string_view name) {
  return equals_ignoring_case(name, "content-length") || equals_ignoring_case(name, "transfer-encoding") ||
         equals_ignoring_case(name, "connection");
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void append_fields(std::string& out, std::span<const HttpField> fields) {
  for (const HttpField& field : fields) {
    if (!is_servers_own(field.name)) append_field(out, field.name, field.value);
  }
}

void append_status_line(std::string& out, int status, std::string_view reason) {
  if (status == 200 && reason.empty()) {
    out.append("HTTP/1.1 200 OK\r\n");
  } else {
    fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", status,
                   reason.empty() ? reason_phrase(status) : reason);
  }
}

// What the server says of the body and the connection, and the empty line.
void append_end(std::string& out, const BodyFraming& framing, std::string_view connection) {
  if (framing.kind == BodyFraming::Kind::kLength) {
    append_field(out, "Content-Length", fmt::format_int(framing.length).c_str());
  } else if (framing.kind == BodyFraming::Kind::kChunked) {
    append_field(out, "Transfer-Encoding", "chunked");
  }
  if (!connection.empty()) append_field(out, "Connection", connection);
  out.append("\r\n");
}

}  // namespace

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 102:
      return "Processing";
    case 103:
      return "Early Hints";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 203:
      return "Non-Authoritative Information";
    case 204:
      return "No Content";
    case 205:
      return "Reset Content";
    case 206:
      return "Partial Content";
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    case 508:
      return "Loop Detected";
    default:
      return "Unknown";
  }
}

std::string http_date(WallTime time) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = time.microseconds / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday], parts.tm_mday,
                     kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

bool can_be_written(std::span<const HttpField> fields) {
  for (const HttpField& field : fields) {
    if (!is_token(field.name) || !is_field_value(field.value)) return false;
  }
  return true;
}

bool can_be_written(const HttpResponse& response) {
  return can_be_written(response.fields) && is_field_value(response.content_type);
}

bool can_be_written(const HttpResponseHead& head) { return can_be_written(head.fields) && is_field_value(head.reason); }

void append_response_head(std::string& out, const HttpResponse& response, const BodyFraming& framing,
                          std::string_view connection, std::string_view date) {
  append_status_line(out, response.status, {});
  if (!find_field(response.fields, "date")) append_field(out, "Date", date);
  if (!response.content_type.empty()) append_field(out, "Content-Type", response.content_type);
  append_fields(out, response.fields);
  append_end(out, framing, connection);
}

void append_response_head(std::string& out, const HttpResponseHead& head, const BodyFraming& framing,
                          std::string_view connection, std::string_view date) {
  append_status_line(out, head.status, head.reason);
  if (head.adds_date && !find_field(head.fields, "date")) append_field(out, "Date", date);
  append_fields(out, head.fields);
  append_end(out, framing, connection);
}

}  // namespace verge::net
