// The shape of the configuration, for those who walk it: the reader, --set, the printer and the reference page.
//
// describe(visitor, config) calls the visitor once for each key, bound to its member in `config`, in the order in which
// keys are printed. Sections and sequences of tables are entered by visitors of their own, which the visitor provides.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/config.h"
#include "node/config_kinds.h"

namespace verge::node {

struct About {
  std::string_view description;        // one sentence; printed as a comment and in the reference
  std::string_view default_text = {};  // in words, where the member's own default does not say it
  bool required = false;
};

// A member of the configuration, seen through its kind.
class Field {
 public:
  virtual ~Field() = default;
  // Sets the member, or says why not.
  virtual std::optional<Fault> read(const Value& value) = 0;
  // The key is not there: an optional member is emptied, any other keeps its default.
  virtual void read_absence() = 0;
  // As TOML; empty when an optional member is.
  [[nodiscard]] virtual std::string write() const = 0;
  [[nodiscard]] virtual Spelling spelling() const = 0;
  // Not to be given where other users of the machine see it.
  [[nodiscard]] virtual bool is_secret() const = 0;
  [[nodiscard]] virtual std::string type() const = 0;
  [[nodiscard]] virtual std::string range() const = 0;
};

template <class Kind, class Member>
class FieldOf final : public Field {
 public:
  static constexpr bool kOptional = std::is_same_v<Member, std::optional<typename Kind::Type>>;

  FieldOf(Kind kind, Member& member) : kind_(std::move(kind)), member_(member) {}

  std::optional<Fault> read(const Value& value) override {
    Reading<typename Kind::Type> reading = kind_.read(value);
    if (!reading) return std::move(reading.error());
    member_ = *std::move(reading);
    return std::nullopt;
  }
  void read_absence() override {
    if constexpr (kOptional) member_.reset();
  }
  [[nodiscard]] std::string write() const override {
    if constexpr (kOptional) {
      return member_ ? kind_.write(*member_) : std::string();
    } else {
      return kind_.write(member_);
    }
  }
  [[nodiscard]] Spelling spelling() const override { return Kind::kSpelling; }
  [[nodiscard]] bool is_secret() const override {
    return requires { Kind::kSecret; };
  }
  [[nodiscard]] std::string type() const override { return kind_.type(); }
  [[nodiscard]] std::string range() const override { return kind_.range(); }

 private:
  Kind kind_;
  Member& member_;
};

class Visitor;
void describe(Visitor& visitor, SiteRuleConfig& rule);
void describe(Visitor& visitor, WorkersConfig& workers);
void describe(Visitor& visitor, WorkerConfig& worker);
void describe(Visitor& visitor, KvConfig& kv);
void describe(Visitor& visitor, QueueConfig& queue);
void describe(Visitor& visitor, RulesConfig& rules);
void describe(Visitor& visitor, TableConfig& table);
void describe(Visitor& visitor, PayloadConfig& payload);
void describe(Visitor& visitor, rules::ActionSource& action);
void describe(Visitor& visitor, rules::RuleSource& rule);

// An array of tables.
class Sequence {
 public:
  virtual ~Sequence() = default;
  [[nodiscard]] virtual size_t size() const = 0;
  // Elements as new.
  virtual void assign(size_t count) = 0;
  virtual void describe_element(size_t index, Visitor& visitor) = 0;
  // An element that belongs to nothing.
  virtual void describe_specimen(Visitor& visitor) const = 0;
};

class Visitor {
 public:
  virtual ~Visitor() = default;

  template <class Kind, class Member>
  void key(std::string_view name, Member& member, Kind kind, const About& about) {
    FieldOf<Kind, Member> field(std::move(kind), member);
    visit_key(name, field, about);
  }
  template <class Section>
  void section(std::string_view name, Section& members, const About& about) {
    visit_section(name, about, [&members](Visitor& visitor) { describe(visitor, members); });
  }
  template <class Element>
  void sequence(std::string_view name, std::vector<Element>& elements, const About& about);

  // The values just described do not go together. `key`: the one to point at.
  virtual void refuse(std::string_view key, Error error) = 0;

 protected:
  using Members = std::function<void(Visitor&)>;
  virtual void visit_key(std::string_view name, Field& field, const About& about) = 0;
  virtual void visit_section(std::string_view name, const About& about, const Members& members) = 0;
  virtual void visit_sequence(std::string_view name, Sequence& sequence, const About& about) = 0;
};

template <class Element>
class SequenceOf final : public Sequence {
 public:
  explicit SequenceOf(std::vector<Element>& elements) : elements_(elements) {}
  [[nodiscard]] size_t size() const override { return elements_.size(); }
  void assign(size_t count) override { elements_.assign(count, Element()); }
  void describe_element(size_t index, Visitor& visitor) override { describe(visitor, elements_[index]); }
  void describe_specimen(Visitor& visitor) const override {
    Element element;
    describe(visitor, element);
  }

 private:
  std::vector<Element>& elements_;
};

template <class Element>
void Visitor::sequence(std::string_view name, std::vector<Element>& elements, const About& about) {
  SequenceOf<Element> sequence(elements);
  visit_sequence(name, sequence, about);
}

void describe(Visitor& visitor, Config& config);
// The keys that sites and their rules share.
void describe_policy(Visitor& visitor, PathPolicyConfig& policy, bool is_rule);

}  // namespace verge::node
