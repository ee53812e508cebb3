#include "storage/file_system.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace verge::storage {
namespace {

namespace fs = std::filesystem;

class Rooted : public testing::Test {
 protected:
  Rooted() {
    std::string name = fs::temp_directory_path() / "verge-files-XXXXXX";
    place_ = ::mkdtemp(name.data());
    fs::create_directories(place_ / "real");
    fs::create_directories(place_ / "elsewhere");
    fs::create_directory_symlink(place_ / "real", place_ / "data");
    root = place_ / "data";
    elsewhere = place_ / "elsewhere";
    std::ofstream(elsewhere / "file") << "not ours";
  }
  void TearDown() override { fs::remove_all(place_); }

  static std::string content(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  fs::path root;  // itself a link
  fs::path elsewhere;

 private:
  fs::path place_;
};

TEST_F(Rooted, TheRootItselfMayBeALink) {
  PosixFileSystem files(root);
  ASSERT_TRUE(files.make_directory(root / "spool/normal"));
  ASSERT_TRUE(files.replace_file(root / "spool/normal/file", "content"));
  EXPECT_EQ(files.read_file(root / "spool/normal/file", 100), "content");
  EXPECT_EQ(files.list(root / "spool/normal"), std::vector<std::string>{"file"});
  ASSERT_TRUE(files.rename(root / "spool/normal/file", root / "spool/moved"));
  ASSERT_TRUE(files.sync_directory(root / "spool"));
  ASSERT_TRUE(files.remove(root / "spool/moved"));
  EXPECT_EQ(files.open(root / "spool/moved", OpenMode::kRead).error().code, "storage.missing");
  EXPECT_EQ(files.open(root / "none/moved", OpenMode::kRead).error().code, "storage.missing");
}

TEST_F(Rooted, NoLinkBelowItIsFollowed) {
  PosixFileSystem files(root);
  fs::create_symlink(elsewhere / "file", root / "file");
  fs::create_directory_symlink(elsewhere, root / "directory");
  for (const OpenMode mode : {OpenMode::kRead, OpenMode::kWrite, OpenMode::kCreate}) {
    for (const char* name : {"file", "directory", "directory/file"}) {
      const auto opened = files.open(root / name, mode);
      ASSERT_FALSE(opened) << name;
      EXPECT_EQ(opened.error().code, "storage.foreign") << name;
      EXPECT_NE(opened.error().what.find("a symbolic link"), std::string::npos) << opened.error().what;
    }
  }
  EXPECT_EQ(files.list(root / "directory").error().code, "storage.foreign");
  EXPECT_EQ(files.make_directory(root / "directory/more").error().code, "storage.foreign");
  EXPECT_EQ(files.remove(root / "directory/file").error().code, "storage.foreign");
  EXPECT_EQ(files.sync_directory(root / "directory").error().code, "storage.foreign");
  ASSERT_TRUE(files.replace_file(root / "mine", "x"));
  EXPECT_FALSE(files.rename(root / "mine", root / "directory/file"));
  ASSERT_TRUE(files.replace_file(root / "file", "new")) << "the link is replaced, not what it leads to";
  EXPECT_EQ(content(elsewhere / "file"), "not ours");
  EXPECT_EQ(content(root / "file"), "new");
  EXPECT_TRUE(PosixFileSystem().open(root / "directory/file", OpenMode::kRead)) << "without a root they are followed";
}

TEST_F(Rooted, WhatIsNoFileIsNotOpened) {
  PosixFileSystem files(root);
  fs::create_directory(root / "directory");
  ASSERT_EQ(::mkfifo((root / "pipe").c_str(), 0600), 0);
  for (const char* name : {"directory", "pipe"}) {
    for (const OpenMode mode : {OpenMode::kRead, OpenMode::kWrite}) {
      const auto opened = files.open(root / name, mode);
      ASSERT_FALSE(opened) << name;
      EXPECT_EQ(opened.error().code, "storage.foreign") << opened.error().line();
    }
  }
  EXPECT_EQ(files.list(root / "pipe").error().code, "storage.foreign");
}

TEST_F(Rooted, WhatIsSetAsideIsKept) {
  PosixFileSystem files(root);
  for (const std::string expected : {"file.damaged", "file.damaged-2", "file.damaged-3"}) {
    ASSERT_TRUE(files.replace_file(root / "file", expected));
    EXPECT_EQ(files.set_aside(root / "file"), (root / expected).string());
    EXPECT_EQ(content(root / expected), expected);
  }
  fs::create_directories(root / "kept.new/inside");
  ASSERT_TRUE(files.replace_file(root / "kept", "x"));
  EXPECT_TRUE(fs::exists(root / "kept.new.damaged/inside"));
}

}  // namespace
}  // namespace verge::storage
