#include "rules/template.h"

#include "base/text.h"
#include "model/event.h"
#include "model/topic.h"

namespace verge::rules {
namespace {

constexpr std::string_view kOpen = "${";

// The '}' that ends the name which `text` begins with; one inside "quotes" belongs to the name.
size_t end_of_name(std::string_view text) {
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (text[i] == '}' && !quoted) return i;
  }
  return std::string_view::npos;
}

// Text that may have come from a device: none of it may divide or widen the topic.
bool is_one_level(std::string_view text) {
  return !text.empty() && text.find_first_of(std::string_view("/+#\0", 4)) == std::string_view::npos;
}

}  // namespace

Checked<Template> Template::parse(std::string_view text, const Resolve& resolve) {
  Template made;
  Part part;
  size_t at = 0;
  while (at < text.size()) {
    const std::string_view rest = text.substr(at);
    if (rest.starts_with("$${")) {
      part.text.append(kOpen);
      at += 3;
      continue;
    }
    if (!rest.starts_with(kOpen)) {
      part.text.push_back(rest.front());
      ++at;
      continue;
    }
    const size_t begin = at + kOpen.size();
    const size_t length = end_of_name(text.substr(begin));
    if (length == std::string_view::npos) {
      return refuse(at, "rule.template", "${ has no closing }", "a ${ that is meant as text is written $${");
    }
    const Checked<uint32_t> column = resolve(text.substr(begin, length), begin);
    if (!column) return std::unexpected(column.error());
    part.column = *column;
    made.parts_.push_back(std::move(part));
    part = {};
    at = begin + length + 1;
  }
  made.parts_.push_back(std::move(part));
  return made;
}

bool Template::append_payload(std::string& out, std::span<const Value> columns) const {
  for (const Part& part : parts_) {
    out.append(part.text);
    if (!part.column) continue;
    const size_t begin = out.size();
    append_json(out, columns[*part.column]);
    if (columns[*part.column].is_text()) {
      out.pop_back();
      out.erase(begin, 1);
    }
    if (out.size() > kEventBytesMax) return false;
  }
  return out.size() <= kEventBytesMax;
}

bool Template::append_plainly(std::string& out, std::span<const Value> columns,
                              bool (*is_good)(std::string_view value)) const {
  for (const Part& part : parts_) {
    out.append(part.text);
    if (!part.column) continue;
    const Value& value = columns[*part.column];
    if (value.is_null() || value.kind() == Value::Kind::kJson) return false;
    const size_t value_begin = out.size();
    append_plain(out, value);
    if (!is_good(std::string_view(out).substr(value_begin))) return false;
  }
  return true;
}

namespace {

// The node's own topics, but for those by which a twin is changed (docs/mqtt.md).
bool is_closed(std::string_view topic) {
  return is_reserved_topic(topic) && !(topic.starts_with("$verge/twin/") && topic.ends_with("/set"));
}

}  // namespace

bool Template::append_topic(std::string& out, std::span<const Value> columns) const {
  const size_t begin = out.size();
  if (!append_plainly(out, columns, is_one_level)) return false;
  const std::string_view topic = std::string_view(out).substr(begin);
  return is_topic_name(topic) && !is_closed(topic);
}

bool Template::append_purged(std::string& out, std::span<const Value> columns) const {
  const size_t begin = out.size();
  if (!append_plainly(out, columns, [](std::string_view value) { return !value.empty(); })) return false;
  return out.size() > begin && out.size() - begin <= kPurgeBytesMax;
}

std::string Template::example() const {
  std::string example;
  for (const Part& part : parts_) example.append(part.text).append(part.column ? "x" : "");
  return example;
}

bool Template::can_be_topic() const { return is_topic_name(example()); }

bool Template::is_reserved() const { return is_closed(example()); }

}  // namespace verge::rules
