#include "node/config_worker_kinds.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "isolates/compatibility_date.h"
#include "isolates/connect_rule.h"
#include "kv/key_value_store.h"
#include "node/cron_times.h"
#include "node/worker_routes.h"

namespace verge::node {
namespace {

constexpr size_t kListMax = 256;
constexpr size_t kNameBytesMax = 256;
constexpr size_t kValueBytesMax = 64U << 10;

std::unexpected<Fault> wrong(std::string_view code, const Value& value, std::string_view expected) {
  return std::unexpected(
      Fault{{code, fmt::format("must be {}, not {}", expected, describe_value(value)), {}}, value.place});
}

// A string, or an array of them, each of which `check` has nothing against.
template <class Check>
Reading<std::vector<std::string>> read_texts(const Value& value, std::string_view expected, const Check& check) {
  std::vector<const Value*> values = {&value};
  if (const auto* array = std::get_if<Array>(&value.content)) {
    if (array->size() > kListMax) return wrong("config.range", value, fmt::format("{} elements at most", kListMax));
    values.clear();
    for (const Value& element : *array) values.push_back(&element);
  }
  std::vector<std::string> texts;
  for (const Value* one : values) {
    const auto* text = std::get_if<std::string>(&one->content);
    if (text == nullptr) return wrong("config.type", *one, expected);
    if (const auto good = check(*text); !good) {
      return std::unexpected(Fault{{"config.value", "is no good: " + good.error().what, good.error().fix}, one->place});
    }
    texts.push_back(*text);
  }
  return texts;
}

std::string list(const std::vector<std::string>& texts) {
  std::vector<std::string> quoted;
  for (const std::string& text : texts) quoted.push_back(toml_string(text));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

// A table whose names can be members of `env`.
Reading<const Table*> read_table(const Value& value, const std::string& expected) {
  const auto* table = std::get_if<Table>(&value.content);
  if (table == nullptr) {
    return std::unexpected(
        Fault{{"config.type", fmt::format("must be a table such as {}", expected), {}}, value.place});
  }
  if (table->size() > kListMax) {
    return std::unexpected(
        Fault{{"config.range", fmt::format("must have {} names at most", kListMax), {}}, value.place});
  }
  for (const Entry& entry : *table) {
    const bool is_name = !entry.key.empty() && entry.key.size() <= kNameBytesMax &&
                         std::ranges::all_of(entry.key, [](char c) { return c > ' ' && c != '\x7f'; });
    if (!is_name) {
      return std::unexpected(
          Fault{{"config.value", fmt::format("must have names of 1 to {} visible characters", kNameBytesMax), {}},
                entry.place});
    }
  }
  return table;
}

}  // namespace

Reading<std::vector<std::string>> RoutePatterns::read(const Value& value) const {
  return read_texts(value, "routes such as " + range(), parse_worker_route);
}

std::string RoutePatterns::write(const Type& routes) const { return list(routes); }

Reading<std::vector<std::string>> CronExpressions::read(const Value& value) const {
  return read_texts(value, "cron expressions such as \"*/5 * * * *\"", CronTimes::parse);
}

std::string CronExpressions::write(const Type& expressions) const { return list(expressions); }

Reading<std::vector<std::string>> ConnectRules::read(const Value& value) const {
  return read_texts(value, "hosts with a port such as " + range(), isolates::parse_connect_rule);
}

std::string ConnectRules::write(const Type& rules) const { return list(rules); }

Reading<std::string> CompatibilityDate::read(const Value& value) const {
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr) return wrong("config.type", value, "a date such as " + range());
  if (!text->empty() && !isolates::is_compatibility_date(*text)) {
    return wrong("config.value", value, "a date such as " + range());
  }
  return *text;
}

std::string CompatibilityDate::write(const Type& date) const { return toml_string(date); }

Reading<Variables::Type> Variables::read(const Value& value) const {
  const Reading<const Table*> table = read_table(value, range());
  if (!table) return std::unexpected(table.error());
  Type variables;
  for (const Entry& entry : **table) {
    const auto* text = std::get_if<std::string>(&entry.value.content);
    if (text == nullptr) return wrong("config.type", entry.value, "a table whose values are strings");
    if (text->size() > kValueBytesMax) {
      return std::unexpected(Fault{{"config.range", "must have values of 64 KiB at most", {}}, entry.place});
    }
    variables.emplace_back(entry.key, *text);
  }
  return variables;
}

std::string Variables::write(const Type& variables) const {
  std::vector<std::string> written;
  for (const auto& [name, text] : variables) written.push_back(toml_string(name) + " = " + toml_string(text));
  return written.empty() ? "{}" : fmt::format("{{ {} }}", fmt::join(written, ", "));
}

Reading<SpaceNames::Type> SpaceNames::read(const Value& value) const {
  Reading<Type> names = Variables().read(value);
  if (!names) return names;
  for (const auto& [name, target] : *names) {
    if (kv::is_space_name(target)) continue;
    return std::unexpected(
        Fault{{"config.value",
               fmt::format("must name namespaces of 1 to {} letters, digits, '-', '_' and '.', not {}",
                           kv::kNamespaceNameMax, json_string(target)),
               {}},
              value.place});
  }
  return names;
}

std::string SpaceNames::write(const Type& names) const { return Variables().write(names); }

Reading<NamedSecrets::Type> NamedSecrets::read(const Value& value) const {
  const Reading<const Table*> table = read_table(value, range());
  if (!table) return std::unexpected(table.error());
  Type secrets;
  for (const Entry& entry : **table) {
    Reading<SecretSource> secret = Secret().read(entry.value);
    if (!secret) return std::unexpected(std::move(secret.error()));
    secrets.emplace_back(entry.key, *std::move(secret));
  }
  return secrets;
}

std::string NamedSecrets::write(const Type& secrets) const {
  std::vector<std::string> written;
  for (const auto& [name, secret] : secrets) written.push_back(toml_string(name) + " = " + Secret().write(secret));
  return written.empty() ? "{}" : fmt::format("{{ {} }}", fmt::join(written, ", "));
}

}  // namespace verge::node
