#include "storage/node_identity.h"

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/value_of.h"

namespace verge::storage {
namespace {

class NodeIdentityTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "verge-identity-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  NodeIdentity open() {
    const Result<NodeIdentity> identity = open_identity(file_system_, directory_);
    EXPECT_TRUE(identity.has_value()) << identity.error().line();
    return *identity;
  }
  void write(const std::string& name, std::string_view content) {
    ASSERT_TRUE(file_system_.replace_file(directory_ + "/" + name, content).has_value());
  }
  std::string read(const std::string& name) {
    return file_system_.read_file(directory_ + "/" + name, 1024).value_or("");
  }

  PosixFileSystem file_system_;
  std::string directory_;
};

TEST_F(NodeIdentityTest, IsMadeOnceAndKept) {
  const NodeIdentity made = open();
  EXPECT_FALSE(made.replaced.has_value());
  const NodeIdentity again = open();
  EXPECT_EQ(again.id, made.id);
  EXPECT_FALSE(again.replaced.has_value());
  EXPECT_EQ(read("node-id"), read("node-id.copy"));
  EXPECT_EQ(read_identity(file_system_, directory_), made.id);
}

// Whatever byte of either file is flipped, the node stays who it is, and both files are sound again.
TEST_F(NodeIdentityTest, NoFlippedByteInOneFileChangesIt) {
  const NodeId id = open().id;
  const std::string sound = read("node-id");
  for (const char* name : {"node-id", "node-id.copy"}) {
    for (size_t at = 0; at < sound.size(); ++at) {
      std::string damaged = sound;
      damaged[at] = static_cast<char>(damaged[at] ^ 1);
      write(name, damaged);
      EXPECT_EQ(read_identity(file_system_, directory_), id) << name << " byte " << at;
      const NodeIdentity found = open();
      EXPECT_EQ(found.id, id) << name << " byte " << at;
      EXPECT_EQ(tests::value_of(found.replaced).code, "storage.identity-restored") << name << " byte " << at;
      EXPECT_EQ(read("node-id"), sound);
      EXPECT_EQ(read("node-id.copy"), sound);
    }
  }
}

TEST_F(NodeIdentityTest, AMissingFileIsMadeAnew) {
  const NodeId id = open().id;
  ASSERT_TRUE(file_system_.remove(directory_ + "/node-id").has_value());
  EXPECT_EQ(open().id, id);
  ASSERT_TRUE(file_system_.remove(directory_ + "/node-id.copy").has_value());
  const NodeIdentity found = open();
  EXPECT_EQ(found.id, id);
  EXPECT_FALSE(found.replaced.has_value()) << "older versions made none";
  EXPECT_EQ(read("node-id.copy"), read("node-id"));
}

TEST_F(NodeIdentityTest, OneOfAnOlderVersionOrABackupIsTaken) {
  open();
  const NodeId other = NodeId::generate();
  write("node-id", other.text() + "\n");
  const NodeIdentity found = open();
  EXPECT_EQ(found.id, other);
  EXPECT_FALSE(found.replaced.has_value());
  EXPECT_EQ(read("node-id.copy"), read("node-id"));
}

TEST_F(NodeIdentityTest, WhereBothAreDamagedTheyAreKeptAsideAndItIsANewOne) {
  const NodeId id = open().id;
  write("node-id", "nonsense\n");
  write("node-id.copy", "");
  const NodeIdentity found = open();
  EXPECT_NE(found.id, id);
  EXPECT_EQ(tests::value_of(found.replaced).code, "storage.identity-lost");
  EXPECT_EQ(read("node-id.damaged"), "nonsense\n");
  EXPECT_FALSE(open().replaced.has_value());
}

}  // namespace
}  // namespace verge::storage
