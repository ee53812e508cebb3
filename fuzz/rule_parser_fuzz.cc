// Compiles the input up to its first NUL byte as SQL; where that is a rule, evaluates it over the rest as payload,
// twice, lets time pass, writes down what it remembers and reads it again, and reads the payload as if it were such a
// state.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/evaluator.h"

namespace {

using namespace verge;

constexpr WallTime kNow{1'700'000'000'000'000};

class CollectingEffects final : public rules::Effects {
 public:
  void publish(const rules::Rule&, std::string_view, std::string_view, Payload, uint8_t, bool) override {}
  void upload(const rules::Rule&, EventKind, Priority, std::string_view, std::string_view, Payload, WallTime) override {
  }
  void drop(const rules::Rule&) override {}
  void webhook(const rules::Rule&, const rules::WebhookAction&, Payload, bool) override {}
  void purge(const rules::Rule&, rules::PurgeScope, std::string_view, bool) override {}
  void hand_over(rules::RuleInput input) override { inputs.push_back(std::move(input)); }

  std::vector<rules::RuleInput> inputs;
};

std::shared_ptr<const rules::Tables> tables() {
  static const auto kTables = [] {
    auto made = std::make_shared<rules::Tables>();
    made->emplace("t", *rules::Table::read({.name = "t", .key = "id", .rows = "id,v\na,1\nb,x\n"}));
    return made;
  }();
  return kTables;
}

void feed(rules::Evaluator& evaluator, CollectingEffects& effects, const Payload& payload, WallTime now) {
  for (const std::string_view topic : {"a", "a/b", "plant/line1/oven"}) {
    evaluator.evaluate({.topic = topic,
                        .device = "d",
                        .payload = payload,
                        .received = now,
                        .source = "d",
                        .sequence = static_cast<uint64_t>(now.microseconds + topic.size())},
                       effects);
  }
  for (const rules::RuleInput& input : std::exchange(effects.inputs, {})) {
    std::string bytes;
    rules::append_input(bytes, input);
    ByteReader reader(bytes);
    const std::optional<rules::RuleInput> read = rules::read_input(reader);
    if (!read || !reader.empty()) std::abort();
    evaluator.accept(*read, now, effects);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const size_t divide = input.find('\0');
  const Payload payload(divide == std::string_view::npos ? std::string_view{} : input.substr(divide + 1));
  auto compiled = rules::RuleSet::compile(
      {{.name = "fuzz",
        .sql = std::string(input.substr(0, divide)),
        .actions = {rules::PublishSource{.topic = "out"}, rules::UploadSource{}, rules::PurgeSource{.what = "${a}"},
                    rules::AskSource{.question = "q", .topic = "out/${a}", .otherwise = "${b}"},
                    rules::StoreSource{.by_importance = true}}}},
      tables());
  if (!compiled) return 0;
  rules::MemoryBudget budget;
  rules::Evaluator evaluator(*compiled, budget);
  CollectingEffects effects;
  feed(evaluator, effects, payload, kNow);
  evaluator.advance({kNow.microseconds + 1'500'000}, effects);
  feed(evaluator, effects, payload, {kNow.microseconds + 1'500'000});

  const auto everything = [](std::string_view) { return true; };
  if (rules::Memory* memory = evaluator.memory(0)) {
    std::string state;
    memory->append_to(state);
    rules::Evaluator again(*compiled, budget);
    ByteReader reader(state);
    if (!again.memory(0)->read(reader, everything) || !reader.empty()) std::abort();
    again.drain(effects);
    rules::Evaluator hostile(*compiled, budget);
    ByteReader anything(payload.view());
    static_cast<void>(hostile.memory(0)->read(anything, everything));
    feed(hostile, effects, payload, kNow);
    hostile.drain(effects);
  }
  evaluator.drain(effects);

  // The text as what an insight is of.
  const std::string text(input.substr(0, divide));
  auto insight = rules::RuleSet::compile(
      {{.name = "i", .sql = "SELECT * FROM '#'", .actions = {rules::InsightSource{.type = "t", .of = text}}}},
      tables());
  if (insight) {
    rules::Evaluator telling(*insight, budget);
    feed(telling, effects, payload, kNow);
  }
  return 0;
}
