// The effective configuration as TOML.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/assert.h"
#include "node/config.h"
#include "node/config_difference.h"
#include "node/config_schema.h"

namespace verge::node {
namespace {

// A table on one line: { a = 1, b = 2 }.
class InlinePrinter final : public Visitor {
 public:
  [[nodiscard]] std::string text() const { return fmt::format("{{ {} }}", fmt::join(members_, ", ")); }
  void refuse(std::string_view, Error) override {}

  static std::string array(Sequence& sequence) {
    if (sequence.size() == 0) return "[]";
    std::string text = "[";
    for (size_t i = 0; i < sequence.size(); ++i) {
      InlinePrinter element;
      sequence.describe_element(i, element);
      text.append(fmt::format("\n  {},", element.text()));
    }
    return text.append("\n]");
  }

 private:
  void visit_key(std::string_view name, Field& field, const About&) override { add(name, field.write()); }
  void visit_section(std::string_view name, const About&, const Members& members) override {
    InlinePrinter inner;
    members(inner);
    add(name, inner.text());
  }
  void visit_sequence(std::string_view name, Sequence& sequence, const About&) override { add(name, array(sequence)); }

  void add(std::string_view name, const std::string& value) {
    if (!value.empty()) members_.push_back(fmt::format("{} = {}", name, value));
  }

  std::vector<std::string> members_;
};

class Printer final : public Visitor {
 public:
  // `path`: of the table that is described; empty for the document.
  Printer(std::string& out, std::string path, Descriptions descriptions)
      : out_(out), path_(std::move(path)), descriptions_(descriptions) {}
  void refuse(std::string_view, Error) override {}

 private:
  void visit_key(std::string_view name, Field& field, const About& about) override {
    write(name, field.write(), about.description);
  }

  void visit_section(std::string_view name, const About& about, const Members& members) override {
    separate();
    comment(about.description);
    out_.append(fmt::format("[{}]\n", path_of(name)));
    Printer inner(out_, path_of(name), descriptions_);
    members(inner);
  }

  void visit_sequence(std::string_view name, Sequence& sequence, const About& about) override {
    if (!path_.empty()) return write(name, InlinePrinter::array(sequence), about.description);
    for (size_t i = 0; i < sequence.size(); ++i) {
      separate();
      // The first element explains them all.
      const Descriptions descriptions = i == 0 ? descriptions_ : Descriptions::kOmit;
      if (i == 0) comment(about.description);
      out_.append(fmt::format("[[{}]]\n", name));
      Printer inner(out_, std::string(name), descriptions);
      sequence.describe_element(i, inner);
    }
  }

  void write(std::string_view name, const std::string& value, std::string_view description) {
    if (value.empty()) return;
    comment(description);
    out_.append(fmt::format("{} = {}\n", name, value));
  }

  void comment(std::string_view text) {
    if (descriptions_ == Descriptions::kAsComments) out_.append(fmt::format("# {}\n", text));
  }

  void separate() {
    if (!out_.empty()) out_.push_back('\n');
  }

  [[nodiscard]] std::string path_of(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
  }

  std::string& out_;
  std::string path_;
  Descriptions descriptions_;
};

// Every key with its value.
class Lister final : public Visitor {
 public:
  using Values = std::vector<std::pair<std::string, std::string>>;

  Lister(Values& out, std::string path) : out_(out), path_(std::move(path)) {}
  void refuse(std::string_view, Error) override {}

 private:
  void visit_key(std::string_view name, Field& field, const About&) override {
    out_.emplace_back(path_of(name), field.write());
  }
  void visit_section(std::string_view name, const About&, const Members& members) override {
    Lister inner(out_, path_of(name));
    members(inner);
  }
  void visit_sequence(std::string_view name, Sequence& sequence, const About&) override {
    out_.emplace_back(path_of(name), InlinePrinter::array(sequence));
  }

  [[nodiscard]] std::string path_of(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
  }

  Values& out_;
  std::string path_;
};

Lister::Values values_of(Config config) {  // a copy: visitors may write
  Lister::Values values;
  Lister lister(values, "");
  describe(lister, config);
  return values;
}

}  // namespace

std::string print_config(const Config& config, Descriptions descriptions) {
  Config copy = config;  // visitors may write
  std::string out;
  Printer printer(out, "", descriptions);
  describe(printer, copy);
  return out;
}

bool same_settings(const Config& a, const Config& b) { return print_config(a) == print_config(b); }

std::vector<std::string> different_keys(const Config& a, const Config& b) {
  const Lister::Values of_a = values_of(a);
  const Lister::Values of_b = values_of(b);
  VERGE_ASSERT(of_a.size() == of_b.size());  // a schema has the same keys for all
  std::vector<std::string> different;
  for (size_t i = 0; i < of_a.size(); ++i) {
    if (of_a[i].second != of_b[i].second) different.push_back(of_a[i].first);
  }
  return different;
}

}  // namespace verge::node
