// Locations: where IP addresses are, as a file in MaxMind's format says (GeoLite2-City, and others with its fields).
//
// The file is mapped into memory, not read: who replaces it renames another over it, and lets it be opened again. Text
// and numbers in it come from elsewhere: what is handed on is bounded, and JSON whatever they are.
//
// Threading: find() from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace verge::geo {

class Locations {
 public:
  // Shared: who looks something up keeps it while another takes its place. Error: geo.file.
  static Result<std::shared_ptr<const Locations>> open(const std::string& path);
  ~Locations();
  Locations(const Locations&) = delete;
  Locations& operator=(const Locations&) = delete;

  // Of an address of 4 or 16 bytes in network order: a JSON object with those of country, isEUCountry, continent, city,
  // region, regionCode, postalCode, metroCode, timezone, latitude, longitude, asn and asOrganization that the file has,
  // all strings but asn; empty: the file says nothing of it.
  [[nodiscard]] std::string find(std::string_view ip) const;

 private:
  struct File;
  explicit Locations(std::unique_ptr<File> file);
  const std::unique_ptr<File> file_;
};

}  // namespace verge::geo
