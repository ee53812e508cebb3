// AccessRules: who may publish and subscribe to what. Rules stand in an order; the first that speaks of the client, of
// what it does and of the topic decides; what no rule speaks of is refused. Without any rules everything is allowed.
//
// In a pattern %c stands for the client id and %u for the user name. One that is empty, or holds '/', '+' or '#', is
// never put there: the rule does not speak of that client. (Otherwise a client named "#" would be anybody.)
//
// A subscription may be wider than what is allowed of it. It is refused where no rule allows the whole of it. Where
// one does, and one before that refuses a part, it is granted, and each message is looked at as it is delivered: rules
// speak of topics in the end, and "everything but" is what people write.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace verge::mqtt {

struct Identity {
  std::string_view user;  // empty: it gave none
  std::string_view client_id;
};

struct AccessRule {
  bool allow = true;
  std::vector<std::string> users;  // none: everybody; "": who gave no name
  bool publish = true;
  bool subscribe = true;
  std::vector<std::string> topics;  // filters, with %c and %u
  bool says_why = true;             // a SUBSCRIBE that is refused by it is told that it is not authorized
};

class AccessRules {
 public:
  AccessRules() = default;
  explicit AccessRules(std::vector<AccessRule> rules) : rules_(std::move(rules)) {}

  [[nodiscard]] bool empty() const { return rules_.empty(); }
  [[nodiscard]] bool may_publish(const Identity& who, std::string_view topic) const {
    return rules_.empty() || allows(who, topic, &AccessRule::publish);
  }
  // Whether a message of a subscription that was granted in part may go to the client.
  [[nodiscard]] bool may_receive(const Identity& who, std::string_view topic) const {
    return rules_.empty() || allows(who, topic, &AccessRule::subscribe);
  }
  enum class Grant { kNone, kNoneUnsaid, kWhole, kInPart };
  // `filter` is valid, and not that of a shared subscription but what that stands for.
  [[nodiscard]] Grant may_subscribe(const Identity& who, std::string_view filter) const;

 private:
  [[nodiscard]] bool allows(const Identity& who, std::string_view topic, bool AccessRule::* action) const;

  std::vector<AccessRule> rules_;
};

// Whether it is a topic filter once names stand for %c and %u.
bool is_access_pattern(std::string_view pattern);
// What a pattern means for a client; nothing: it does not speak of it.
std::optional<std::string> expand_pattern(std::string_view pattern, const Identity& who);
// Both are filters. Whether all topics of `filter` are of `pattern`, and whether there may be one that is of both.
bool covers(std::string_view pattern, std::string_view filter);
bool overlaps(std::string_view pattern, std::string_view filter);

}  // namespace verge::mqtt
