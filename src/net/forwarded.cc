#include "net/forwarded.h"

#include <string>
#include <vector>

#include <fmt/format.h>

namespace verge::net {
namespace {

constexpr size_t kElementsMax = 64;  // from the end

// The members of all fields with the name, split at commas outside quotes.
std::vector<std::string_view> members(std::span<const HttpField> fields, std::string_view name, char separator) {
  std::vector<std::string_view> found;
  for (const HttpField& field : fields) {
    if (!equals_ignoring_case(field.name, name)) continue;
    size_t begin = 0;
    bool quoted = false;
    for (size_t i = 0; i <= field.value.size(); ++i) {
      const char c = i < field.value.size() ? field.value[i] : separator;
      if (i < field.value.size() && c == '"') quoted = !quoted;
      if ((c != separator || quoted) && i < field.value.size()) continue;
      const std::string_view member = trim_blanks(field.value.substr(begin, i - begin));
      if (!member.empty()) found.push_back(member);
      begin = i + 1;
    }
  }
  return found;
}

// "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", "2001:db8::1".
std::optional<Address> parse_node(std::string_view text) {
  if (text.size() >= 2 && text.starts_with('"') && text.ends_with('"')) text = text.substr(1, text.size() - 2);
  if (text.empty() || text.size() > 64) return std::nullopt;
  const auto first = text.front();
  const bool is_bracketed = first == '[';
  const size_t colon = text.find(':');
  std::string whole(text);
  if (is_bracketed && text.ends_with(']')) {
    whole.append(":0");
  } else if (!is_bracketed && colon == std::string_view::npos) {
    whole.append(":0");
  } else if (!is_bracketed && text.find(':', colon + 1) != std::string_view::npos) {
    whole = fmt::format("[{}]:0", text);
  }
  if (whole.starts_with("localhost")) return std::nullopt;
  const Result<Address> address = Address::parse(whole);
  return address ? std::optional(*address) : std::nullopt;
}

std::optional<std::string_view> parameter(std::string_view element, std::string_view name) {
  const HttpField field{"x", element};
  for (const std::string_view pair : members(std::span(&field, 1), "x", ';')) {
    const size_t equals = pair.find('=');
    if (equals != std::string_view::npos && equals_ignoring_case(pair.substr(0, equals), name)) {
      return pair.substr(equals + 1);
    }
  }
  return std::nullopt;
}

std::optional<bool> scheme_of(std::string_view text) {
  if (text.size() >= 2 && text.starts_with('"') && text.ends_with('"')) text = text.substr(1, text.size() - 2);
  if (equals_ignoring_case(text, "https")) return true;
  if (equals_ignoring_case(text, "http")) return false;
  return std::nullopt;
}

}  // namespace

ForwardedClient forwarded_client(std::span<const HttpField> fields, ForwardedField from,
                                 std::span<const Network> trusted) {
  ForwardedClient client;
  if (from == ForwardedField::kNone) return client;
  const bool is_standard = from == ForwardedField::kForwarded;
  const std::vector<std::string_view> elements = members(fields, is_standard ? "forwarded" : "x-forwarded-for", ',');
  size_t looked_at = 0;
  for (size_t i = elements.size(); i-- > 0 && looked_at < kElementsMax; ++looked_at) {
    const std::optional<std::string_view> node = is_standard ? parameter(elements[i], "for") : elements[i];
    const std::optional<Address> address = node ? parse_node(*node) : std::nullopt;
    if (!address) break;
    client.address = address;
    if (!any_contains(trusted, *address)) break;
  }
  if (is_standard && !elements.empty()) {
    if (const auto proto = parameter(elements.back(), "proto")) client.is_secure = scheme_of(*proto);
  } else if (!is_standard) {
    const std::vector<std::string_view> protos = members(fields, "x-forwarded-proto", ',');
    if (!protos.empty()) client.is_secure = scheme_of(protos.back());
  }
  return client;
}

}  // namespace verge::net
