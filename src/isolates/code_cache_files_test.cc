#include "isolates/code_cache_files.h"

#include <filesystem>
#include <fstream>
#include <random>

#include <gtest/gtest.h>
#include <unistd.h>

namespace verge::isolates {
namespace {

namespace fs = std::filesystem;

class CodeCacheFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* its = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = fs::temp_directory_path() / ("verge-code-" + std::to_string(getpid()) + "-" + its->name());
    fs::remove_all(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::unique_ptr<CodeCacheFiles> open() const {
    auto opened = CodeCacheFiles::open(directory_.string());
    EXPECT_TRUE(opened.has_value());
    return std::move(*opened);
  }
  static WorkerCode code(std::string owner, std::string source) {
    return {.name = "w",
            .owner = std::move(owner),
            .kind = calls::ProgramKind::kWorker,
            .modules = {{"w.js", calls::ModuleType::kJavaScript, std::move(source)}},
            .variables = {},
            .limits = {}};
  }
  static std::shared_ptr<const std::string> text(std::string bytes) {
    return std::make_shared<const std::string>(std::move(bytes));
  }

  fs::path directory_;
};

TEST_F(CodeCacheFilesTest, WhatWasKeptIsThereAfterARestart) {
  const std::string compiled("compiled\0code", 13);
  open()->keep(code("a", "one"), text(compiled));
  EXPECT_EQ(open()->find(code("a", "one")), compiled);
}

TEST_F(CodeCacheFilesTest, AnotherOwnerOrSourceIsGivenNothing) {
  open()->keep(code("a", "one"), text("compiled"));
  const auto files = open();
  EXPECT_EQ(files->find(code("b", "one")), "");
  EXPECT_EQ(files->find(code("a", "two")), "");
  WorkerCode split = code("a", "one");
  split.modules.front().name = "w.jso";
  split.modules.front().source = "ne";
  EXPECT_EQ(files->find(split), "");
}

TEST_F(CodeCacheFilesTest, AnyDamageReadsAsNothing) {
  const WorkerCode its = code("a", "one");
  open()->keep(its, text(std::string(200, 'c')));
  const auto files = open();
  const std::string path = files->path_of(its);
  std::string whole;
  {
    std::ifstream in(path, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  ASSERT_FALSE(files->find(its).empty());
  const auto put = [&](std::string_view content) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
  };
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    put(damaged);
    EXPECT_EQ(files->find(its), "") << "byte " << at;
    put(std::string_view(whole).substr(0, at));
    EXPECT_EQ(files->find(its), "") << "cut at " << at;
  }
  put(whole);
  EXPECT_EQ(files->find(its), std::string(200, 'c'));
}

TEST_F(CodeCacheFilesTest, TheOldestGoWhenThereIsTooMuch) {
  open();
  const auto put = [&](const char* name, uint64_t bytes, int age) {
    const fs::path path = directory_ / name;
    std::ofstream(path).put('x');
    fs::resize_file(path, bytes);
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(age));
  };
  put("new.code", 100U << 20, 1);
  put("older.code", 100U << 20, 2);
  put("oldest.code", 100U << 20, 3);
  put("foreign.txt", 100U << 20, 4);
  open();
  EXPECT_TRUE(fs::exists(directory_ / "new.code"));
  EXPECT_TRUE(fs::exists(directory_ / "older.code"));
  EXPECT_FALSE(fs::exists(directory_ / "oldest.code"));
  EXPECT_TRUE(fs::exists(directory_ / "foreign.txt"));
}

}  // namespace
}  // namespace verge::isolates
