// value_of(): what a test needs to be there. Where it is not, the test fails with the place of the call and ends.
#pragma once

#include <optional>
#include <source_location>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace verge::tests {

template <class T>
T value_of(std::optional<T> optional, const std::source_location place = std::source_location::current()) {
  if (!optional) throw std::runtime_error(fmt::format("{}:{}: nothing is there", place.file_name(), place.line()));
  return *std::move(optional);
}

}  // namespace verge::tests
