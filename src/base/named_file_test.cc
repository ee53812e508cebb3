#include "base/named_file.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace verge {
namespace {

class NamedFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string place = testing::TempDir() + "named.XXXXXX";
    directory_ = mkdtemp(place.data());
    path_ = directory_ + "/it";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  int number_of(const std::string& path, size_t bytes_max = 100) {
    const auto text = read_named_file(path, bytes_max);
    if (text) return 0;
    EXPECT_FALSE(text.error().why.empty());
    return text.error().number;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(NamedFile, IsReadToItsEnd) {
  std::ofstream(path_) << std::string(200'000, 'x');
  EXPECT_EQ(read_named_file(path_, 200'000), std::string(200'000, 'x'));
  EXPECT_EQ(number_of(path_, 199'999), EFBIG);
  {
    const std::ofstream empty(path_, std::ios::trunc);
  }
  EXPECT_EQ(read_named_file(path_, 0), "") << "an empty file is one";
}

TEST_F(NamedFile, WhatIsNoneIsSaid) {
  EXPECT_EQ(number_of(path_), ENOENT);
  EXPECT_EQ(number_of(directory_), EISDIR);
  EXPECT_EQ(number_of("/dev/zero"), EFBIG);
}

TEST_F(NamedFile, APipeThatNobodyWritesIntoIsNotWaitedFor) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(number_of(path_), EPIPE);
}

// As a shell's <(…) gives it: what was written before and what comes later, from who holds the other end.
TEST_F(NamedFile, APipeIsReadUntilItsWriterIsDone) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const std::string written(300'000, 'y');  // more than a pipe holds
  std::jthread writer([&] {
    for (size_t at = 0; at < written.size();) {
      const ssize_t count = write(ends[1], written.data() + at, written.size() - at);
      if (count <= 0) break;
      at += static_cast<size_t>(count);
    }
    close(ends[1]);
  });
  const auto text = read_named_file("/dev/fd/" + std::to_string(ends[0]), 1 << 20);
  close(ends[0]);
  ASSERT_TRUE(text) << text.error().why;
  EXPECT_EQ(*text, written);
}

TEST_F(NamedFile, APipeWithoutAnEndIsGivenUp) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const int held = open(path_.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(write(held, "some", 4), 4);
  const auto text = read_named_file(path_, 100, std::chrono::milliseconds(20));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().number, ETIMEDOUT);
  EXPECT_EQ(text.error().why, "its end did not come within 20ms");
  close(held);
}

}  // namespace
}  // namespace verge
