// Errors are values. An Error says what went wrong and where, and what to do about it; its code is stable, so that
// people can search for it and programs can compare it. Every code used in the tree is listed in docs/errors.md.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace verge {

struct Error {
  std::string_view code;  // a literal such as "config.unknown-key": stable, dotted, lower case
  std::string what;       // what is wrong and where, without a trailing full stop
  std::string fix;        // what to do; may be empty where `what` says it already

  // "what: fix [code]" on one line.
  [[nodiscard]] std::string line() const {
    std::string text = what;
    if (!fix.empty()) text.append("; ").append(fix);
    return text.append(" [").append(code).append("]");
  }
};

template <class T>
using Result = std::expected<T, Error>;

// return fail("spool.full", "the spool at /x is full", "raise spool.bytes_max");
[[nodiscard]] inline std::unexpected<Error> fail(std::string_view code, std::string what, std::string fix = {}) {
  return std::unexpected(Error{code, std::move(what), std::move(fix)});
}

}  // namespace verge
