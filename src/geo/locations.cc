#include "geo/locations.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <optional>

#include <fmt/format.h>
#include <maxminddb.h>
#include <netinet/in.h>

#include "base/text.h"

namespace verge::geo {
namespace {

constexpr size_t kTextBytesMax = 200;

// The names that lead to a value of an entry, then null.
using Path = const char* const[5];

std::optional<MMDB_entry_data_s> value_at(MMDB_entry_s& entry, const Path& path) {
  MMDB_entry_data_s value;
  const bool is_there = MMDB_aget_value(&entry, &value, path) == MMDB_SUCCESS && value.has_data;
  return is_there ? std::optional(value) : std::nullopt;
}

class Object {
 public:
  explicit Object(MMDB_entry_s& entry) : entry_(entry) {}

  void text(std::string_view name, const Path& path) {
    const std::optional<MMDB_entry_data_s> value = value_at(entry_, path);
    if (!value || value->type != MMDB_DATA_TYPE_UTF8_STRING || value->data_size == 0) return;
    const std::string_view text(value->utf8_string, value->data_size);
    if (text.size() <= kTextBytesMax && is_utf8(text)) member(name, json_string(text));
  }
  void degrees(std::string_view name, const Path& path) {
    const std::optional<MMDB_entry_data_s> value = value_at(entry_, path);
    if (!value || value->type != MMDB_DATA_TYPE_DOUBLE) return;
    if (value->double_value >= -180 && value->double_value <= 180) {
      member(name, fmt::format("\"{:.5f}\"", value->double_value));
    }
  }
  void number(std::string_view name, const Path& path, bool quoted) {
    const std::optional<MMDB_entry_data_s> value = value_at(entry_, path);
    if (!value) return;
    uint32_t its = 0;
    if (value->type == MMDB_DATA_TYPE_UINT32) {
      its = value->uint32;
    } else if (value->type == MMDB_DATA_TYPE_UINT16) {
      its = value->uint16;
    } else {
      return;
    }
    member(name, fmt::format("{0}{1}{0}", quoted ? "\"" : "", its));
  }
  void flag(std::string_view name, const Path& path) {
    const std::optional<MMDB_entry_data_s> value = value_at(entry_, path);
    if (value && value->type == MMDB_DATA_TYPE_BOOLEAN && value->boolean) member(name, "\"1\"");
  }
  // Empty where it has no member.
  [[nodiscard]] std::string take() && {
    if (!out_.empty()) out_.push_back('}');
    return std::move(out_);
  }

 private:
  void member(std::string_view name, std::string_view json) {
    fmt::format_to(std::back_inserter(out_), "{}\"{}\":{}", out_.empty() ? "{" : ",", name, json);
  }

  MMDB_entry_s& entry_;
  std::string out_;
};

}  // namespace

struct Locations::File {
  MMDB_s database{};
  bool is_open = false;
  ~File() {
    if (is_open) MMDB_close(&database);
  }
};

Locations::Locations(std::unique_ptr<File> file) : file_(std::move(file)) {}
Locations::~Locations() = default;

Result<std::shared_ptr<const Locations>> Locations::open(const std::string& path) {
  auto file = std::make_unique<File>();
  // A pipe would be waited for.
  std::error_code problem;
  const bool is_file = !std::filesystem::is_fifo(path, problem);
  const int status = !is_file ? MMDB_INVALID_METADATA_ERROR : MMDB_open(path.c_str(), MMDB_MODE_MMAP, &file->database);
  if (status != MMDB_SUCCESS) {
    const std::string why = status == MMDB_FILE_OPEN_ERROR || status == MMDB_IO_ERROR
                                ? std::string(std::strerror(errno))
                                : std::string(MMDB_strerror(status));
    return fail("geo.file", fmt::format("{} cannot be read as a file of locations: {}", path, why),
                "name a file in MaxMind's format, such as GeoLite2-City.mmdb");
  }
  file->is_open = true;
  return std::shared_ptr<const Locations>(new Locations(std::move(file)));
}

std::string Locations::find(std::string_view ip) const {
  sockaddr_in6 storage{};
  if (ip.size() == 4) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    std::memcpy(&address.sin_addr, ip.data(), 4);
    std::memcpy(&storage, &address, sizeof(address));
  } else if (ip.size() == 16) {
    storage.sin6_family = AF_INET6;
    std::memcpy(&storage.sin6_addr, ip.data(), 16);
  } else {
    return {};
  }
  int problem = MMDB_SUCCESS;
  MMDB_lookup_result_s found =
      MMDB_lookup_sockaddr(&file_->database, reinterpret_cast<const sockaddr*>(&storage), &problem);
  if (problem != MMDB_SUCCESS || !found.found_entry) return {};
  Object object(found.entry);
  object.text("country", {"country", "iso_code"});
  object.flag("isEUCountry", {"country", "is_in_european_union"});
  object.text("continent", {"continent", "code"});
  object.text("city", {"city", "names", "en"});
  // The larger of an address's subdivisions comes first.
  object.text("region", {"subdivisions", "0", "names", "en"});
  object.text("regionCode", {"subdivisions", "0", "iso_code"});
  object.text("postalCode", {"postal", "code"});
  object.number("metroCode", {"location", "metro_code"}, /*quoted=*/true);
  object.text("timezone", {"location", "time_zone"});
  object.degrees("latitude", {"location", "latitude"});
  object.degrees("longitude", {"location", "longitude"});
  object.number("asn", {"autonomous_system_number"}, /*quoted=*/false);
  object.text("asOrganization", {"autonomous_system_organization"});
  return std::move(object).take();
}

}  // namespace verge::geo
