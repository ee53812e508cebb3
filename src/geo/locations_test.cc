#include "geo/locations.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

namespace verge::geo {
namespace {

// What a file says is looked up by tests/integration/test_worker_location.py.

class File {
 public:
  explicit File(std::string_view bytes) {
    const int descriptor = mkstemp(path_.data());
    EXPECT_EQ(write(descriptor, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    close(descriptor);
  }
  ~File() { unlink(path_.c_str()); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/verge-locations-XXXXXX";
};

TEST(Locations, AFileThatIsNotThereOrOfAnotherFormatIsRefused) {
  const auto refused = [](const std::string& path) {
    const auto opened = Locations::open(path);
    return opened ? std::string() : std::string(opened.error().code) + " " + opened.error().what;
  };
  EXPECT_EQ(refused("/nowhere/there.mmdb"),
            "geo.file /nowhere/there.mmdb cannot be read as a file of locations: No such file or directory");
  EXPECT_TRUE(refused(File("").path()).starts_with("geo.file"));
  EXPECT_TRUE(refused(File(std::string(4096, 'x')).path()).starts_with("geo.file"));
  EXPECT_TRUE(refused(File(std::string(64, '\0') + "\xab\xcd\xefMaxMind.com").path()).starts_with("geo.file"));
}

}  // namespace
}  // namespace verge::geo
