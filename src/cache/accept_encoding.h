// Accept-Encoding: which content coding an answer is sent in (RFC 9110 sections 12.4.2 and 12.5.3).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compress/encoder.h"
#include "net/http_message.h"

namespace verge::cache {

// Of those `offered`, the one that the client likes best; of equals the one that is offered first. Nothing when the
// client has no Accept-Encoding, takes none of them, or likes the bytes as they are better.
std::optional<compress::ContentCoding> preferred_coding(std::span<const net::HttpField> request_fields,
                                                        std::span<const compress::ContentCoding> offered);

// Whether an answer with these fields gains from a coding and may be changed so (RFC 9110 section 7.7): a type that is
// text in some form, without a coding, digests of its bytes, parts of a whole, or a no-transform.
bool is_compressible(int status, std::span<const net::HttpField> fields);

// `tag` as that of the same content in the coding (RFC 9110 section 8.8.3.3): "abc" becomes "abc-br"; a weak tag stays.
std::string coded_tag(std::string_view tag, compress::ContentCoding coding);
// The fields of the same answer in the coding, but Content-Encoding. What is returned refers to `tag`.
std::vector<net::HttpField> coded_fields(std::span<const net::HttpField> fields, compress::ContentCoding coding,
                                         std::string& tag);

}  // namespace verge::cache
