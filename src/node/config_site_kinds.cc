#include "node/config_site_kinds.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "cache/path_pattern.h"
#include "cache/redirect.h"
#include "node/config_reader.h"

namespace verge::node {
namespace {

constexpr std::string_view kType = "config.type";
constexpr std::string_view kRange = "config.range";
constexpr std::string_view kValue = "config.value";
constexpr size_t kListMax = 64;

std::unexpected<Fault> wrong(std::string_view code, const Value& value, std::string_view expected,
                             std::string fix = {}) {
  return std::unexpected(
      Fault{{code, fmt::format("must be {}, not {}", expected, describe_value(value)), std::move(fix)}, value.place});
}

std::unexpected<Fault> refused(const Error& error, const Value& value) {
  return std::unexpected(Fault{{kValue, "must be " + error.what, error.fix}, value.place});
}

// A string, or an array of them.
Reading<std::vector<const Value*>> texts_of(const Value& value, std::string_view expected) {
  std::vector<const Value*> texts;
  if (const auto* array = std::get_if<Array>(&value.content)) {
    if (array->size() > kListMax) return wrong(kRange, value, fmt::format("{} elements at most", kListMax));
    for (const Value& element : *array) texts.push_back(&element);
  } else {
    texts.push_back(&value);
  }
  for (const Value* text : texts) {
    if (!std::holds_alternative<std::string>(text->content)) return wrong(kType, *text, expected);
  }
  return texts;
}

const std::string& text_of(const Value& value) { return std::get<std::string>(value.content); }

std::string list(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  for (const std::string& text : texts) quoted.push_back(toml_string(text));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

}  // namespace

Reading<std::string> RulePath::read(const Value& value) const {
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr || !text->starts_with('/')) {
    return wrong(text == nullptr ? kType : kValue, value, R"(a path such as "/images/")",
                 text != nullptr && !text->empty() ? fmt::format("did you mean {}?", json_string("/" + *text)) : "");
  }
  std::string scratch;
  const std::string_view plain = cache::plain_path(*text, scratch);
  if (plain != *text) {
    return wrong(kValue, value, "a path as it is compared, without %, //, /. and /..",
                 fmt::format("write {}", json_string(plain)));
  }
  return *text;
}

Reading<std::string> RuleGlob::read(const Value& value) const {
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr || !(text->starts_with('/') || text->starts_with('*'))) {
    return wrong(text == nullptr ? kType : kValue, value, R"(a glob such as "/**.jpg")",
                 text != nullptr && !text->empty() ? fmt::format("did you mean {}?", json_string("/" + *text)) : "");
  }
  if (text->size() > cache::PathPattern::kBytesMax || cache::wildcards(*text) > cache::PathPattern::kWildcardsMax) {
    return wrong(kRange, value, "a glob of 256 bytes and 9 wildcards at most");
  }
  if (text->contains('[') || text->contains('{')) {
    return wrong(kValue, value, "a glob of ?, * and **", "write a rule for each of the alternatives");
  }
  return *text;
}

Reading<std::string> RedirectTarget::read(const Value& value) const {
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr) return wrong(kType, value, R"(a target such as "https://${host}${path}")");
  if (text->empty()) return *text;
  if (const Result<void> good = cache::check_redirect_target(*text); !good) return refused(good.error(), value);
  return *text;
}

Reading<uint64_t> RedirectStatus::read(const Value& value) const {
  constexpr std::array<int64_t, 5> kStatuses = {301, 302, 303, 307, 308};
  const auto* number = std::get_if<int64_t>(&value.content);
  if (number == nullptr) return wrong(kType, value, range());
  if (std::ranges::find(kStatuses, *number) == kStatuses.end()) return wrong(kValue, value, "one of " + range());
  return static_cast<uint64_t>(*number);
}

Reading<std::vector<std::string>> QueryNames::read(const Value& value) const {
  constexpr std::string_view kExpected = R"(names of query parameters such as "utm_*" or "fbclid")";
  const auto texts = texts_of(value, kExpected);
  if (!texts) return std::unexpected(texts.error());
  std::vector<std::string> names;
  for (const Value* element : *texts) {
    const std::string& name = text_of(*element);
    const bool is_visible =
        std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7f && c != '&' && c != '='; });
    if (name.empty() || !is_visible) return wrong(kValue, *element, kExpected);
    if (name.find('*') < name.size() - 1) return wrong(kValue, *element, "a name with * at its end only");
    names.push_back(name);
  }
  return names;
}

std::string QueryNames::write(const std::vector<std::string>& names) const { return list(names); }

Reading<cache::FieldEdits> HeaderEdits::read(const Value& value) const {
  const auto* table = std::get_if<Table>(&value.content);
  if (table == nullptr) return wrong(kType, value, "a table such as " + range());
  const auto check = [&](const std::string& name, const Value& at) -> std::optional<Fault> {
    if (const Result<void> good = cache::check_edited_name(name, message); !good) {
      return refused(good.error(), at).error();
    }
    return std::nullopt;
  };
  cache::FieldEdits edits;
  for (const Entry& entry : *table) {
    if (entry.key == "remove") {
      const auto names = texts_of(entry.value, "names of fields");
      if (!names) return std::unexpected(names.error());
      for (const Value* name : *names) {
        if (std::optional<Fault> fault = check(text_of(*name), *name)) return std::unexpected(*std::move(fault));
        edits.remove.push_back(text_of(*name));
      }
      continue;
    }
    if (entry.key != "set" && entry.key != "add") {
      Error error = unknown_key(entry.key, "it", {"remove", "set", "add"});
      error.what = "has an " + error.what;
      return std::unexpected(Fault{std::move(error), entry.place});
    }
    const auto* fields = std::get_if<Table>(&entry.value.content);
    if (fields == nullptr) return wrong(kType, entry.value, R"(a table of names and values such as { X-Edge = "1" })");
    if (fields->size() > cache::FieldEdits::kMax) return wrong(kRange, entry.value, "a table of 64 fields at most");
    for (const Entry& field : *fields) {
      Value at = field.value;
      at.place = field.place;
      if (std::optional<Fault> fault = check(field.key, at)) return std::unexpected(*std::move(fault));
      const auto* text = std::get_if<std::string>(&field.value.content);
      if (text == nullptr) return wrong(kType, field.value, "a string, the value of a field");
      if (const Result<void> good = cache::check_edited_value(*text); !good) return refused(good.error(), field.value);
      (entry.key == "set" ? edits.set : edits.add).push_back({field.key, *text});
    }
  }
  return edits;
}

std::string HeaderEdits::write(const cache::FieldEdits& edits) const {
  std::vector<std::string> parts;
  if (!edits.remove.empty()) parts.push_back("remove = " + list(edits.remove));
  const auto table = [&](std::string_view name, const std::vector<cache::FieldEdit>& fields) {
    if (fields.empty()) return;
    std::vector<std::string> written;
    for (const auto& [field, text] : fields) written.push_back(toml_string(field) + " = " + toml_string(text));
    parts.push_back(fmt::format("{} = {{ {} }}", name, fmt::join(written, ", ")));
  };
  table("set", edits.set);
  table("add", edits.add);
  return parts.empty() ? "{}" : fmt::format("{{ {} }}", fmt::join(parts, ", "));
}

Reading<std::vector<SigningKeyConfig>> SigningKeys::read(const Value& value) const {
  constexpr std::string_view kExpected = R"(keys such as [{ id = "2026a", file = "/etc/verge/sign.key" }])";
  const auto* array = std::get_if<Array>(&value.content);
  // What stands there may be the secret: it is not shown.
  const auto wrong_here = [&](const Value& at) {
    return std::unexpected(Fault{{kType, fmt::format("must be {}", kExpected), {}}, at.place});
  };
  if (array == nullptr) return wrong_here(value);
  std::vector<SigningKeyConfig> keys;
  for (const Value& element : *array) {
    const auto* table = std::get_if<Table>(&element.content);
    if (table == nullptr) return wrong_here(element);
    SigningKeyConfig& key = keys.emplace_back();
    for (const Entry& entry : *table) {
      const auto* text = std::get_if<std::string>(&entry.value.content);
      if (text == nullptr || text->empty() || (entry.key != "id" && entry.key != "file"))
        return wrong_here(entry.value);
      (entry.key == "id" ? key.id : key.file) = *text;
    }
    const bool is_id = !key.id.empty() && key.id.size() <= 32 &&
                       key.id.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") ==
                           std::string::npos;
    if (!is_id) {
      return std::unexpected(Fault{{kValue, "must be keys whose id is 1 to 32 of A-Z a-z 0-9 _ -", {}}, element.place});
    }
    if (key.file.empty()) return wrong_here(element);
    if (std::ranges::count(keys, key.id, &SigningKeyConfig::id) > 1) {
      return std::unexpected(Fault{
          {kValue, fmt::format("must be keys of different ids, and {} is there twice", key.id), {}}, element.place});
    }
  }
  if (keys.size() > kListMax) return wrong_here(value);
  return keys;
}

std::string SigningKeys::write(const std::vector<SigningKeyConfig>& keys) const {
  std::vector<std::string> written;
  for (const auto& [id, file] : keys) {
    written.push_back(fmt::format("{{ id = {}, file = {} }}", toml_string(id), toml_string(file)));
  }
  return fmt::format("[{}]", fmt::join(written, ", "));
}

Reading<std::vector<net::Network>> Networks::read(const Value& value) const {
  const auto texts = texts_of(value, R"(networks such as "10.0.0.0/8")");
  if (!texts) return std::unexpected(texts.error());
  std::vector<net::Network> networks;
  for (const Value* element : *texts) {
    const Result<net::Network> network = net::Network::parse(text_of(*element));
    if (!network) {
      return std::unexpected(
          Fault{{kValue, "must be a network: " + network.error().what, network.error().fix}, element->place});
    }
    networks.push_back(*network);
  }
  return networks;
}

std::string Networks::write(const std::vector<net::Network>& networks) const {
  std::vector<std::string> texts;
  for (const net::Network& network : networks) texts.push_back(network.text());
  return list(texts);
}

}  // namespace verge::node
