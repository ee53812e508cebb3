// Variables: what a page in ESI 1.0 can ask about the request it answers (section 3.1 of the specification).
//
//   $(HTTP_HOST), $(HTTP_REFERER), $(REQUEST_PATH)       text
//   $(QUERY_STRING), $(QUERY_STRING{name})               the query, or the first value of a parameter
//   $(HTTP_COOKIE), $(HTTP_COOKIE{name})                 the cookies, or one of them
//   $(HTTP_ACCEPT_LANGUAGE), $(HTTP_ACCEPT_LANGUAGE{de}) the field, or whether it names the language: true or false
//   $(HTTP_USER_AGENT), …{browser}, …{version}, …{os}    the field; MOZILLA, MSIE or OTHER; a version; WIN, MAC, UNIX
//   or OTHER
//
// $(NAME|text) and $(NAME|'text') have a default for what is missing or empty. Names are not sensitive to case; those
// that are not known are empty.
//
// Values come from clients. In a page each is escaped as HTML text, so that nobody puts markup into what another sees;
// in a URL it is percent-encoded, so that it stays within its place. (The specification is silent; others insert values
// as they are.)
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/http_message.h"

namespace verge::esi {

// One "$(…)". Views into the text.
struct Variable {
  std::string_view name;
  std::string_view key;       // behind "{"
  std::string_view fallback;  // behind "|"
  size_t size = 0;            // of all of it
};
// The variable that `text` begins with; nothing where it begins with none, or one that cannot be read.
std::optional<Variable> parse_variable(std::string_view text);

// Of one request; views that outlive this.
class Variables {
 public:
  struct Request {
    std::string_view host;
    std::string_view path;
    std::string_view query;
    std::span<const net::HttpField> fields;
  };
  explicit Variables(const Request& request) : request_(request) {}

  // Query parameters are percent-decoded.
  [[nodiscard]] std::string value(const Variable& variable) const;

 private:
  [[nodiscard]] std::string field(std::string_view name) const;
  [[nodiscard]] std::string plain_value(const Variable& variable) const;

  const Request request_;
};

enum class Escaping { kHtml, kUrl };
// `text` with its variables replaced. What begins as a variable and cannot be read stays.
std::string expanded(std::string_view text, const Variables& variables, Escaping escaping);

}  // namespace verge::esi
