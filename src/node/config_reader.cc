#include "node/config_reader.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "node/config_schema.h"

namespace verge::node {
namespace {

struct Findings {
  ConfigOrigin& origin;
  std::vector<Fault> faults;
};

// Reads one table. Where the table belongs: `path` is the key of its members without the last dot, `title` how messages
// name it, `place` where it begins.
class Reader final : public Visitor {
 public:
  Reader(const Table& table, Place place, std::string path, std::string title, Findings& findings)
      : table_(table), place_(place), path_(std::move(path)), title_(std::move(title)), findings_(findings) {}

  // After the schema described the table.
  void finish() {
    for (const Entry& entry : table_) {
      if (std::ranges::find(known_, entry.key) == known_.end())
        fault(unknown_key(entry.key, title_, known_), entry.place);
    }
    if (findings_.faults.size() != faults_before_) return;
    for (Fault& refusal : refusals_) findings_.faults.push_back(std::move(refusal));
  }

  void refuse(std::string_view key, Error error) override {
    const Value* value = find(table_, key);
    refusals_.push_back({std::move(error), value == nullptr ? place_ : value->place});
  }

 private:
  void visit_key(std::string_view name, Field& field, const About& about) override {
    const Value* value = know(name);
    if (value == nullptr) {
      field.read_absence();
      if (about.required) fault({"config.missing", fmt::format("{} has no {}", title_, name), "give it one"}, place_);
      return;
    }
    if (field.is_secret() && is_override(value->place)) {
      return fault({"config.override",
                    path_of(name) + " is a secret, and no part of one is taken from the command line, which others see",
                    "write it into the configuration file: " + field.range()},
                   value->place);
    }
    if (std::optional<Fault> found = field.read(*value)) {
      found->error.what = path_of(name) + " " + found->error.what;
      findings_.faults.push_back(*std::move(found));
    }
  }

  void visit_section(std::string_view name, const About&, const Members& members) override {
    static const Table kEmpty;
    const Value* value = know(name);
    const Table* table = value == nullptr ? &kEmpty : std::get_if<Table>(&value->content);
    if (table == nullptr) return expected(name, *value, fmt::format("a table: write [{}]", path_of(name)));
    Reader inner(*table, value == nullptr ? place_ : value->place, path_of(name), fmt::format("[{}]", path_of(name)),
                 findings_);
    members(inner);
    inner.finish();
  }

  void visit_sequence(std::string_view name, Sequence& sequence, const About&) override {
    const Value* value = know(name);
    if (value == nullptr) return;
    const std::string written = path_.empty()
                                    ? fmt::format("an array of tables: write [[{}]]", name)
                                    : fmt::format("an array of tables: write {} = [ {{...}}, {{...}} ]", name);
    const auto* array = std::get_if<Array>(&value->content);
    if (array == nullptr) return expected(name, *value, written);
    sequence.assign(array->size());
    for (size_t i = 0; i < array->size(); ++i) {
      const Value& element = (*array)[i];
      const std::string path = fmt::format("{}.{}", path_of(name), i);
      findings_.origin.note(path, element.place);
      const auto* table = std::get_if<Table>(&element.content);
      if (table == nullptr) {
        fault({"config.type", fmt::format("{} must be a table, not {}", path, describe_value(element)), {}},
              element.place);
        continue;
      }
      Reader inner(*table, element.place, path, path, findings_);
      sequence.describe_element(i, inner);
      inner.finish();
    }
  }

  // The key is one of the schema's: its value, and a note of where it stands.
  const Value* know(std::string_view name) {
    known_.emplace_back(name);
    const Value* value = find(table_, name);
    if (value != nullptr) findings_.origin.note(path_of(name), value->place);
    return value;
  }

  void expected(std::string_view name, const Value& value, const std::string& what) {
    fault({"config.type", fmt::format("{} is {}, not {}", path_of(name), describe_value(value), what), {}},
          value.place);
  }

  [[nodiscard]] bool is_override(Place place) const {
    const std::vector<ConfigSource>& sources = findings_.origin.sources();
    return place.source < sources.size() && sources[place.source].kind == ConfigSource::Kind::kOverride;
  }

  void fault(Error error, Place place) { findings_.faults.push_back({std::move(error), place}); }

  [[nodiscard]] std::string path_of(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
  }

  const Table& table_;
  Place place_;
  std::string path_;
  std::string title_;
  Findings& findings_;
  std::vector<std::string> known_;
  std::vector<Fault> refusals_;  // reported when nothing else is wrong: they would only repeat it
  size_t faults_before_ = findings_.faults.size();
};

}  // namespace

Error unknown_key(std::string_view key, std::string_view table, const std::vector<std::string>& known) {
  const std::string near = nearest(key, known);
  return {"config.unknown-key",
          table.empty() ? "unknown table " + json_string(key)
                        : fmt::format("unknown key {} in {}", json_string(key), table),
          near.empty() ? fmt::format("there are {}", fmt::join(known, ", "))
                       : fmt::format("did you mean {}?", json_string(near))};
}

std::vector<Fault> read_document(const Table& document, Config& config) {
  Findings findings{config.origin, {}};
  Reader reader(document, Place{}, "", "", findings);
  describe(reader, config);
  reader.finish();
  return std::move(findings.faults);
}

}  // namespace verge::node
