#include "storage/data_directory.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

namespace verge::storage {
namespace {

TEST(DataDirectory, SaysWhoHoldsItWithoutTakingIt) {
  std::string place = testing::TempDir() + "data.XXXXXX";
  const std::string path = mkdtemp(place.data());
  EXPECT_FALSE(DataDirectory::holder_of(path)) << "it was never opened";
  {
    const Result<DataDirectory> held = DataDirectory::open(path);
    ASSERT_TRUE(held) << held.error().line();
    EXPECT_EQ(DataDirectory::holder_of(path), getpid());
  }
  EXPECT_FALSE(DataDirectory::holder_of(path)) << "its file is there, and nobody holds it";
  EXPECT_TRUE(DataDirectory::open(path));
  std::filesystem::remove_all(path);
}

}  // namespace
}  // namespace verge::storage
