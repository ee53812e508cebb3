// DurabilityClasses: what an acknowledgement has to wait for, by topic ([[durability]]). For topics that none is for,
// it waits for what rules upload to be durable here, and what they do not upload is not kept.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "model/priority.h"

namespace verge::node {

struct DurabilityClass {
  enum class Level : uint8_t {
    kNone,    // nothing
    kLocal,   // the message is durable on this disk; it is kept whether a rule uploads it or not
    kParent,  // likewise, and the parent has it
  };
  enum class AtBound : uint8_t {
    kAcknowledge,  // what was reached: it is durable here, and follows
    kRefuse,       // the sender sends again; the record stays, and is recognised where its sender numbers it
  };

  std::vector<std::string> topics;  // filters
  Level level = Level::kLocal;
  Priority priority = Priority::kNormal;  // of a message that no rule uploads
  Duration wait = std::chrono::seconds(10);
  AtBound at_bound = AtBound::kAcknowledge;
  bool operator==(const DurabilityClass&) const = default;
};

class DurabilityClasses {
 public:
  DurabilityClasses() = default;
  explicit DurabilityClasses(std::vector<DurabilityClass> classes) : classes_(std::move(classes)) {}

  // The first that is for the topic; null: none is.
  [[nodiscard]] const DurabilityClass* of(std::string_view topic) const;

 private:
  std::vector<DurabilityClass> classes_;
};

}  // namespace verge::node
