// docs/configuration.md, from the schema and the defaults.

#include <fmt/format.h>

#include "node/config.h"
#include "node/config_schema.h"

namespace verge::node {
namespace {

constexpr std::string_view kPreamble = R"(# Configuration

<!-- Printed from the schema in src/node/config_schema.cc; a test compares them. -->

A node is configured by one TOML file. Every key has a default, so that the file holds only what differs, and a node
without a file runs. Unknown keys are errors; all errors of a file are reported at once, each with its line and column.

`--set KEY=VALUE` overrides the file. The value is read by the key's type, so a bare string is fine; between quotes it
is a TOML string; arrays and tables are TOML and replace the whole. Elements of arrays of tables are numbered from 0,
and one past the last appends:

```
--set mqtt.listen=127.0.0.1:1884
--set 'http.listen=["127.0.0.1:8080", "[::1]:8080"]'
--set rule.0.report=none
```

- A **size** is a string with a unit (`"64KiB"`, `"1 MiB"`, `"10 GB"`) or an integer of bytes.
- A **duration** is a string with a unit: `"20us"`, `"150ms"`, `"10s"`, `"5min"`, `"1h"`, `"7d"`.
- A **listen** address is `host:port` or `[v6]:port`; port 0 takes a free one.
- A **secret** is never written here, only where it is: `{ file = "/etc/verge/token" }` (its first line) or
  `{ env = "VERGE_TOKEN" }`. `--set` takes none, and `--print-config` prints where it is, not what it is.
)";

std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

std::string code(std::string_view text) { return text.empty() ? std::string() : fmt::format("`{}`", text); }

// One table: its rows first, then the pages of the sequences inside it.
class Page final : public Visitor {
 public:
  explicit Page(std::string path) : path_(std::move(path)) {}

  [[nodiscard]] std::string text() const {
    if (rows_.empty()) return rest_;
    return "| Key | Type | Default | Range | Meaning |\n|---|---|---|---|---|\n" + rows_ + rest_;
  }
  void refuse(std::string_view, Error) override {}

 private:
  void visit_key(std::string_view name, Field& field, const About& about) override {
    const std::string written = field.write();
    std::string value = written.empty() ? "none" : code(written);
    if (!about.default_text.empty()) value = about.default_text;
    if (about.required) value = "required";
    row(name, field.type(), value, code(field.range()), about.description);
  }

  void visit_section(std::string_view name, const About& about, const Members& members) override {
    Page inner(path_of(name));
    members(inner);
    add(fmt::format("## `[{}]`", path_of(name)), about.description, inner);
  }

  void visit_sequence(std::string_view name, Sequence& sequence, const About& about) override {
    Page inner(path_of(name));
    sequence.describe_specimen(inner);
    if (path_.empty()) return add(fmt::format("## `[[{}]]`", name), about.description, inner);
    row(name, "array of tables", "`[]`", "", about.description);
    add(fmt::format("### `{}`", path_of(name)), "Each table of the array:", inner);
  }

  void row(std::string_view name, std::string_view type, std::string_view value, std::string_view range,
           std::string_view description) {
    rows_.append(
        fmt::format("| `{}` | {} | {} | {} | {} |\n", name, type, cell(value), cell(range), cell(description)));
  }

  void add(std::string_view heading, std::string_view description, const Page& page) {
    rest_.append(fmt::format("\n{}\n\n{}\n\n{}", heading, description, page.text()));
  }

  [[nodiscard]] std::string path_of(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
  }

  std::string path_;
  std::string rows_;
  std::string rest_;
};

}  // namespace

std::string config_reference() {
  Config defaults;
  Page page("");
  describe(page, defaults);
  return std::string(kPreamble) + page.text();
}

}  // namespace verge::node
