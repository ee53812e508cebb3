// The kinds of values that keys take. A kind says what it expects, reads it from a TOML value, and writes it as TOML.
//
// A kind has: Type, what it reads into; kSpelling, how --set reads its text; type() and range() for the reference page;
// read(), whose errors begin with a verb ("must be ...") to follow the key's name; write(), the inverse of read().
#pragma once

#include <concepts>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/priority.h"
#include "node/config.h"
#include "node/config_document.h"
#include "spool/stream_options.h"

namespace verge::node {

template <class T>
using Reading = std::expected<T, Fault>;

// How the text after "--set key=" is read.
enum class Spelling {
  kText,  // as it stands; between TOML quotes, as a TOML string
  kToml,  // as a TOML value, else as text
  kList,  // in brackets as a TOML array, else as text
};

Value value_from_text(std::string_view text, Spelling spelling, uint32_t source);

std::string toml_string(std::string_view text);

struct Text {
  using Type = std::string;
  static constexpr Spelling kSpelling = Spelling::kText;
  bool may_be_empty = true;
  [[nodiscard]] std::string type() const { return "string"; }
  [[nodiscard]] std::string range() const { return may_be_empty ? "" : "not empty"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& text) const;
};

struct NodeName {
  using Type = std::string;
  static constexpr Spelling kSpelling = Spelling::kText;
  [[nodiscard]] std::string type() const { return "string"; }
  [[nodiscard]] std::string range() const { return "1..63 of A-Z a-z 0-9 . _ -"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& name) const;
};

// An array of such names, or one of them.
struct NodeNames {
  using Type = std::vector<std::string>;
  static constexpr size_t kMost = 1000;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "string or array of strings"; }
  [[nodiscard]] std::string range() const { return "names as node.name, 1000 at most"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& names) const;
};

// An address or an array of them; "" and [] are none.
struct Listen {
  using Type = std::vector<std::string>;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "string or array of strings"; }
  [[nodiscard]] std::string range() const { return "host:port or [v6]:port; \"\" or [] is off"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& addresses) const;
};

struct ParentUrl {
  using Type = std::string;
  static constexpr Spelling kSpelling = Spelling::kText;
  [[nodiscard]] std::string type() const { return "string"; }
  [[nodiscard]] std::string range() const { return "http://host:port or https://host:port"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& url) const;
};

// A text or an array of them.
struct Texts {
  using Type = std::vector<std::string>;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "string or array of strings"; }
  [[nodiscard]] std::string range() const { return ""; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& texts) const;
};

// The host names of a site.
struct HostNames {
  using Type = std::vector<std::string>;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "string or array of strings"; }
  [[nodiscard]] std::string range() const { return "example.com, *.example.com, or * for all others"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& hosts) const;
};

// Content codings of HTTP, the best liked first.
struct Codings {
  using Type = std::vector<compress::ContentCoding>;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "string or array of strings"; }
  [[nodiscard]] std::string range() const { return R"("br", "zstd", "gzip"; [] is none)"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& codings) const;
};

// Where a site's content comes from: URLs, or tables of URL and weight.
struct Origins {
  using Type = std::vector<OriginConfig>;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "string, or array of strings and tables"; }
  [[nodiscard]] std::string range() const {
    return "http://host[:port], or { url = …, weight = 0..1000, http2 = true }";
  }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& origins) const;
};

// Ways to the parent: tables of URL and local end, or one of these alone.
struct ParentPaths {
  using Type = std::vector<PathConfig>;
  static constexpr size_t kMost = 8;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "array of tables and strings"; }
  [[nodiscard]] std::string range() const { return R"({ url = …, bind = "IP address or interface" }, or one of them)"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& paths) const;
};

// A NATS server's URL or an array of them.
struct NatsUrls {
  using Type = std::vector<std::string>;
  static constexpr Spelling kSpelling = Spelling::kList;
  [[nodiscard]] std::string type() const { return "string or array of strings"; }
  [[nodiscard]] std::string range() const { return "nats://host:port"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& urls) const;
};

