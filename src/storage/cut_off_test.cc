#include "storage/cut_off.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "storage/segment_header.h"

namespace verge::storage {
namespace {

namespace fs = std::filesystem;

class CutOff : public testing::Test {
 public:
  CutOff() {
    std::string name = fs::temp_directory_path() / "verge-cut-off-XXXXXX";
    root = ::mkdtemp(name.data());
  }
  ~CutOff() override { fs::remove_all(root); }

 protected:
  // A segment of a log that has `rest` behind its header. The path it was kept at.
  std::string keep(uint64_t first_sequence, KeyId key, const std::string& rest) {
    const fs::path path = root / (std::to_string(10000 + first_sequence) + ".log");
    std::ofstream(path) << SegmentHeader{.first_sequence = first_sequence, .salt = 1, .key = key}.bytes() << rest;
    const Result<std::unique_ptr<File>> file = files.open(path, OpenMode::kWrite);
    EXPECT_TRUE(file);
    return keep_cut_off(files, path, **file, kSegmentHeaderBytes);
  }

  fs::path root;
  PosixFileSystem files;
};

TEST_F(CutOff, ZerosAreNotKept) {
  EXPECT_EQ(keep(1, 0, std::string(1000, '\0')), "");
  const std::string kept = keep(2, 0, "left" + std::string(1000, '\0'));
  EXPECT_EQ(fs::file_size(kept), kSegmentHeaderBytes + 4);
}

TEST_F(CutOff, FourMebibytesAreTheMost) {
  EXPECT_EQ(fs::file_size(keep(1, 0, std::string((4U << 20) + 100, 'x'))), kSegmentHeaderBytes + (4U << 20));
}

TEST_F(CutOff, WhatAKeyEncryptedGoesWithIt) {
  const std::string of_first = keep(1, 7, "one");
  const std::string of_second = keep(2, 8, "two");
  const std::string of_none = keep(3, 0, "three");
  const std::string of_unknown = root / "9.cut-off";
  std::ofstream(of_unknown) << "no header";
  ASSERT_TRUE(remove_cut_off(files, root, 7));
  EXPECT_FALSE(fs::exists(of_first));
  EXPECT_TRUE(fs::exists(of_second));
  EXPECT_TRUE(fs::exists(of_none));
  EXPECT_FALSE(fs::exists(of_unknown));
  ASSERT_TRUE(remove_cut_off(files, root, std::nullopt));
  EXPECT_FALSE(fs::exists(of_second));
  EXPECT_FALSE(fs::exists(of_none));
}

TEST_F(CutOff, WhatIsNotThereIsNoObstacle) {
  EXPECT_TRUE(remove_cut_off(files, root / "nowhere", 7));
  fs::create_directories(root / "1.cut-off/somebodys");
  EXPECT_TRUE(remove_cut_off(files, root, 7));
  EXPECT_TRUE(remove_cut_off(files, root, std::nullopt));
  EXPECT_TRUE(fs::exists(root / "1.cut-off/somebodys"));
}

}  // namespace
}  // namespace verge::storage
