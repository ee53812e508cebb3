// Compiles the input up to its first NUL byte as SQL; where that is a rule, evaluates it over the rest as payload.
#include <cstddef>
#include <cstdint>
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
  void purge(const rules::Rule&, rules::PurgeScope, std::string_view, bool) override {}
  void aggregate(rules::WindowInput input) override { inputs.push_back(std::move(input)); }

  std::vector<rules::WindowInput> inputs;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const size_t divide = input.find('\0');
  const Payload payload(divide == std::string_view::npos ? std::string_view{} : input.substr(divide + 1));
  auto compiled = rules::RuleSet::compile(
      {{.name = "fuzz",
        .sql = std::string(input.substr(0, divide)),
        .actions = {rules::PublishSource{.topic = "out"}, rules::UploadSource{}, rules::PurgeSource{.what = "${a}"}}}});
  if (!compiled) return 0;
  rules::Evaluator evaluator(*std::move(compiled));
  CollectingEffects effects;
  for (const std::string_view topic : {"a", "a/b", "plant/line1/oven"}) {
    evaluator.evaluate({.topic = topic, .device = "d", .payload = payload, .received = kNow}, effects);
  }
  for (const rules::WindowInput& reading : effects.inputs) evaluator.accept(reading, kNow);
  evaluator.drain(effects);
  return 0;
}
