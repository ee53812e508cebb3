#include "node/config_kinds.h"

#include <algorithm>
#include <array>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "net/local_end.h"
#include "node/config_address.h"

namespace verge::node {
namespace {

std::unexpected<Fault> wrong(std::string_view code, const Value& value, std::string_view expected,
                             std::string fix = {}) {
  return std::unexpected(
      Fault{{code, fmt::format("must be {}, not {}", expected, describe_value(value)), std::move(fix)}, value.place});
}

constexpr std::string_view kType = "config.type";
constexpr std::string_view kRange = "config.range";
constexpr std::string_view kValue = "config.value";

// Checks a number against its bounds and words the refusal.
template <class T>
Reading<T> within(T number, T min, T max, const Value& value, std::string_view noun, const std::string& range) {
  if (number < min || number > max) return wrong(kRange, value, fmt::format("{} {}", noun, range));
  return number;
}

bool is_name_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' || c == '-';
}

Reading<std::string> read_address(const Value& value) {
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr) return wrong(kType, value, R"(an address such as "127.0.0.1:1883")");
  if (Result<HostAndPort> parsed = parse_listen_address(*text); !parsed) {
    Error error = parsed.error();
    error.what = "must be an address: " + error.what;
    return std::unexpected(Fault{std::move(error), value.place});
  }
  return *text;
}

}  // namespace

Value value_from_text(std::string_view text, Spelling spelling, uint32_t source) {
  const std::string_view trimmed = trim(text);
  const auto begins_with = [&](std::string_view any) {
    return !trimmed.empty() && any.find(trimmed.front()) != std::string_view::npos;
  };
  const bool toml =
      spelling == Spelling::kToml || begins_with("\"'") || (spelling == Spelling::kList && begins_with("["));
  if (toml) {
    if (std::optional<Value> value = parse_value(text, source)) {
      const bool is_text = std::holds_alternative<std::string>(value->content);
      if (spelling != Spelling::kText || is_text) return *std::move(value);
    }
  }
  return {std::string(text), {source, 0, 0}};
}

std::string toml_string(std::string_view text) {
  const bool multi_line = text.find('\n') != std::string_view::npos;
  std::string out = multi_line ? "\"\"\"\n" : "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.append({'\\', c});
    } else if (c == '\n') {
      out.append(multi_line ? "\n" : "\\n");
    } else if (c == '\t') {
      out.append("\\t");
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out.append(fmt::format("\\u{:04X}", static_cast<unsigned>(c)));
    } else {
      out.push_back(c);
    }
  }
  return out.append(multi_line ? "\"\"\"" : "\"");
}

Reading<std::string> Text::read(const Value& value) const {
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr) return wrong(kType, value, "a string");
  if (text->empty() && !may_be_empty) return wrong(kRange, value, "a string that is not empty");
  return *text;
}

std::string Text::write(const std::string& text) const { return toml_string(text); }

Reading<std::string> NodeName::read(const Value& value) const {
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr) return wrong(kType, value, "a string");
  const bool is_path = *text == "." || *text == "..";
  if (text->empty() || text->size() > 63 || !std::ranges::all_of(*text, is_name_character) || is_path) {
    return wrong(kRange, value, "1 to 63 letters, digits, dots, underscores and hyphens");
  }
  return *text;
}

std::string NodeName::write(const std::string& name) const { return name.empty() ? "" : toml_string(name); }

Reading<std::vector<std::string>> NodeNames::read(const Value& value) const {
  std::vector<std::string> names;
  const auto* array = std::get_if<Array>(&value.content);
  const std::span<const Value> elements = array == nullptr ? std::span(&value, 1) : std::span<const Value>(*array);
  if (elements.size() > kMost) return wrong(kRange, value, fmt::format("at most {} names", kMost));
  for (const Value& element : elements) {
    Reading<std::string> name = NodeName{}.read(element);
    if (!name) return std::unexpected(std::move(name.error()));
    names.push_back(*std::move(name));
  }
  return names;
}

std::string NodeNames::write(const std::vector<std::string>& names) const { return Listen{}.write(names); }

Reading<std::vector<std::string>> Listen::read(const Value& value) const {
  std::vector<std::string> addresses;
  if (const auto* array = std::get_if<Array>(&value.content)) {
    for (const Value& element : *array) {
      Reading<std::string> address = read_address(element);
      if (!address) return std::unexpected(std::move(address.error()));
      addresses.push_back(*std::move(address));
    }
    return addresses;
  }
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr) return wrong(kType, value, R"(an address such as "127.0.0.1:1883" or an array of addresses)");
  if (text->empty()) return addresses;
  Reading<std::string> address = read_address(value);
  if (!address) return std::unexpected(std::move(address.error()));
  addresses.push_back(*std::move(address));
  return addresses;
}

