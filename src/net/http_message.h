// The parts of an HTTP message as views into the bytes they arrived in (RFC 9110 sections 5 and 6). Field order is
// kept. A view lives as long as those bytes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace verge::net {

struct HttpField {
  std::string_view name;
  std::string_view value;  // without surrounding white space
};

struct RequestHead {
  std::string_view method;
  std::string_view target;  // as sent
  int minor_version = 1;    // 0 or 1: later minor versions are read as 1 (RFC 9110 section 2.5)
  std::vector<HttpField> fields;
};

struct ResponseHead {
  int status = 0;
  std::string_view reason;
  int minor_version = 1;
  std::vector<HttpField> fields;
};

// A request target in its parts (RFC 9112 section 3.2). Only the absolute and authority forms have an authority; the
// path of the asterisk form is "*".
struct TargetParts {
  std::string_view authority;
  std::string_view path;
  std::string_view query;  // without the question mark
};
// `target` has passed a RequestParser. `method` tells the authority form of CONNECT from the others.
TargetParts split_target(std::string_view method, std::string_view target);

// ASCII letters only, as field names and tokens are compared.
bool equals_ignoring_case(std::string_view a, std::string_view b);
// The value of the first field with that name.
std::optional<std::string_view> find_field(std::span<const HttpField> fields, std::string_view name);
// That of the only one; nothing where there are more: of several that say different things none is to be believed.
std::optional<std::string_view> sole_field(std::span<const HttpField> fields, std::string_view name);
// Whether a comma-separated list, over all fields with that name, has the member (RFC 9110 section 5.6.1).
bool list_has(std::span<const HttpField> fields, std::string_view name, std::string_view member);
// Whether the connection outlives the message by the sender's word (RFC 9112 section 9.3).
bool keeps_alive(int minor_version, std::span<const HttpField> fields);

// Without the spaces and tabs around it.
std::string_view trim_blanks(std::string_view text);
// One or more token characters (RFC 9110 section 5.6.2).
bool is_token(std::string_view text);
// No controls other than the tab (RFC 9110 section 5.5).
bool is_field_value(std::string_view text);
// uri-host [ ":" port ] with a host that is not empty and no user information (RFC 9110 sections 4.2 and 7.2).
bool is_authority(std::string_view text);

// For a value in a query: letters, digits, '-' and '.' stay.
std::string percent_encode(std::string_view text);
// Nothing when a percent sign is not followed by two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text);
// The value of the first parameter with that name, decoded as application/x-www-form-urlencoded: "+" is a space, and
// a percent sign without two hexadecimal digits stands for itself (WHATWG URL section 5.1).
std::optional<std::string> query_parameter(std::string_view query, std::string_view name);
// The names of all of them, decoded likewise, in their order.
std::vector<std::string> query_parameter_names(std::string_view query);

}  // namespace verge::net
