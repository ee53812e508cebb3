#include "cache/static_files.h"

#include <filesystem>
#include <fstream>
#include <future>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/content_type.h"
#include "tests/support/value_of.h"

namespace verge::cache {
namespace {

using tests::value_of;

using Kind = FileFound::Kind;

class StaticFilesTest : public ::testing::Test {
 protected:
  StaticFilesTest() {
    std::string name = (std::filesystem::temp_directory_path() / "verge-static-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    std::filesystem::create_directories(directory_ + "/root/sub");
    write("root/a.txt", "hello");
    write("root/.secret", "no");
    write("root/sub/index.html", "<p>");
    write("outside", "no");
    std::filesystem::create_symlink("../outside", directory_ + "/root/out");
    std::filesystem::create_symlink(directory_ + "/outside", directory_ + "/root/absolute");
    std::filesystem::create_symlink("a.txt", directory_ + "/root/in");
    ::mkfifo((directory_ + "/root/pipe").c_str(), 0600);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& name, std::string_view text) { std::ofstream(directory_ + "/" + name) << text; }
  FileFound find(std::string path, bool dotfiles = false, std::vector<std::string_view> codings = {}) {
    return find_file({.root = {.directory = directory_ + "/root", .precompressed = true, .dotfiles = dotfiles},
                      .path = std::move(path),
                      .codings = std::move(codings)});
  }

  std::string directory_;
};

TEST_F(StaticFilesTest, FindsWhatIsBeneath) {
  const FileFound found = find("/a.txt");
  ASSERT_EQ(found.kind, Kind::kFile);
  EXPECT_EQ(value_of(found.whole).view(), "hello");
  EXPECT_EQ(found.content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(value_of(find("/sub/").whole).view(), "<p>");
  EXPECT_EQ(find("/sub").kind, Kind::kDirectory);
  EXPECT_EQ(find("/").kind, Kind::kNone) << "no index";
}

TEST_F(StaticFilesTest, NothingElse) {
  for (const char* path : {"/../outside", "../outside", "/sub/../../outside", "/out", "/absolute", "/.secret", "/pipe",
                           "/sub/.", "/a.txt/", "/none", "//etc/passwd"}) {
    EXPECT_EQ(find(path).kind, Kind::kNone) << path;
  }
  EXPECT_EQ(find(std::string("/a.txt\0x", 8)).kind, Kind::kNone);
  EXPECT_EQ(find("/.secret", true).kind, Kind::kFile);
  EXPECT_EQ(find("/in").kind, Kind::kFile) << "a link that stays beneath";
}

TEST_F(StaticFilesTest, ServesPrecompressedSiblings) {
  write("root/a.txt.gz", "zipped");
  const FileFound found = find("/a.txt", false, {"br", "gzip"});
  EXPECT_EQ(value_of(found.whole).view(), "zipped");
  EXPECT_EQ(found.coding, "gzip");
  EXPECT_EQ(found.content_type, "text/plain; charset=utf-8");
  EXPECT_NE(found.entity_tag, find("/a.txt").entity_tag);
}

TEST_F(StaticFilesTest, ALargeFileIsReadAtThePaceOfItsReader) {
  constexpr size_t kSize = 5U << 20;
  write("root/large", std::string(kSize, 'x'));
  const FileFound found = find("/large");
  ASSERT_FALSE(found.whole);
  StaticFiles files;
  const std::shared_ptr<Body> body = files.read(found.file, 100, kSize - 100);
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t changes = 0;
  const Body::ReaderId reader = body->join([&] {
    const std::lock_guard lock(mutex);
    ++changes;
    changed.notify_all();
  });
  uint64_t place = 0, held_most = 0;
  while (true) {
    uint64_t before = 0;
    {
      const std::lock_guard lock(mutex);
      before = changes;
    }
    const Body::Read read = body->read(place);
    held_most = std::max(held_most, body->held_bytes());
    if (read.piece.size > 0) {
      place += read.piece.size;
      body->advance(reader, place);
      continue;
    }
    if (read.state != Body::State::kGrowing) break;
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(30), [&] { return changes != before; }));
  }
  body->leave(reader);
  EXPECT_EQ(place, kSize - 100);
  EXPECT_EQ(body->state(), Body::State::kComplete);
  EXPECT_LE(held_most, StaticFiles::kWindow + (256U << 10));
}

TEST_F(StaticFilesTest, AFileThatBecameShorterBreaksOff) {
  write("root/large", std::string(1U << 20, 'x'));
  const FileFound found = find("/large");
  std::filesystem::resize_file(directory_ + "/root/large", 10);
  StaticFiles files;
  const std::shared_ptr<Body> body = files.read(found.file, 0, found.size);
  std::promise<void> broken;
  bool told = false;
  const Body::ReaderId reader = body->join([&] {
    if (body->state() == Body::State::kBroken && !std::exchange(told, true)) broken.set_value();
  });
  if (body->state() != Body::State::kBroken) {
    EXPECT_EQ(broken.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
  }
  body->leave(reader);
}

TEST(ContentType, IsByTheEndOfTheName) {
  EXPECT_EQ(content_type_of("/a.b/x.HTML"), "text/html; charset=utf-8");
  EXPECT_EQ(content_type_of("/a.html/x"), "application/octet-stream");
  EXPECT_EQ(content_type_of("x.woff2"), "font/woff2");
}

}  // namespace
}  // namespace verge::cache
