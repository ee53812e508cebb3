// Fault: a problem in one text (the SQL or a template), before it is known which rule the text belongs to.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace verge::rules {

struct Fault {
  Error error;
  size_t offset = 0;  // in bytes, into the text that was read
};

template <class T>
using Checked = std::expected<T, Fault>;

[[nodiscard]] inline std::unexpected<Fault> refuse(size_t offset, std::string_view code, std::string what,
                                                   std::string fix = {}) {
  return std::unexpected(Fault{Error{code, std::move(what), std::move(fix)}, offset});
}

}  // namespace verge::rules
