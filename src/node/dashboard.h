// The files of the dashboard (web/), as the build put them into the program: compressed with gzip.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace verge::node {

struct DashboardFile {
  std::string_view path;  // "/assets/…"
  std::string_view type;
  std::string_view tag;   // of its content
  std::string_view body;  // gzip

  // For who does not take gzip.
  [[nodiscard]] std::string plain() const;
};

size_t dashboard_file_count();
DashboardFile dashboard_file_at(size_t index);

// "/" is /index.html. Nothing where there is none.
std::optional<DashboardFile> dashboard_file(std::string_view path);

// What a browser may do with these pages: nothing but run their own files and ask this node.
inline constexpr std::string_view kDashboardPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

}  // namespace verge::node
