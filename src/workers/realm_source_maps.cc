#include "workers/realm_source_maps.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace verge::workers {
namespace {

constexpr std::string_view kMark = "//# sourceMappingURL=data:";
constexpr std::string_view kBase64 = ";base64,";
constexpr std::size_t kMapBytesMax = 16u << 20;
constexpr std::uint32_t kSourcesMax = 10'000;
constexpr std::size_t kTextMax = 64u << 10;  // that is looked at

struct Map {
  std::vector<std::string> sources;
  std::string mappings;
};

struct Place {
  std::int64_t source = 0;
  std::int64_t line = 0;  // from 0, as the next
  std::int64_t column = 0;
};

std::optional<Map> map_of(const Realm::State& state, std::string_view source) {
  const std::size_t mark = source.rfind(kMark);
  if (mark == std::string_view::npos) return std::nullopt;
  const std::string_view url = source.substr(mark, source.find_first_of(" \t\r\n", mark + kMark.size()) - mark);
  const std::size_t comma = url.find(kBase64);
  if (comma == std::string_view::npos || url.size() > kMapBytesMax) return std::nullopt;
  const std::optional<std::string> json = from_base64(url.substr(comma + kBase64.size()));
  if (!json) return std::nullopt;
  v8::Isolate* isolate = state.isolate;
  const v8::Local<v8::Context> context = state.context_here();
  const v8::TryCatch caught(isolate);
  v8::Local<v8::String> text;
  v8::Local<v8::Value> parsed, sources, mappings;
  if (!utf8(isolate, *json).ToLocal(&text) || !v8::JSON::Parse(context, text).ToLocal(&parsed) || !parsed->IsObject()) {
    return std::nullopt;
  }
  const v8::Local<v8::Object> object = parsed.As<v8::Object>();
  if (!object->Get(context, internalized(isolate, "sources")).ToLocal(&sources) || !sources->IsArray() ||
      !object->Get(context, internalized(isolate, "mappings")).ToLocal(&mappings) || !mappings->IsString()) {
    return std::nullopt;
  }
  Map map{.sources = {}, .mappings = to_utf8(isolate, mappings)};
  const v8::Local<v8::Array> names = sources.As<v8::Array>();
  for (std::uint32_t i = 0; i < std::min(names->Length(), kSourcesMax); ++i) {
    v8::Local<v8::Value> name;
    std::string its = names->Get(context, i).ToLocal(&name) && name->IsString() ? to_utf8(isolate, name) : "";
    if (its.starts_with("./")) its.erase(0, 2);
    map.sources.push_back(std::move(its));
  }
  return map;
}

// A number in Base64 VLQ at `at`, which moves behind it.
std::optional<std::int64_t> read_number(std::string_view text, std::size_t& at) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; at < text.size() && shift < 40; shift += 5) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::size_t digit = kDigits.find(text[at++]);
    if (digit == std::string_view::npos) return std::nullopt;
    value |= static_cast<std::uint64_t>(digit & 31) << shift;
    if ((digit & 32) != 0) continue;
    const auto size = static_cast<std::int64_t>(value >> 1);
    return (value & 1) != 0 ? -size : size;
  }
  return std::nullopt;
}

// The last segment of that line that begins at the column or before it.
std::optional<Place> place_in(std::string_view mappings, std::int64_t line, std::int64_t column) {
  std::optional<Place> found;
  Place now;
  std::int64_t generated_line = 0, generated_column = 0;
  for (std::size_t at = 0; at < mappings.size() && generated_line <= line;) {
    if (mappings[at] == ';') {
      ++generated_line;
      generated_column = 0;
      ++at;
      continue;
    }
    if (mappings[at] == ',') {
      ++at;
      continue;
    }
    std::vector<std::int64_t> fields;
    while (at < mappings.size() && mappings[at] != ',' && mappings[at] != ';') {
      const std::optional<std::int64_t> number = read_number(mappings, at);
      if (!number || fields.size() == 5) return std::nullopt;
      fields.push_back(*number);
    }
    generated_column += fields[0];
    if (fields.size() >= 4) {
      now.source += fields[1];
      now.line += fields[2];
      now.column += fields[3];
    }
    if (generated_line != line || generated_column > column) continue;
    found = fields.size() >= 4 ? std::optional(now) : std::nullopt;
  }
  return found;
}

// "12:34" at `at`, which moves behind it.
std::optional<std::pair<std::int64_t, std::int64_t>> read_position(std::string_view text, std::size_t& at) {
  std::int64_t line = 0, column = 0;
  const char* end = text.data() + text.size();
  const auto [colon, bad_line] = std::from_chars(text.data() + at, end, line);
  if (bad_line != std::errc{} || colon == end || *colon != ':') return std::nullopt;
  const auto [behind, bad_column] = std::from_chars(colon + 1, end, column);
  if (bad_column != std::errc{} || line < 1 || column < 1) return std::nullopt;
  at = static_cast<std::size_t>(behind - text.data());
  return std::pair(line, column);
}

bool is_of_name(char c) { return c != ' ' && c != '(' && c != '\n' && c != '\t'; }

void put_places(std::string& text, const std::string& name, const Map& map) {
  const std::string begin = name + ":";
  for (std::size_t at = 0; (at = text.find(begin, at)) != std::string::npos;) {
    std::size_t end = at + begin.size();
    const bool is_whole = at == 0 || !is_of_name(text[at - 1]);
    const auto position = is_whole ? read_position(text, end) : std::nullopt;
    const auto place = position ? place_in(map.mappings, position->first - 1, position->second - 1) : std::nullopt;
    const bool is_known = place && place->source >= 0 && static_cast<std::size_t>(place->source) < map.sources.size() &&
                          place->line >= 0 && place->column >= 0 &&
                          !map.sources[static_cast<std::size_t>(place->source)].empty();
    if (!is_known) {
      at += begin.size();
      continue;
    }
    const std::string written = fmt::format("{}:{}:{}", map.sources[static_cast<std::size_t>(place->source)],
                                            place->line + 1, place->column + 1);
    text.replace(at, end - at, written);
    at += written.size();
  }
}

}  // namespace

std::string with_original_places(const Realm::State& state, std::string text) {
  if (text.size() > kTextMax) return text;
  for (const auto& module : state.loaded_modules) {
    if (module->kind != Module::Kind::JavaScript || text.find(module->name + ":") == std::string::npos) continue;
    if (const std::optional<Map> map = map_of(state, module->source)) put_places(text, module->name, *map);
  }
  return text;
}

}  // namespace verge::workers
