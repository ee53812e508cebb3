// Template: text with ${name} in it, divided once and filled in for each row. "$${" stands for "${".
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/fault.h"
#include "rules/value.h"

namespace verge::rules {

// As long as a URL may be.
inline constexpr size_t kPurgeBytesMax = 8192;

class Template {
 public:
  // Which column of the row the name stands for; `offset` is that of the name in the template.
  using Resolve = std::function<Checked<uint32_t>(std::string_view name, size_t offset)>;
  static Checked<Template> parse(std::string_view text, const Resolve& resolve);

  // Appends the text: values of columns as JSON, but texts without their quotes, so that they may stand inside a JSON
  // string and cannot leave it. False when the payload grows beyond kEventBytesMax.
  [[nodiscard]] bool append_payload(std::string& out, std::span<const Value> columns) const;

  // Appends the topic. False when a value is NULL, empty, an object or array, or contains '/', '+', '#' or NUL (it
  // could then address another topic than the rule's author meant), or when the whole is no valid topic name or one of
  // the node's own, $SYS/… and $verge/….
  [[nodiscard]] bool append_topic(std::string& out, std::span<const Value> columns) const;

  // Appends what a purge covers. False when a value is NULL, empty, an object or array (it would cover more, or other
  // things, than the rule's author meant), or when the whole is empty or longer than kPurgeBytesMax.
  [[nodiscard]] bool append_purged(std::string& out, std::span<const Value> columns) const;

  // Whether any row could make a valid topic name of it.
  [[nodiscard]] bool can_be_topic() const;
  // Whether every row makes a topic of the node's own of it.
  [[nodiscard]] bool is_reserved() const;

 private:
  struct Part {
    std::string text;                // comes first
    std::optional<uint32_t> column;  // none: in the last part only
  };

  // Values as plain text; false when one is NULL, an object or array, or not as `is_good` wants it.
  [[nodiscard]] bool append_plainly(std::string& out, std::span<const Value> columns,
                                    bool (*is_good)(std::string_view value)) const;
  [[nodiscard]] std::string example() const;

  std::vector<Part> parts_;
};

}  // namespace verge::rules
