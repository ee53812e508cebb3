// Keys and values in words: what the API over HTTP, its commands and bindings of workers have in common.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "kv/key_value_store.h"

namespace verge::node {

// {"keys":[{"name":"a","expiration":1700000000,"metadata":{…}}],"list_complete":false,"cursor":"…"}
std::string listing_json(const kv::Listing& listing);

// A cursor is the key after which to go on, in base64. Nothing: it is none.
std::optional<std::string> read_cursor(std::string_view text);

// Of a list; empty: as many as may be. Error: kv.value, it is no whole number from 1 to kv::kListMax.
Result<size_t> list_limit_of(std::string_view text);

// When what is put now expires. `ttl` counts before `expiration`; both empty: never. Error: kv.value.
Result<int64_t> expiry_of(std::string_view ttl, std::string_view expiration, int64_t now_s);

// Error: kv.value, it is no JSON.
Result<void> check_metadata(std::string_view metadata);
// As kv::check_key(), and UTF-8.
Result<void> check_text_key(std::string_view key);

}  // namespace verge::node
