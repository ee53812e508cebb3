// What a site asks about signed requests; who has the keys answers. See docs/formats/signed-urls.md.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "net/http_message.h"

namespace verge::cache {

class SignatureCheck {
 public:
  // The parameters that make a signature, as query_without() takes them, and the cookie.
  static constexpr std::string_view kParameters = "verge-*";
  static constexpr std::string_view kCookie = "verge-signed";

  virtual ~SignatureCheck() = default;
  // Whether the request may have what it asks for; empty: it may. Else why not, a literal. `host`: plain; `path`,
  // `query`: as they were sent. From any thread.
  [[nodiscard]] virtual std::string_view refusal(std::string_view host, std::string_view path, std::string_view query,
                                                 std::span<const net::HttpField> fields, int64_t now_s) const = 0;
};

}  // namespace verge::cache
