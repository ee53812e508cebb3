#include "esi/variables.h"

#include <algorithm>
#include <array>

namespace verge::esi {
namespace {

using net::equals_ignoring_case;

constexpr std::string_view kOpen = "$(";

bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool contains_ignoring_case(std::string_view text, std::string_view word) {
  for (; text.size() >= word.size(); text.remove_prefix(1)) {
    if (equals_ignoring_case(text.substr(0, word.size()), word)) return true;
  }
  return false;
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1, low = high < 0 ? -1 : hex_digit(text[i + 2]);
    if (text[i] == '%' && low >= 0) {
      decoded.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      decoded.push_back(text[i] == '+' ? ' ' : text[i]);
    }
  }
  return decoded;
}

// The value of `key` in "key=value" members divided by `divider`.
std::string_view member(std::string_view text, char divider, std::string_view key) {
  while (!text.empty()) {
    const std::string_view one = net::trim_blanks(text.substr(0, text.find(divider)));
    text.remove_prefix(
        std::min(text.size(), text.find(divider) == std::string_view::npos ? text.size() : text.find(divider) + 1));
    const size_t equals = one.find('=');
    if (one.substr(0, equals) == key) return equals == std::string_view::npos ? "" : one.substr(equals + 1);
  }
  return {};
}

bool names_language(std::string_view list, std::string_view language) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view one = list.substr(0, comma);
    list.remove_prefix(std::min(list.size(), comma + 1));
    if (equals_ignoring_case(net::trim_blanks(one.substr(0, one.find(';'))), language)) return true;
  }
  return false;
}

std::string_view of_user_agent(std::string_view agent, std::string_view key) {
  if (key == "browser") {
    if (contains_ignoring_case(agent, "MSIE") || contains_ignoring_case(agent, "Trident/")) return "MSIE";
    return agent.starts_with("Mozilla/") ? "MOZILLA" : "OTHER";
  }
  if (key == "os") {
    if (contains_ignoring_case(agent, "Windows")) return "WIN";
    if (contains_ignoring_case(agent, "Mac")) return "MAC";
    constexpr std::array<std::string_view, 4> kUnix = {"Linux", "BSD", "X11", "Android"};
    const bool is_unix =
        std::ranges::any_of(kUnix, [&](std::string_view name) { return contains_ignoring_case(agent, name); });
    return is_unix ? "UNIX" : "OTHER";
  }
  if (key != "version") return {};
  const size_t slash = agent.find('/');
  if (slash == std::string_view::npos) return {};
  agent.remove_prefix(slash + 1);
  const auto end = std::ranges::find_if_not(agent, [](char c) { return is_digit(c) || c == '.'; });
  return agent.substr(0, static_cast<size_t>(end - agent.begin()));
}

void append_html(std::string& out, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '&':
        out.append("&amp;");
        break;
      case '<':
        out.append("&lt;");
        break;
      case '>':
        out.append("&gt;");
        break;
      case '"':
        out.append("&quot;");
        break;
      case '\'':
        out.append("&#39;");
        break;
      default:
        out.push_back(c);
    }
  }
}

void append_percent_encoded(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (const char c : text) {
    if (is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kDigits[byte >> 4U]);
      out.push_back(kDigits[byte & 15U]);
    }
  }
}

// As it may stand in a query: "=" and "&" divide, what is encoded stays so.
void append_query(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const size_t end = text.find_first_of("=&%+");
    append_percent_encoded(out, text.substr(0, end));
    if (end == std::string_view::npos) return;
    out.push_back(text[end]);
    text.remove_prefix(end + 1);
  }
}

}  // namespace

std::optional<Variable> parse_variable(std::string_view text) {
  if (!text.starts_with(kOpen)) return std::nullopt;
  size_t place = kOpen.size();
  Variable variable;
  const size_t name_at = place;
  while (place < text.size() && (is_letter(text[place]) || text[place] == '_')) ++place;
  variable.name = text.substr(name_at, place - name_at);
  if (variable.name.empty()) return std::nullopt;
  if (place < text.size() && text[place] == '{') {
    const size_t end = text.find('}', place);
    if (end == std::string_view::npos) return std::nullopt;
    variable.key = text.substr(place + 1, end - place - 1);
    place = end + 1;
  }
  if (place < text.size() && text[place] == '|') {
    ++place;
    const bool is_quoted = place < text.size() && text[place] == '\'';
    if (is_quoted) ++place;
    const size_t end = text.find(is_quoted ? '\'' : ')', place);
    if (end == std::string_view::npos) return std::nullopt;
    variable.fallback = text.substr(place, end - place);
    place = end + (is_quoted ? 1 : 0);
  }
  if (place >= text.size() || text[place] != ')') return std::nullopt;
  variable.size = place + 1;
  return variable;
}

std::string Variables::field(std::string_view name) const {
  std::string text;
  for (const net::HttpField& one : request_.fields) {
    if (!equals_ignoring_case(one.name, name)) continue;
    if (!text.empty()) text.append(name == "cookie" ? "; " : ", ");
    text.append(one.value);
  }
  return text;
}

std::string Variables::plain_value(const Variable& variable) const {
  const auto is = [&](std::string_view name) { return equals_ignoring_case(variable.name, name); };
  const std::string_view key = variable.key;
  if (is("HTTP_HOST")) return std::string(request_.host);
  if (is("REQUEST_PATH")) return std::string(request_.path);
  if (is("HTTP_REFERER")) return field("referer");
  if (is("QUERY_STRING")) {
    if (key.empty()) return std::string(request_.query);
    return percent_decoded(member(request_.query, '&', key));
  }
  if (is("HTTP_COOKIE")) {
    const std::string cookies = field("cookie");
    return key.empty() ? cookies : std::string(member(cookies, ';', key));
  }
  if (is("HTTP_ACCEPT_LANGUAGE")) {
    std::string languages = field("accept-language");
    if (key.empty()) return languages;
    return names_language(languages, key) ? "true" : "false";
  }
  if (is("HTTP_USER_AGENT")) {
    const std::string agent = field("user-agent");
    return key.empty() ? agent : std::string(of_user_agent(agent, key));
  }
  return {};
}

std::string Variables::value(const Variable& variable) const {
  std::string value = plain_value(variable);
  return value.empty() ? std::string(variable.fallback) : value;
}

std::string expanded(std::string_view text, const Variables& variables, Escaping escaping) {
  std::string out;
  out.reserve(text.size());
  while (true) {
    const size_t next = text.find(kOpen);
    out.append(text.substr(0, next));
    if (next == std::string_view::npos) return out;
    text.remove_prefix(next);
    const std::optional<Variable> variable = parse_variable(text);
    if (!variable) {
      out.append(kOpen);
      text.remove_prefix(kOpen.size());
      continue;
    }
    const std::string value = variables.value(*variable);
    if (escaping == Escaping::kHtml) {
      append_html(out, value);
    } else if (equals_ignoring_case(variable->name, "QUERY_STRING") && variable->key.empty()) {
      append_query(out, value);
    } else {
      append_percent_encoded(out, value);
    }
    text.remove_prefix(variable->size);
  }
}

}  // namespace verge::esi
