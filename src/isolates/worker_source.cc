#include "isolates/worker_source.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "base/named_file.h"
#include "base/text.h"

namespace verge::isolates {
namespace {

constexpr size_t kModulesMax = 4096;
constexpr size_t kBytesMax = 32U << 20;

calls::ModuleType type_of(const std::filesystem::path& path) {
  const std::string extension = lower(path.extension().string());
  if (extension == ".json") return calls::ModuleType::kJson;
  if (extension == ".wasm" || extension == ".bin") return calls::ModuleType::kBytes;
  const bool is_script = extension.empty() || extension == ".js" || extension == ".mjs" || extension == ".cjs";
  return is_script ? calls::ModuleType::kJavaScript : calls::ModuleType::kText;
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The word or bracket that stands before `at`.
bool follows_import(std::string_view source, size_t at) {
  while (at > 0 && is_blank(source[at - 1])) --at;
  if (at > 0 && source[at - 1] == '(') {
    --at;
    while (at > 0 && is_blank(source[at - 1])) --at;
  }
  const std::string_view before = source.substr(0, at);
  return before.ends_with("from") || before.ends_with("import");
}

// A source map in a file beside the module becomes part of it, so that it goes wherever the module goes; one that is
// not there, or larger than kMapBytesMax, is left out.
void take_source_map(const std::filesystem::path& path, std::string& source) {
  constexpr std::string_view kMark = "//# sourceMappingURL=";
  constexpr size_t kMapBytesMax = 8U << 20;
  const size_t mark = source.rfind(kMark);
  if (mark == std::string::npos) return;
  const size_t begin = mark + kMark.size();
  const size_t end = std::min(source.find_first_of(" \t\r\n", begin), source.size());
  const std::string name = source.substr(begin, end - begin);
  if (name.empty() || name.find(':') != std::string::npos || name.starts_with('/')) return;
  const auto map = read_named_file(path.parent_path() / name, kMapBytesMax);
  if (map) source.replace(begin, end - begin, "data:application/json;base64," + base64(*map));
}

}  // namespace

std::vector<std::string> relative_imports(std::string_view source) {
  std::vector<std::string> found;
  for (size_t at = 0; (at = source.find_first_of("\"'", at)) != std::string_view::npos; ++at) {
    if (source.substr(at + 1, 2) != "./" && source.substr(at + 1, 3) != "../") continue;
    const size_t end = source.find(source[at], at + 1);
    if (end == std::string_view::npos) break;
    if (follows_import(source, at)) found.emplace_back(source.substr(at + 1, end - at - 1));
    at = end;
  }
  return found;
}

std::string worker_name(const std::string& file) { return std::filesystem::path(file).stem().string(); }

Result<std::vector<ModuleSource>> read_modules(const std::string& file) {
  const std::filesystem::path main(file);
  const std::filesystem::path directory = main.parent_path();
  std::vector<ModuleSource> modules;
  std::vector<std::string> names = {main.filename().string()};
  std::set<std::string> seen(names.begin(), names.end());
  size_t bytes = 0;
  for (size_t i = 0; i < names.size() && i < kModulesMax; ++i) {
    const std::filesystem::path path = directory / names[i];
    auto source = read_named_file(path, kBytesMax);
    if (!source) {
      if (i > 0 && source.error().number != EFBIG) continue;
      return fail("workers.file", fmt::format("{} cannot be read: {}", path.string(), source.error().why),
                  "name a file of JavaScript");
    }
    ModuleSource module{.name = names[i], .type = type_of(path), .source = *std::move(source)};
    if (module.type == calls::ModuleType::kJavaScript) take_source_map(path, module.source);
    bytes += module.source.size();
    if (bytes > kBytesMax) {
      return fail("workers.file", fmt::format("the modules of {} are larger than {} bytes", file, kBytesMax),
                  "leave out what it does not need");
    }
    if (module.type == calls::ModuleType::kJavaScript) {
      for (const std::string& specifier : relative_imports(module.source)) {
        std::string name = (std::filesystem::path(names[i]).parent_path() / specifier).lexically_normal().string();
        if (seen.insert(name).second) names.push_back(std::move(name));
      }
    }
    modules.push_back(std::move(module));
  }
  return modules;
}

}  // namespace verge::isolates
