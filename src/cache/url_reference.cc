#include "cache/url_reference.h"

#include <algorithm>
#include <vector>

namespace verge::cache {
namespace {

// Section 5.2.4.
std::string without_dots(std::string_view path) {
  std::vector<std::string_view> segments;
  bool ends_open = false;  // the result ends with a slash
  size_t place = path.starts_with('/') ? 1 : 0;
  while (place <= path.size()) {
    const size_t end = std::min(path.find('/', place), path.size());
    const std::string_view segment = path.substr(place, end - place);
    const bool is_last = end == path.size();
    ends_open = is_last && (segment == "." || segment == "..");
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (segment != ".") {
      segments.push_back(segment);
    }
    place = end + 1;
  }
  std::string result;
  for (const std::string_view segment : segments) result.append("/").append(segment);
  if (ends_open || result.empty()) result.push_back('/');
  return result;
}

}  // namespace

std::string resolve_reference(std::string_view base, std::string_view reference) {
  reference = reference.substr(0, reference.find('#'));
  if (reference.starts_with("http://") || reference.starts_with("https://")) return std::string(reference);
  const size_t scheme_end = base.find("://");
  if (scheme_end == std::string_view::npos) return std::string(reference);
  if (reference.starts_with("//")) return std::string(base.substr(0, scheme_end + 1)).append(reference);
  const size_t path_begin = std::min(base.find('/', scheme_end + 3), base.size());
  const std::string_view authority = base.substr(0, path_begin);
  const size_t query_begin = std::min(base.find('?', path_begin), base.size());
  const std::string_view path = base.substr(path_begin, query_begin - path_begin);
  if (reference.empty()) return std::string(base);
  if (reference.starts_with('?')) return std::string(authority).append(path).append(reference);
  const size_t own_query = std::min(reference.find('?'), reference.size());
  std::string merged;
  if (!reference.starts_with('/'))
    merged = path.substr(0, path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1);
  merged.append(reference.substr(0, own_query));
  return std::string(authority).append(without_dots(merged)).append(reference.substr(own_query));
}

}  // namespace verge::cache