std::string Listen::write(const std::vector<std::string>& addresses) const {
  if (addresses.size() == 1) return toml_string(addresses.front());
  std::vector<std::string> quoted;
  for (const std::string& address : addresses) quoted.push_back(toml_string(address));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

Reading<std::string> ParentUrl::read(const Value& value) const {
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr) return wrong(kType, value, R"(a URL such as "https://parent.example:8443")");
  if (text->empty()) return *text;
  if (Result<ParentAddress> parsed = parse_parent_url(*text); !parsed) {
    Error error = parsed.error();
    error.what = "must be a parent's URL: " + error.what;
    return std::unexpected(Fault{std::move(error), value.place});
  }
  return *text;
}

std::string ParentUrl::write(const std::string& url) const { return toml_string(url); }

Reading<std::vector<std::string>> NatsUrls::read(const Value& value) const {
  const auto read_url = [](const Value& one) -> Reading<std::string> {
    const auto* text = std::get_if<std::string>(&one.content);
    if (text == nullptr) return wrong(kType, one, R"(a URL such as "nats://127.0.0.1:4222")");
    if (Result<HostAndPort> parsed = parse_nats_url(*text); !parsed) {
      Error error = parsed.error();
      error.what = "must be a NATS server's URL: " + error.what;
      return std::unexpected(Fault{std::move(error), one.place});
    }
    return *text;
  };
  std::vector<std::string> urls;
  if (const auto* array = std::get_if<Array>(&value.content)) {
    if (array->empty()) return wrong(kRange, value, "at least one URL");
    for (const Value& element : *array) {
      Reading<std::string> url = read_url(element);
      if (!url) return std::unexpected(std::move(url.error()));
      urls.push_back(*std::move(url));
    }
    return urls;
  }
  Reading<std::string> url = read_url(value);
  if (!url) return std::unexpected(std::move(url.error()));
  urls.push_back(*std::move(url));
  return urls;
}

std::string NatsUrls::write(const std::vector<std::string>& urls) const { return Listen{}.write(urls); }

Reading<std::vector<std::string>> Texts::read(const Value& value) const {
  std::vector<std::string> texts;
  const auto* array = std::get_if<Array>(&value.content);
  const std::span<const Value> elements = array == nullptr ? std::span(&value, 1) : std::span<const Value>(*array);
  for (const Value& element : elements) {
    const auto* text = std::get_if<std::string>(&element.content);
    if (text == nullptr) return wrong(kType, element, "a string or an array of strings");
    texts.push_back(*text);
  }
  return texts;
}

std::string Texts::write(const std::vector<std::string>& texts) const { return Listen{}.write(texts); }

Reading<std::vector<std::string>> HostNames::read(const Value& value) const {
  constexpr std::string_view kExpected = R"(host names such as "example.com", "*.example.com" or "*")";
  std::vector<std::string> hosts;
  const auto take = [&](const Value& one) -> std::optional<Fault> {
    const auto* text = std::get_if<std::string>(&one.content);
    if (text == nullptr) return wrong(kType, one, kExpected).error();
    const std::string_view plain = std::string_view(*text).substr(text->starts_with("*.") ? 2 : 0);
    const bool is_name = !plain.empty() && plain.size() <= 253 && std::ranges::all_of(plain, [](char c) {
      return is_name_character(c) || c == ':' || c == '[' || c == ']';
    });
    if (*text != "*" && !is_name) return wrong(kRange, one, kExpected).error();
    std::string& host = hosts.emplace_back(*text);
    for (char& c : host) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return std::nullopt;
  };
  const auto* array = std::get_if<Array>(&value.content);
  if (array == nullptr) {
    if (std::optional<Fault> fault = take(value)) return std::unexpected(*std::move(fault));
    return hosts;
  }
  if (array->empty()) return wrong(kRange, value, "at least one host name");
  for (const Value& element : *array) {
    if (std::optional<Fault> fault = take(element)) return std::unexpected(*std::move(fault));
  }
  return hosts;
}

std::string HostNames::write(const std::vector<std::string>& hosts) const { return Listen{}.write(hosts); }

Reading<std::vector<compress::ContentCoding>> Codings::read(const Value& value) const {
  std::vector<compress::ContentCoding> codings;
  const auto* array = std::get_if<Array>(&value.content);
  const std::span<const Value> elements = array == nullptr ? std::span(&value, 1) : std::span<const Value>(*array);
  for (const Value& element : elements) {
    static const std::vector<std::string> kWords = {"br", "zstd", "gzip"};
    constexpr std::array kCodings = {compress::ContentCoding::kBrotli, compress::ContentCoding::kZstd,
                                     compress::ContentCoding::kGzip};
    const Reading<size_t> word = read_word(element, kWords);
    if (!word) return std::unexpected(word.error());
    const compress::ContentCoding coding = kCodings.at(*word);
    if (std::ranges::find(codings, coding) != codings.end()) return wrong(kRange, element, "each coding once");
    codings.push_back(coding);
  }
  return codings;
}

std::string Codings::write(const std::vector<compress::ContentCoding>& codings) const {
  std::vector<std::string> names;
  for (const compress::ContentCoding coding : codings) names.emplace_back(compress::name_of(coding));
  return Listen{}.write(names);
}

static Reading<OriginConfig> read_origin(const Value& value) {
  OriginConfig origin;
  const Value* url = &value;
  if (const auto* table = std::get_if<Table>(&value.content)) {
    url = find(*table, "url");
    if (url == nullptr)
      return wrong(kType, value, R"(an origin such as { url = "http://127.0.0.1:8000", weight = 2 })");
    for (const Entry& entry : *table) {
      if (entry.key == "url") continue;
      if (entry.key == "http2") {
        const Reading<bool> http2 = Flag{}.read(entry.value);
        if (!http2) return std::unexpected(http2.error());
        origin.http2 = *http2;
        continue;
      }
      if (entry.key != "weight") return wrong(kType, entry.value, "only url, weight and http2 in an origin");
      Reading<uint64_t> weight = Count{0, 1000}.read(entry.value);
      if (!weight) return std::unexpected(std::move(weight.error()));
      origin.weight = *weight;
    }
  }
  const auto* text = std::get_if<std::string>(&url->content);
  if (text == nullptr) return wrong(kType, *url, R"(a URL such as "http://127.0.0.1:8000")");
  if (Result<ParentAddress> parsed = parse_parent_url(*text); !parsed) {
    Error error = parsed.error();
    error.what = "must be an origin's URL: " + error.what;
    return std::unexpected(Fault{std::move(error), url->place});
  }
  origin.url = *text;
  return origin;
}

Reading<std::vector<OriginConfig>> Origins::read(const Value& value) const {
  constexpr size_t kOriginsMax = 64;
  std::vector<OriginConfig> origins;
  const auto* array = std::get_if<Array>(&value.content);
  const std::span<const Value> elements = array == nullptr ? std::span(&value, 1) : std::span<const Value>(*array);
  if (elements.size() > kOriginsMax) return wrong(kRange, value, "64 origins at most");
  for (const Value& element : elements) {
    Reading<OriginConfig> origin = read_origin(element);
    if (!origin) return std::unexpected(std::move(origin.error()));
    origins.push_back(*std::move(origin));
  }
  return origins;
}

std::string Origins::write(const std::vector<OriginConfig>& origins) const {
  std::vector<std::string> written;
  for (const OriginConfig& origin : origins) {
    std::string table = toml_string(origin.url);
    if (origin.weight != 1 || origin.http2) table = "{ url = " + table;
    if (origin.weight != 1) table += fmt::format(", weight = {}", origin.weight);
    if (origin.http2) table += ", http2 = true";
    written.push_back(table + (table.starts_with('{') ? " }" : ""));
  }
  return fmt::format("[{}]", fmt::join(written, ", "));
}

static Reading<std::string> read_local_end(const Value& value) {
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr || text->empty())
    return wrong(kType, value, R"(an IP address or the name of a network interface, such as "192.168.7.2" or "wwan0")");
  if (Result<net::LocalEnd> parsed = net::LocalEnd::parse(*text); !parsed) {
    return std::unexpected(
        Fault{{kValue, "must say what to send from: " + parsed.error().what, parsed.error().fix}, value.place});
  }
  return *text;
}

static Reading<PathConfig> read_path(const Value& value) {
  constexpr std::string_view kExpected = R"(a path such as { url = "http://10.0.0.1:8080", bind = "wwan0" })";
  PathConfig path;
  const auto take = [](std::string& member, Reading<std::string> reading) -> std::optional<Fault> {
    if (!reading) return std::move(reading.error());
    member = *std::move(reading);
    return std::nullopt;
  };
  std::optional<Fault> fault;
  if (const auto* table = std::get_if<Table>(&value.content)) {
    for (const Entry& entry : *table) {
      if (entry.key == "url") {
        fault = take(path.url, ParentUrl{}.read(entry.value));
      } else if (entry.key == "bind") {
        fault = take(path.bind, read_local_end(entry.value));
      } else {
        return wrong(kType, entry.value, "only url and bind in a path");
      }
      if (fault) return std::unexpected(*std::move(fault));
    }
    if (path == PathConfig{}) return wrong(kValue, value, kExpected);
    return path;
  }
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr || text->empty()) return wrong(kType, value, kExpected);
  fault = text->contains("://") ? take(path.url, ParentUrl{}.read(value)) : take(path.bind, read_local_end(value));
  if (fault) return std::unexpected(*std::move(fault));
  return path;
}

Reading<std::vector<PathConfig>> ParentPaths::read(const Value& value) const {
  std::vector<PathConfig> paths;
  const auto* array = std::get_if<Array>(&value.content);
  if (array == nullptr) return wrong(kType, value, "an array of paths");
  if (array->size() > kMost) return wrong(kRange, value, fmt::format("{} paths at most", kMost));
  for (const Value& element : *array) {
    Reading<PathConfig> path = read_path(element);
    if (!path) return std::unexpected(std::move(path.error()));
    if (std::ranges::find(paths, *path) != paths.end()) return wrong(kValue, element, "another path than those before");
    paths.push_back(*std::move(path));
  }
  return paths;
}

std::string ParentPaths::write(const std::vector<PathConfig>& paths) const {
  std::vector<std::string> written;
  for (const PathConfig& path : paths) {
    if (path.url.empty() || path.bind.empty()) {
      written.push_back(toml_string(path.url + path.bind));
    } else {
      written.push_back(fmt::format("{{ url = {}, bind = {} }}", toml_string(path.url), toml_string(path.bind)));
    }
  }
  return fmt::format("[{}]", fmt::join(written, ", "));
}

Reading<std::string> StreamName::read(const Value& value) const {
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr) return wrong(kType, value, "a string");
  if (text->empty() || text->size() > 32 || !std::ranges::all_of(*text, is_name_character) || text->contains('.')) {
    return wrong(kRange, value, "1 to 32 letters, digits, underscores and hyphens");
  }
  return *text;
}

Reading<SecretSource> Secret::read(const Value& value) const {
  const auto refused = [&](std::string what) {
    return std::unexpected(Fault{{kType, std::move(what), "write " + range()}, value.place});
  };
  const auto* table = std::get_if<Table>(&value.content);
  if (table == nullptr) return refused("must say where the secret is, not what it is");
  if (table->size() != 1) return refused("must have exactly one of file and env");
  const Entry& entry = table->front();
  if (entry.key != "file" && entry.key != "env") {
    return refused(fmt::format("is at a file or in the environment, not at {}", json_string(entry.key)));
  }
  const auto* name = std::get_if<std::string>(&entry.value.content);
  if (name == nullptr || name->empty() || name->find('\0') != std::string::npos) {
    return refused(fmt::format("must have a text after {} that is not empty", entry.key));
  }
  const bool is_file = entry.key == "file";
  if (!is_file && name->find('=') != std::string::npos) return refused("must have the name of a variable after env");
  return SecretSource{is_file ? SecretSource::Kind::kFile : SecretSource::Kind::kEnvironment, *name};
}

std::string Secret::write(const SecretSource& secret) const {
  const bool is_file = secret.kind == SecretSource::Kind::kFile;
  return fmt::format("{{ {} = {} }}", is_file ? "file" : "env", toml_string(secret.name));
}

Reading<std::vector<SecretSource>> Secrets::read(const Value& value) const {
  const auto* array = std::get_if<Array>(&value.content);
  if (array == nullptr) {
    return std::unexpected(
        Fault{{kType, "must be an array of places where secrets are", "write " + range()}, value.place});
  }
  std::vector<SecretSource> secrets;
  for (const Value& element : *array) {
    Reading<SecretSource> secret = Secret().read(element);
    if (!secret) return std::unexpected(std::move(secret.error()));
    secrets.push_back(*std::move(secret));
  }
  return secrets;
}

std::string Secrets::write(const std::vector<SecretSource>& secrets) const {
  std::vector<std::string> written;
  for (const SecretSource& secret : secrets) written.push_back(Secret().write(secret));
  return fmt::format("[{}]", fmt::join(written, ", "));
}

Reading<bool> Flag::read(const Value& value) const {
  const bool* flag = std::get_if<bool>(&value.content);
  if (flag == nullptr) return wrong(kType, value, "true or false");
  return *flag;
}

std::string Count::range() const { return fmt::format("{}..{}", min, max); }

Reading<uint64_t> Count::read(const Value& value) const {
  const int64_t* number = std::get_if<int64_t>(&value.content);
  if (number == nullptr) return wrong(kType, value, "an integer " + range());
  if (*number < 0) return wrong(kRange, value, "an integer " + range());
  return within(static_cast<uint64_t>(*number), min, max, value, "an integer", range());
}

std::string Count::write(uint64_t count) const { return fmt::format("{}", count); }

std::string Size::range() const { return format_size(min) + ".." + format_size(max); }

Reading<uint64_t> Size::read(const Value& value) const {
  if (const int64_t* number = std::get_if<int64_t>(&value.content)) {
    if (*number < 0) return wrong(kRange, value, "a size " + range());
    return within(static_cast<uint64_t>(*number), min, max, value, "a size", range());
  }
  const auto* text = std::get_if<std::string>(&value.content);
  const std::optional<uint64_t> bytes = text == nullptr ? std::nullopt : parse_size(*text);
  if (!bytes) return wrong(kType, value, R"(a size such as "64KiB", "1 MiB" or 512)");
  return within(*bytes, min, max, value, "a size", range());
}

std::string Size::write(uint64_t bytes) const {
  const std::string text = format_size(bytes);
  return text.back() == 'B' ? toml_string(text) : text;
}

std::string Time::range() const { return format_duration(min) + ".." + format_duration(max); }

Reading<Duration> Time::read(const Value& value) const {
  const auto* text = std::get_if<std::string>(&value.content);
  const std::optional<Duration> duration = text == nullptr ? std::nullopt : parse_duration(*text);
  if (!duration) return wrong(kType, value, R"(a duration with its unit such as "150ms", "10s" or "1h")");
  return within(*duration, min, max, value, "a duration", range());
}

std::string Time::write(Duration duration) const { return toml_string(format_duration(duration)); }

std::string words_range(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& word : words) quoted.push_back(toml_string(word));
  return fmt::format("{}", fmt::join(quoted, ", "));
}

