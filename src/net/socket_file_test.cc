#include "net/socket_file.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace verge::net {
namespace {

class SocketFileTest : public testing::Test {
 public:
  SocketFileTest() {
    std::array<char, 64> name = {"/tmp/verge-socket-XXXXXX"};
    directory_ = ::mkdtemp(name.data());
    path_ = directory_ + "/mqtt.sock";
  }
  ~SocketFileTest() override { std::filesystem::remove_all(directory_); }

 protected:
  [[nodiscard]] bool may_connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, path_.size());
    const Socket client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(client.descriptor(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(SocketFileTest, ListensWithTheModeAndGoesWithItsFile) {
  {
    const Result<SocketFile> file = SocketFile::listen(path_, 0620);
    ASSERT_TRUE(file) << file.error().line();
    struct stat found{};
    ASSERT_EQ(::stat(path_.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777U, 0620U);
    EXPECT_TRUE(may_connect());
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(SocketFileTest, ReplacesWhatAProcessLeftBehind) {
  Result<SocketFile> file = SocketFile::listen(path_, 0660);
  ASSERT_TRUE(file);
  const std::string kept = path_ + ".kept";
  std::filesystem::create_hard_link(path_, kept);
  {
    const SocketFile ended = std::move(*file);
  }
  std::filesystem::rename(kept, path_);
  EXPECT_FALSE(may_connect());
  EXPECT_TRUE(SocketFile::check_is_free(path_));
  const Result<SocketFile> again = SocketFile::listen(path_, 0660);
  ASSERT_TRUE(again) << again.error().line();
  EXPECT_TRUE(may_connect());
}

TEST_F(SocketFileTest, LeavesAloneWhatIsInUseOrNoSocket) {
  const Result<SocketFile> file = SocketFile::listen(path_, 0660);
  ASSERT_TRUE(file);
  const Result<SocketFile> second = SocketFile::listen(path_, 0660);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "net.socket-in-use");
  EXPECT_FALSE(SocketFile::check_is_free(path_));
  EXPECT_TRUE(may_connect());

  const std::string other = directory_ + "/notes";
  std::ofstream(other) << "kept";
  const Result<SocketFile> taken = SocketFile::listen(other, 0660);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, "net.listen");
  EXPECT_TRUE(std::filesystem::is_regular_file(other));
}

TEST_F(SocketFileTest, RefusesPathsThatCannotBe) {
  for (const std::string& path :
       {std::string(), directory_ + "/none/mqtt.sock", std::string(kSocketPathMax + 1, 'x')}) {
    const Result<SocketFile> file = SocketFile::listen(path, 0660);
    ASSERT_FALSE(file) << path;
    EXPECT_EQ(file.error().code, "net.listen");
  }
}

}  // namespace
}  // namespace verge::net
