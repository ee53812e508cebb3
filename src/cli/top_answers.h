// TopAnswers: what a node said that `verge top` shows, looked through once: it is there as a whole, or not at all.
#pragma once

#include <array>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include <simdjson.h>

#include "base/error.h"
#include "cli/admin_client.h"

namespace verge::cli {

class TopAnswers {
 public:
  using Element = simdjson::dom::element;
  enum Part : size_t { kNow, kTree, kInsights, kGoals, kRequests, kWorkers, kParts };
  using Asked = std::array<Result<AdminAnswer>, kParts>;

  // Where each part is read, and what it is called in json().
  static constexpr std::array<std::string_view, kParts> kPaths = {"/v1/now",   "/v1/tree",     "/v1/insights",
                                                                  "/v1/goals", "/v1/requests", "/v1/workers"};

  // What comes instead is a line for people: what the node refused with, in its own words, or what is wrong with what
  // answers there.
  static std::expected<std::unique_ptr<TopAnswers>, std::string> read(const Asked& asked);

  // Good as long as this is.
  [[nodiscard]] const Element& operator[](Part part) const { return elements_[part]; }
  // One object of all parts.
  [[nodiscard]] std::string json() const;

 private:
  TopAnswers() = default;
  [[nodiscard]] bool is_sound() const;

  std::array<simdjson::dom::parser, kParts> parsers_;
  std::array<Element, kParts> elements_;
};

}  // namespace verge::cli