Reading<size_t> read_word(const Value& value, const std::vector<std::string>& words) {
  const std::string expected = "one of " + words_range(words);
  const auto* text = std::get_if<std::string>(&value.content);
  if (text == nullptr) return wrong(kType, value, expected);
  const auto found = std::ranges::find(words, *text);
  if (found != words.end()) return static_cast<size_t>(found - words.begin());
  std::string near = nearest(*text, words);
  const auto begun = std::ranges::find_if(words, [&](const std::string& word) { return word.starts_with(*text); });
  if (near.empty() && !text->empty() && begun != words.end()) near = *begun;
  return wrong(kValue, value, expected, near.empty() ? "" : "did you mean " + json_string(near) + "?");
}

Choice<spool::WhenFull> when_full_choice() {
  return {{{"reject", spool::WhenFull::kReject},
           {"drop-oldest", spool::WhenFull::kDropOldest},
           {"drop-lower", spool::WhenFull::kDropLower},
           {"downsample", spool::WhenFull::kDownsample}}};
}

Choice<Tier> tier_choice() {
  Choice<Tier> choice;
  for (const Tier tier : {Tier::kDevice, Tier::kEdge, Tier::kFog, Tier::kCloud}) {
    choice.choices.emplace_back(name_of(tier), tier);
  }
  return choice;
}

Choice<Priority> priority_choice() {
  Choice<Priority> choice;
  for (const Priority priority : kPriorities) choice.choices.emplace_back(name_of(priority), priority);
  return choice;
}

Choice<std::optional<Priority>> priority_or_none_choice() {
  Choice<std::optional<Priority>> choice;
  for (const Priority priority : kPriorities) choice.choices.emplace_back(name_of(priority), priority);
  choice.choices.emplace_back("none", std::nullopt);
  return choice;
}

}  // namespace verge::node
