#include "node/url_signature.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cache/path_pattern.h"
#include "cache/request_view.h"
#include "net/http_message.h"
#include "node/credentials.h"

namespace verge::node {
namespace {

std::string base64url(std::string_view bytes) {
  std::string text = base64(bytes);
  text.erase(std::min(text.find('='), text.size()));
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  return text;
}

int digit_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '-') return 62;
  return c == '_' ? 63 : -1;
}

// RFC 4648 section 5, without padding, and with nothing left over: a signature has one spelling.
std::optional<std::string> from_base64url(std::string_view text) {
  if (text.size() > 128 || text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const int digit = digit_of(c);
    if (digit < 0) return std::nullopt;
    bits = bits << 6U | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>(bits >> count & 0xffU));
  }
  if ((bits & ((1U << count) - 1)) != 0) return std::nullopt;
  return bytes;
}

// The parameters of one signature; nothing when one is there twice.
struct Parameters {
  std::string_view expires, key, prefix, signature;
};
std::optional<Parameters> parse_parameters(std::string_view text) {
  Parameters found;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    const size_t equals = one.find('=');
    if (equals == std::string_view::npos || !one.starts_with("verge-")) continue;
    const std::string_view name = one.substr(0, equals), value = one.substr(equals + 1);
    std::string_view* place = name == "verge-expires"     ? &found.expires
                              : name == "verge-key"       ? &found.key
                              : name == "verge-prefix"    ? &found.prefix
                              : name == "verge-signature" ? &found.signature
                                                          : nullptr;
    if (place == nullptr) continue;
    if (!place->empty()) return std::nullopt;
    *place = value;
  }
  return found;
}

std::string_view cookie(std::span<const net::HttpField> fields) {
  for (const net::HttpField& field : fields) {
    if (!net::equals_ignoring_case(field.name, "cookie")) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::string_view pair = rest.substr(0, rest.find(';'));
      rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
      const std::string_view plain = net::trim_blanks(pair);
      const size_t equals = plain.find('=');
      if (equals != std::string_view::npos && plain.substr(0, equals) == cache::SignatureCheck::kCookie) {
        return plain.substr(equals + 1);
      }
    }
  }
  return {};
}

bool is_plain(std::string_view path) {
  std::string scratch;
  return path.starts_with('/') && cache::plain_path(path, scratch) == path &&
         std::ranges::all_of(path, [](char c) { return c > 0x1f && c != 0x7f; });
}

}  // namespace

std::string canonical_form(const SignedScope& scope, std::string_view key_id) {
  return fmt::format("verge-signed-1\n{}\n{}\n{}\n{}\n{}\n{}", key_id, scope.expires_s,
                     scope.is_prefix ? "prefix" : "path", scope.host, scope.path, scope.query);
}

Result<std::string> signature_parameters(const SignedScope& scope, std::string_view key_id,
                                         const crypto::SigningKey& key) {
  const Result<std::string> signature = key.sign(canonical_form(scope, key_id));
  if (!signature) return std::unexpected(signature.error());
  std::string text = fmt::format("verge-expires={}&verge-key={}", scope.expires_s, key_id);
  if (scope.is_prefix) text.append("&verge-prefix=").append(net::percent_encode(scope.path));
  return text.append("&verge-signature=").append(base64url(*signature));
}

std::string_view UrlSignatures::refusal(std::string_view host, std::string_view path, std::string_view query,
                                        std::span<const net::HttpField> fields, int64_t now_s) const {
  const bool is_in_url = query.contains("verge-signature=");
  const std::string_view text = is_in_url ? query : cookie(fields);
  if (text.empty()) return "the request is not signed";
  const std::optional<Parameters> given = parse_parameters(text);
  if (!given || given->signature.empty()) return "the request is not signed as it should be";
  SignedScope scope{.host = std::string(host), .is_prefix = !given->prefix.empty(), .path = {}, .query = {}};
  const auto [end, problem] =
      std::from_chars(given->expires.data(), given->expires.data() + given->expires.size(), scope.expires_s);
  if (problem != std::errc{} || end != given->expires.data() + given->expires.size() ||
      std::to_string(scope.expires_s) != given->expires) {
    return "the request is not signed as it should be";
  }
  if (scope.is_prefix) {
    scope.path = net::percent_decode(given->prefix).value_or("");
    std::string scratch;
    if (!is_plain(scope.path) || !cache::plain_path(path, scratch).starts_with(scope.path)) {
      return "the signature is for other paths";
    }
  } else if (!is_in_url) {
    return "the cookie is for no prefix";
  } else {
    scope.path = path;
    scope.query = cache::query_without(query, std::array{std::string(kParameters)});
  }
  const auto key = std::ranges::find(keys_, given->key, &std::pair<std::string, crypto::SigningKey>::first);
  if (key == keys_.end()) return "the key of the signature is not known here";
  const std::optional<std::string> signature = from_base64url(given->signature);
  if (!signature || !key->second.verify(canonical_form(scope, given->key), *signature)) {
    return "the signature is not one of this request";
  }
  // Last: nobody learns anything from what was never signed.
  return now_s > scope.expires_s ? "the signature has expired" : "";
}

Result<crypto::SigningKey> read_signing_key(const std::string& path) {
  const Result<std::string> text = read_secret({.kind = SecretSource::Kind::kFile, .name = path});
  if (!text) return std::unexpected(text.error());
  const std::optional<crypto::SigningKey> key = crypto::SigningKey::parse(*text);
  if (!key) {
    return fail("config.secret", fmt::format("the first line of {} is no signing key", path),
                "make one with: verge cache sign-key --out FILE");
  }
  struct stat about{};
  const bool is_public = key->kind() == crypto::SigningKey::Kind::kEd25519Public;
  if (!is_public && ::stat(path.c_str(), &about) == 0 && (about.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
    return fail("config.secret",
                fmt::format("the key in {} is open to others (mode {:04o})", path, about.st_mode & 07777U),
                fmt::format("chmod 600 {}; if somebody else may have read it, make another", path));
  }
  return *key;
}

}  // namespace verge::node
