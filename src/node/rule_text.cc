#include "node/rule_text.h"

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace verge::node {
namespace {

// The members of one object, in order.
class Members {
 public:
  explicit Members(std::string_view key, std::string_view value) { text(key, value); }

  Members& text(std::string_view key, std::string_view value) {
    parts_.push_back(fmt::format("\"{}\":{}", key, json_string(value)));
    return *this;
  }
  Members& text(std::string_view key, const std::optional<std::string>& value) {
    return value ? text(key, std::string_view(*value)) : *this;
  }
  Members& number(std::string_view key, uint64_t value, uint64_t otherwise) {
    if (value != otherwise) parts_.push_back(fmt::format("\"{}\":{}", key, value));
    return *this;
  }
  Members& flag(std::string_view key, bool value) {
    if (value) parts_.push_back(fmt::format("\"{}\":true", key));
    return *this;
  }
  [[nodiscard]] std::string json() const { return fmt::format("{{{}}}", fmt::join(parts_, ",")); }

 private:
  std::vector<std::string> parts_;
};

std::string_view word_of(rules::AskLevel level) {
  static constexpr std::array<std::string_view, 5> kWords = {"next", "edge", "fog", "cloud", "placed"};
  return kWords.at(static_cast<size_t>(level));
}

std::string_view word_of(rules::PurgeScope scope) {
  static constexpr std::array<std::string_view, 4> kWords = {"tag", "url", "prefix", "host"};
  return kWords.at(static_cast<size_t>(scope));
}

std::string json_of(const rules::PublishSource& publish) {
  return Members("publish", publish.topic)
      .text("payload", publish.payload)
      .number("qos", publish.qos, 0)
      .flag("retain", publish.retain)
      .json();
}

std::string json_of(const rules::UploadSource& upload) {
  return Members("upload", upload.priority ? name_of(*upload.priority) : "importance")
      .text("topic", upload.topic)
      .json();
}

std::string json_of(const rules::DropSource&) { return R"({"drop":true})"; }

std::string json_of(const rules::PurgeSource& purge) {
  Members members("purge", purge.what);
  if (purge.scope != rules::PurgeScope::kTag) members.text("by", word_of(purge.scope));
  return members.flag("soft", purge.softly).json();
}

std::string json_of(const rules::WebhookSource& webhook) {
  const rules::WebhookSource otherwise{.url = {}, .payload = {}};
  Members members("webhook", webhook.url);
  members.text("payload", webhook.payload);
  if (webhook.timeout != otherwise.timeout) members.text("timeout", std::string_view(format_duration(webhook.timeout)));
  return members.number("attempts", webhook.attempts, otherwise.attempts).json();
}

std::string json_of(const rules::CallSource& call) { return Members("worker", call.worker).json(); }

std::string json_of(const rules::AskSource& ask) {
  const rules::AskSource otherwise{.question = {}, .topic = {}, .otherwise = {}};
  Members members("ask", ask.question);
  members.text("publish", std::string_view(ask.topic)).text("otherwise", ask.otherwise);
  if (ask.level != otherwise.level) members.text("level", word_of(ask.level));
  if (ask.deadline != otherwise.deadline) members.text("deadline", std::string_view(format_duration(ask.deadline)));
  return members.number("qos", ask.qos, 0).flag("retain", ask.retain).json();
}

std::string json_of(const rules::AnswerSource&) { return R"({"answer":true})"; }

std::string json_of(const rules::InsightSource& insight) {
  return Members("insight", insight.type)
      .text("of", std::string_view(insight.of))
      .text("priority", name_of(insight.priority))
      .text("topic", insight.topic)
      .json();
}

std::string json_of(const rules::StoreSource& store) {
  return Members("store", store.by_importance ? "importance"
                          : store.is_hot      ? "hot"
                                              : "batch")
      .text("topic", store.topic)
      .json();
}

}  // namespace

std::string actions_json(const rules::RuleSource& rule) {
  std::vector<std::string> actions;
  for (const rules::ActionSource& action : rule.actions) {
    actions.push_back(std::visit([](const auto& each) { return json_of(each); }, action));
  }
  return fmt::format("[{}]", fmt::join(actions, ","));
}

std::string_view report_word(const rules::RuleSource& rule) { return rule.report ? name_of(*rule.report) : "none"; }

}  // namespace verge::node
