#include "node/config_override.h"

#include <charconv>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "node/config_reader.h"
#include "node/config_schema.h"

namespace verge::node {
namespace {

constexpr std::string_view kCode = "config.override";

struct Override {
  std::string_view value;
  uint32_t source;
  std::optional<Error> error;  // the first

  [[nodiscard]] Place place() const { return {source, 0, 0}; }
  void refuse(Error found) {
    if (!error) error = std::move(found);
  }
};

void put(Table& table, std::string_view key, Place place, Value value) {
  if (Value* present = find(table, key)) {
    *present = std::move(value);
  } else {
    table.push_back({std::string(key), place, std::move(value)});
  }
}

// The value of the key, made of `empty` when there is none.
Value& get_or_put(Table& table, std::string_view key, Value empty) {
  if (Value* present = find(table, key)) return *present;
  const Place place = empty.place;
  return table.emplace_back(std::string(key), place, std::move(empty)).value;
}

// Finds the next step of the path among the keys of one table, and goes on from there.
class Step final : public Visitor {
 public:
  // `depth` steps of the path lead to `table`.
  Step(Table& table, std::span<const std::string> path, size_t depth, Override& change)
      : table_(table), path_(path), depth_(depth), change_(change) {}

  void finish() {
    if (matched_) return;
    const std::string table = text_of(depth_);
    change_.refuse(unknown_key(path_[depth_], table, known_));
  }

  void refuse(std::string_view, Error) override {}

 private:
  void visit_key(std::string_view name, Field& field, const About&) override {
    if (!match(name)) return;
    if (!last()) return change_.refuse({kCode, text_of(depth_ + 1) + " is no table", "set it as a whole"});
    put(table_, name, change_.place(), value_from_text(change_.value, field.spelling(), change_.source));
  }

  void visit_section(std::string_view name, const About&, const Members& members) override {
    if (!match(name)) return;
    if (last()) return put_toml<Table>(table_, name, R"(a table such as {key = "value"})");
    // Where the file has something else than a table, reading says so.
    Value& value = get_or_put(table_, name, {Table(), change_.place()});
    if (auto* table = std::get_if<Table>(&value.content)) {
      Step next(*table, path_, depth_ + 1, change_);
      members(next);
      next.finish();
    }
  }

  void visit_sequence(std::string_view name, Sequence& sequence, const About&) override {
    if (!match(name)) return;
    if (last()) return put_toml<Array>(table_, name, R"(an array of tables such as [{key = "value"}])");
    Value& value = get_or_put(table_, name, {Array(), change_.place()});
    auto* array = std::get_if<Array>(&value.content);
    if (array == nullptr) return;
    const std::string& index_text = path_[depth_ + 1];
    size_t index = 0;
    const char* end = index_text.data() + index_text.size();
    const auto [stop, problem] = std::from_chars(index_text.data(), end, index);
    if (problem != std::errc{} || stop != end) {
      return change_.refuse(
          {kCode, fmt::format("{} is indexed by number, not by {}", text_of(depth_ + 1), json_string(index_text)),
           fmt::format("write {}.0", text_of(depth_ + 1))});
    }
    if (index > array->size()) {
      return change_.refuse(
          {kCode,
           fmt::format("{} has {} elements, so there is no {} to set", text_of(depth_ + 1), array->size(), index),
           fmt::format("write {}.{} to append one", text_of(depth_ + 1), array->size())});
    }
    if (index == array->size()) array->push_back({Table(), change_.place()});
    if (path_.size() == depth_ + 2) return put_element((*array)[index]);
    if (auto* table = std::get_if<Table>(&(*array)[index].content)) {
      Step next(*table, path_, depth_ + 2, change_);
      sequence.describe_specimen(next);
      next.finish();
    }
  }

  template <class Wanted>
  std::optional<Value> toml(std::string_view expected) {
    std::optional<Value> value = parse_value(change_.value, change_.source);
    if (value && std::holds_alternative<Wanted>(value->content)) return value;
    change_.refuse({kCode, fmt::format("{} must be {} in TOML", text_of(path_.size()), expected), {}});
    return std::nullopt;
  }

  template <class Wanted>
  void put_toml(Table& table, std::string_view name, std::string_view expected) {
    if (std::optional<Value> value = toml<Wanted>(expected)) put(table, name, change_.place(), *std::move(value));
  }

  void put_element(Value& element) {
    if (std::optional<Value> value = toml<Table>(R"(a table such as {key = "value"})")) element = *std::move(value);
  }

  bool match(std::string_view name) {
    known_.emplace_back(name);
    if (name != path_[depth_]) return false;
    return matched_ = true;
  }

  [[nodiscard]] bool last() const { return path_.size() == depth_ + 1; }

  [[nodiscard]] std::string text_of(size_t steps) const {
    std::string text;
    for (const std::string& step : path_.first(steps)) {
      if (!text.empty()) text.push_back('.');
      text.append(step);
    }
    return text;
  }

  Table& table_;
  std::span<const std::string> path_;
  size_t depth_;
  Override& change_;
  std::vector<std::string> known_;
  bool matched_ = false;
};

std::vector<std::string> split(std::string_view key) {
  std::vector<std::string> steps;
  while (true) {
    const size_t dot = key.find('.');
    steps.emplace_back(trim(key.substr(0, dot)));
    if (dot == std::string_view::npos) return steps;
    key.remove_prefix(dot + 1);
  }
}

}  // namespace

std::optional<Fault> apply_override(std::string_view override_text, Table& document, ConfigOrigin& origin) {
  const size_t equals = override_text.find('=');
  const bool has_value = equals != std::string_view::npos;
  const std::string_view key = trim(override_text.substr(0, equals));
  const std::string_view value = has_value ? override_text.substr(equals + 1) : std::string_view{};
  const uint32_t source = origin.add_source(
      {ConfigSource::Kind::kOverride, "--set " + std::string(is_utf8(key) ? key : "?"), std::string(value)});
  Override change{value, source, std::nullopt};
  if (!is_utf8(override_text)) {
    change.refuse({kCode, "this is not UTF-8", {}});
  } else if (!has_value) {
    change.refuse({kCode, "there is no value", "write --set KEY=VALUE"});
  } else {
    const std::vector<std::string> path = split(key);
    Config specimen;
    Step step(document, path, 0, change);
    describe(step, specimen);
    step.finish();
  }
  if (!change.error) return std::nullopt;
  return Fault{*std::move(change.error), change.place()};
}

}  // namespace verge::node