// The name of a JetStream stream, which is also the first word of its subjects.
struct StreamName {
  using Type = std::string;
  static constexpr Spelling kSpelling = Spelling::kText;
  [[nodiscard]] std::string type() const { return "string"; }
  [[nodiscard]] std::string range() const { return "1..32 of A-Z a-z 0-9 _ -"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& name) const { return toml_string(name); }
};

// Where a secret is. Errors never show what stands in its place: it may be the secret.
struct Secret {
  using Type = SecretSource;
  static constexpr Spelling kSpelling = Spelling::kToml;
  static constexpr bool kSecret = true;
  [[nodiscard]] std::string type() const { return "secret"; }
  [[nodiscard]] std::string range() const { return R"({ file = "path" } or { env = "NAME" })"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& secret) const;
};

struct Secrets {
  using Type = std::vector<SecretSource>;
  static constexpr Spelling kSpelling = Spelling::kToml;
  static constexpr bool kSecret = true;
  [[nodiscard]] std::string type() const { return "array of secrets"; }
  [[nodiscard]] std::string range() const { return R"([{ file = "path" }, { env = "NAME" }])"; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(const Type& secrets) const;
};

struct Flag {
  using Type = bool;
  static constexpr Spelling kSpelling = Spelling::kToml;
  [[nodiscard]] std::string type() const { return "boolean"; }
  [[nodiscard]] std::string range() const { return ""; }
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(bool flag) const { return flag ? "true" : "false"; }
};

struct Count {
  using Type = uint64_t;
  static constexpr Spelling kSpelling = Spelling::kToml;
  uint64_t min = 0;
  uint64_t max = 0;
  [[nodiscard]] std::string type() const { return "integer"; }
  [[nodiscard]] std::string range() const;
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(uint64_t count) const;
};

// Bytes, at most 1 PiB.
struct Size {
  using Type = uint64_t;
  static constexpr Spelling kSpelling = Spelling::kToml;
  uint64_t min = 0;
  uint64_t max = 0;
  [[nodiscard]] std::string type() const { return "size"; }
  [[nodiscard]] std::string range() const;
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(uint64_t bytes) const;
};

struct Time {
  using Type = Duration;
  static constexpr Spelling kSpelling = Spelling::kText;
  Duration min{0};
  Duration max{0};
  [[nodiscard]] std::string type() const { return "duration"; }
  [[nodiscard]] std::string range() const;
  [[nodiscard]] Reading<Type> read(const Value& value) const;
  [[nodiscard]] std::string write(Duration duration) const;
};

// One of some words; the index of the word.
Reading<size_t> read_word(const Value& value, const std::vector<std::string>& words);
std::string words_range(const std::vector<std::string>& words);

template <class T>
struct Choice {
  using Type = T;
  static constexpr Spelling kSpelling = Spelling::kText;
  std::vector<std::pair<std::string, T>> choices;

  [[nodiscard]] std::string type() const { return "string"; }
  [[nodiscard]] std::string range() const { return words_range(words()); }
  [[nodiscard]] Reading<T> read(const Value& value) const {
    Reading<size_t> index = read_word(value, words());
    if (!index) return std::unexpected(std::move(index.error()));
    return choices[*index].second;
  }
  [[nodiscard]] std::string write(const T& chosen) const {
    for (const auto& [word, choice] : choices) {
      if (choice == chosen) return toml_string(word);
    }
    return "\"\"";
  }

 private:
  [[nodiscard]] std::vector<std::string> words() const {
    std::vector<std::string> words;
    for (const auto& [word, choice] : choices) words.push_back(word);
    return words;
  }
};

Choice<Tier> tier_choice();
Choice<spool::WhenFull> when_full_choice();
Choice<Priority> priority_choice();
Choice<std::optional<Priority>> priority_or_none_choice();

}  // namespace verge::node
