#include "node/config_document.h"

#include <fmt/format.h>

#include "base/text.h"

// The packaged library throws; built from its headers without exceptions it returns its errors, in a namespace of its
// own, so that the two cannot be mixed up.
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#define TOML_SHARED_LIB 0
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
// Its assertions come before checks of the same that report an error ("[#" is one such file): left on they end the
// process, and with NDEBUG they are promises to the compiler, which is worse.
#undef NDEBUG
#define TOML_ASSERT(condition) static_assert(true)
#include <toml++/toml.h>

namespace verge::node {
namespace {

constexpr std::string_view kValueKey = "v=";

class Conversion {
 public:
  // `shift`: columns of the first line that are not the source's.
  Conversion(uint32_t source, uint32_t shift) : source_(source), shift_(shift) {}

  [[nodiscard]] Place place(const toml::source_region& region) const {
    const auto [line, column] = region.begin;
    if (line == 1) return {source_, line, column > shift_ ? column - shift_ : 1};
    return {source_, line, column};
  }

  [[nodiscard]] Table table(const toml::table& from) const {
    Table to;
    to.reserve(from.size());
    for (const auto& [key, node] : from) to.push_back({std::string(key.str()), place(key.source()), value(node)});
    return to;
  }

  [[nodiscard]] Value value(const toml::node& from) const {
    const Place at = place(from.source());
    switch (from.type()) {
      case toml::node_type::string:
        return {from.as_string()->get(), at};
      case toml::node_type::integer:
        return {from.as_integer()->get(), at};
      case toml::node_type::floating_point:
        return {from.as_floating_point()->get(), at};
      case toml::node_type::boolean:
        return {from.as_boolean()->get(), at};
      case toml::node_type::table:
        return {table(*from.as_table()), at};
      case toml::node_type::array: {
        Array to;
        for (const toml::node& element : *from.as_array()) to.push_back(value(element));
        return {std::move(to), at};
      }
      default:
        return {DateOrTime{}, at};
    }
  }

 private:
  uint32_t source_;
  uint32_t shift_;
};

// The library's messages may quote control characters of the text.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) line.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
  return line;
}

}  // namespace

const Value* find(const Table& table, std::string_view key) {
  for (const Entry& entry : table) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

Value* find(Table& table, std::string_view key) { return const_cast<Value*>(find(std::as_const(table), key)); }

std::string describe_value(const Value& value) {
  struct Words {
    std::string operator()(const std::string& text) const {
      constexpr size_t kShown = 60;
      return "the string " + (text.size() <= kShown ? json_string(text) : json_string(text.substr(0, kShown)) + "...");
    }
    std::string operator()(int64_t number) const { return fmt::format("the integer {}", number); }
    std::string operator()(double number) const { return fmt::format("the number {}", number); }
    std::string operator()(bool truth) const { return truth ? "true" : "false"; }
    std::string operator()(DateOrTime) const { return "a date or time"; }
    std::string operator()(const Array&) const { return "an array"; }
    std::string operator()(const Table&) const { return "a table"; }
  };
  return std::visit(Words{}, value.content);
}

std::expected<Table, Fault> parse_document(std::string_view text, uint32_t source) {
  const toml::parse_result result = toml::parse(text);
  const Conversion conversion(source, 0);
  if (result) return conversion.table(result.table());
  const toml::parse_error& error = result.error();
  return std::unexpected(Fault{{"config.syntax", "this is not TOML: " + one_line(error.description()), {}},
                               conversion.place(error.source())});
}

std::optional<Value> parse_value(std::string_view text, uint32_t source) {
  const toml::parse_result result = toml::parse(std::string(kValueKey).append(text));
  if (!result || result.table().size() != 1) return std::nullopt;
  const auto first = result.table().begin();
  return Conversion(source, kValueKey.size()).value(first->second);
}

}  // namespace verge::node
