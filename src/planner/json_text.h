// JSON as it is written, value by value. Numbers that are not finite become null: nothing that reads it sees a NaN.
#pragma once

#include <cmath>
#include <concepts>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::planner {

class JsonText {
 public:
  JsonText& open(char bracket) {
    separate();
    text_.push_back(bracket);
    is_first_ = true;
    return *this;
  }
  JsonText& close(char bracket) {
    text_.push_back(bracket);
    is_first_ = false;
    return *this;
  }
  JsonText& key(std::string_view name) {
    separate();
    append_json_string(text_, name);
    text_.push_back(':');
    is_first_ = true;
    return *this;
  }
  JsonText& value(double number) {
    separate();
    if (std::isfinite(number)) {
      fmt::format_to(std::back_inserter(text_), "{:.10g}", number);
    } else {
      text_.append("null");
    }
    return *this;
  }
  template <std::integral Integer>
    requires(!std::same_as<Integer, bool>)
  JsonText& value(Integer number) {
    separate();
    fmt::format_to(std::back_inserter(text_), "{}", number);
    return *this;
  }
  JsonText& value(bool yes) {
    separate();
    text_.append(yes ? "true" : "false");
    return *this;
  }
  JsonText& value(std::string_view text) {
    separate();
    append_json_string(text_, text);
    return *this;
  }
  JsonText& value(const std::string& text) { return value(std::string_view(text)); }
  JsonText& value(const char* text) { return value(std::string_view(text)); }
  template <class T>
  JsonText& member(std::string_view name, const T& content) {
    return key(name).value(content);
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void separate() {
    if (!is_first_) text_.push_back(',');
    is_first_ = false;
  }
  std::string text_;
  bool is_first_ = true;
};

}  // namespace verge::planner
