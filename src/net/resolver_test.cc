#include "net/resolver.h"

#include <semaphore>
#include <vector>

#include <gtest/gtest.h>

namespace verge::net {
namespace {

TEST(Resolver, AnswersOnTheLoopInOrder) {
  runtime::Loop loop("test");
  Resolver resolver("resolver");
  std::vector<std::string> answers;
  const auto ask = [&](const char* name) {
    resolver.resolve(name, AF_UNSPEC, loop, [&](const Result<Address>& address) {
      EXPECT_TRUE(loop.here());
      answers.push_back(address ? address->text() : std::string(address.error().code));
      if (answers.size() == 3) loop.stop();
    });
  };
  ask("127.0.0.1:80");
  ask("no port");
  ask("[::1]:81");
  loop.run();
  EXPECT_EQ(answers[0], "127.0.0.1:80");
  EXPECT_NE(answers[1], "");
  EXPECT_EQ(answers[2], "[::1]:81");
}

// The name servers do not answer; who is done with the resolver goes on.
TEST(Resolver, NobodyWaitsForANameThatNeverComes) {
  struct Servers {
    std::binary_semaphore asked{0};
    std::binary_semaphore answers{0};
    std::binary_semaphore returned{0};
  };
  const auto servers = std::make_shared<Servers>();
  const auto owned = std::make_shared<int>(0);
  {
    runtime::Loop loop("test");
    bool called = false;
    {
      Resolver resolver("resolver", [servers](const std::string&, int) {
        servers->asked.release();
        servers->answers.acquire();
        servers->returned.release();
        return Address::parse("127.0.0.1:80");
      });
      for (int i = 0; i < 2; ++i) {
        resolver.resolve("fog.example:80", AF_UNSPEC, loop,
                         [&called, owned](const Result<Address>&) { called = true; });
      }
      servers->asked.acquire();
    }
    EXPECT_EQ(owned.use_count(), 1) << "what belongs to others was left with the thread";
    loop.post([&loop] { loop.stop(); });
    loop.run();
    EXPECT_FALSE(called);
  }
  servers->answers.release();  // there is neither resolver nor loop any more
  servers->returned.acquire();
}

}  // namespace
}  // namespace verge::net
