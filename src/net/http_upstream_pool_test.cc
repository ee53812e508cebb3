// Connections, their bounds and time-outs, and who may go when.
#include "net/http_upstream_fixture.h"

namespace verge::net {
namespace {

using std::chrono::milliseconds;

TEST_F(UpstreamTest, UsesAConnectionAgainOnlyWhenTheAnswerLeftItClean) {
  const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
  answer_with({
      kNothing,
      ok + "\r\nok",
      kChunked + "2\r\nok\r\n0\r\n\r\n",  // until here on one connection
      ok + "\r\nok and more",
      ok + "Connection: close\r\n\r\nok",
      "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
      ok + "\r\nok",
  });
  open();
  const std::function<void()> next = [&] {
    if (++over == 7) return loop.stop();
    loop.post([&] { ask().when_over = next; });
  };
  ask().when_over = next;
  loop.run();
  for (size_t i = 1; i < 7; ++i) EXPECT_TRUE(askers[i]->story.ends_with("ok | end")) << askers[i]->story;
  EXPECT_EQ(connections, 4);
  EXPECT_EQ(pool->counters().opened.value(), 4U);
  EXPECT_EQ(pool->counters().requests.value(), 7U);
  EXPECT_EQ(pool->counters().connections.value(), 1U);
  EXPECT_EQ(pool->counters().failures.value(), 0U);
}

TEST_F(UpstreamTest, BytesThatNobodyAskedForCloseAnIdleConnection) {
  answer_with({kNothing});
  open();
  ask();
  loop.run();
  origins[0]->when_closed = [&] { loop.stop(); };
  origins[0]->stream.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  loop.run();
  EXPECT_EQ(pool->connections(), 0U);
}

TEST_F(UpstreamTest, RepeatsOnlyWhatIsIdempotentOnAConnectionThatWasStale) {
  for (const char* method : {"GET", "POST"}) {
    asked = 0;
    answer_with({kNothing, "", kNothing});
    open();
    const int before = connections;
    ask();
    loop.run();
    Asker& second = ask({.method = method});
    loop.run();
    const bool repeated = method == std::string_view("GET");
    EXPECT_EQ(second.story, repeated ? "204 none |  | end" : "http.closed");
    EXPECT_EQ(connections - before, repeated ? 2 : 1);
    EXPECT_EQ(pool->counters().repeated.value(), repeated ? 1U : 0U);
  }
  // Not again on a new one, and not after a byte of an answer.
  asked = 0;
  answer_with({kNothing, "", ""});
  open();
  ask();
  loop.run();
  EXPECT_EQ(ask().story, "");
  loop.run();
  EXPECT_EQ(askers.back()->story, "http.closed");
  EXPECT_EQ(asked, 3U);
}

TEST_F(UpstreamTest, ARepeatedRequestGetsANewConnectionEvenWhereAllAreTaken) {
  // Two connections become idle; the first request on either closes it.
  script = [this](Origin& origin) {
    if (!origin.received.ends_with("\r\n\r\n")) return;
    origin.received.clear();
    if (++asked == 1) return;
    if (asked == 2) {
      origins[0]->stream.write(kNothing);
      return origin.stream.write(kNothing);
    }
    if (asked == 3) return origin.stream.close();
    origin.stream.write(kNothing);
  };
  open({.connections_max = 2});
  ask();
  ask();
  loop.run();
  ASSERT_EQ(pool->idle(), 2U);
  Asker& third = ask();
  loop.run();
  EXPECT_EQ(third.story, "204 none |  | end");
  EXPECT_EQ(connections, 3);
}

TEST_F(UpstreamTest, BoundsConnectionsAndThoseWhoWait) {
  size_t open_max = 0;
  script = [&](Origin& origin) {
    origin.received.clear();
    size_t open_now = 0;
    for (const auto& each : origins) open_now += each->closed ? 0 : 1;
    open_max = std::max(open_max, open_now);
    origin.stream.write(kNothing);
  };
  open({.connections_max = 3, .idle_connections_max = 1, .waiting_max = 10});
  for (int i = 0; i < 12; ++i) ask();
  EXPECT_EQ(pool->waiting(), 10U);
  loop.run();
  size_t full = 0;
  for (const auto& asker : askers) full += asker->story == "http.queue-full" ? 1 : 0;
  EXPECT_EQ(full, 2U);
  EXPECT_EQ(askers[9]->story, "204 none |  | end");
  EXPECT_LE(open_max, 3U);
  EXPECT_EQ(pool->idle(), 1U);
  EXPECT_EQ(pool->counters().failures.value(), 2U);
}

// Nobody listens there.
Address dead_address() {
  const std::vector<Socket> sockets = *listen_on_loops(*Address::parse("127.0.0.1:0"), 1);
  return Address::local_of(sockets[0].descriptor());
}

TEST_F(UpstreamTest, AnAddressThatTakesNoConnectionGivesWayToTheNext) {
  answer_with({kNothing});
  pool = std::make_unique<UpstreamPool>(loop, std::vector{dead_address(), address}, UpstreamLimits{});
  for (int i = 0; i < 3; ++i) ask();
  loop.run();
  for (const auto& asker : askers) EXPECT_EQ(asker->story, "204 none |  | end");
  EXPECT_EQ(pool->counters().failures.value(), 0U);
}

TEST_F(UpstreamTest, WhereNoAddressTakesAConnectionAllFail) {
  pool = std::make_unique<UpstreamPool>(loop, std::vector{dead_address(), dead_address()}, UpstreamLimits{});
  for (int i = 0; i < 3; ++i) ask();
  loop.run();
  for (const auto& asker : askers) EXPECT_EQ(asker->story, "http.connect-refused");
}

TEST_F(UpstreamTest, MovesToOtherAddresses) {
  answer_with({kNothing});
  open();
  ask();
  loop.run();
  EXPECT_EQ(pool->idle(), 1U);
  pool->move_to({address, dead_address()});
  EXPECT_EQ(pool->idle(), 1U) << "it is still one of them";
  pool->move_to({dead_address()});
  EXPECT_EQ(pool->idle(), 0U);
  ask();
  loop.run();
  EXPECT_EQ(askers[1]->story, "http.connect-refused");
  pool->move_to({address});
  ask();
  loop.run();
  EXPECT_EQ(askers[2]->story, "204 none |  | end");
}

TEST_F(UpstreamTest, AConnectionToAnAddressThatIsNoMoreEndsWithItsCall) {
  script = [&](Origin& origin) {
    pool->move_to({dead_address()});
    origin.stream.write(kNothing);
  };
  open();
  ask();
  loop.run();
  EXPECT_EQ(askers[0]->story, "204 none |  | end");
  EXPECT_EQ(pool->connections(), 0U);
}

TEST_F(UpstreamTest, IdleConnectionsAreNotKeptForever) {
  answer_with({kNothing});
  open({.idle_connection_max = milliseconds(2)});
  ask();
  loop.run();
  origins[0]->when_closed = [&] { loop.stop(); };
  loop.run();
  EXPECT_EQ(pool->connections(), 0U);
}

TEST_F(UpstreamTest, WhoPausesDoesNotTimeOut) {
  script = [](Origin& origin) { origin.stream.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"); };
  open({.idle_timeout = milliseconds(1)});
  Asker& asker = ask();
  runtime::Timer wait(loop);
  asker.when_body = [&] {
    asker.when_body = {};
    asker.call->pause();
    wait.after(milliseconds(10), [&] {
      asker.call->resume();
      origins[0]->stream.write("lf");
    });
  };
  loop.run();
  EXPECT_EQ(asker.story, "200 length | half | end");
}

TEST_F(UpstreamTest, WaitsForNobodyTooLong) {
  script = [](Origin&) {};
  open({.connections_max = 1, .wait_timeout = milliseconds(1), .head_timeout = milliseconds(10)});
  ask();
  ask();
  loop.run();
  EXPECT_EQ(askers[0]->story, "http.timeout");
  EXPECT_EQ(askers[1]->story, "http.timeout");
  EXPECT_EQ(pool->connections(), 0U);
  script = [](Origin& origin) { origin.stream.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"); };
  open({.idle_timeout = milliseconds(5)});
  ask();
  loop.run();
  EXPECT_EQ(askers.back()->story, "200 length | ha | http.timeout");
}

TEST_F(UpstreamTest, FailsWithWhatHappened) {
  open();
  const std::vector<HttpField> bad = {{"X", "a\r\nY: b"}};
  ask({.target = "/a b"});
  ask({.fields = bad});
  ask({.method = "CONNECT", .target = "a:1"});
  loop.run();
  for (const auto& asker : askers) EXPECT_EQ(asker->story, "http.bad-request");
  listener.reset();
  ask();
  ask();
  loop.run();
  EXPECT_EQ(askers[3]->story, "http.connect-refused");
  EXPECT_EQ(askers[4]->story, "http.connect-refused");
  EXPECT_EQ(pool->counters().failures.value(), 5U);
}

TEST_F(UpstreamTest, ACallThatIsDestroyedClosesItsConnection) {
  script = [](Origin& origin) { origin.stream.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"); };
  open();
  Asker& asker = ask();
  asker.when_body = [&] {
    asker.call.reset();
    origins[0]->when_closed = [&] { loop.stop(); };
  };
  Asker& unsent = ask();
  unsent.call.reset();
  loop.run();
  EXPECT_EQ(asker.story, "200 length");
  EXPECT_EQ(pool->counters().failures.value(), 0U);
}

TEST_F(UpstreamTest, CallsAndThePoolMayGoInEveryCallback) {
  const std::string answer = "HTTP/1.1 103 Early Hints\r\n\r\n" + kChunked + "2\r\nok\r\n0\r\n\r\n";
  enum class Moment { kHead, kBody, kOver };
  for (const bool all : {false, true}) {
    for (const Moment moment : {Moment::kHead, Moment::kBody, Moment::kOver}) {
      script = [&](Origin& origin) { origin.stream.write(answer); };
      open();
      Asker& asker = ask();
      const std::function<void()> go = [&] {
        asker.call.reset();
        if (all) pool.reset();
        loop.stop();
      };
      (moment == Moment::kHead ? asker.when_head : moment == Moment::kBody ? asker.when_body : asker.when_over) = go;
      loop.run();
      asker.call.reset();
    }
  }
  listener.reset();
  open();
  Asker& refused = ask();
  refused.when_over = [&] {
    pool.reset();
    loop.stop();
  };
  Asker& other = ask();
  loop.run();
  EXPECT_EQ(refused.story, "http.connect-refused");
  EXPECT_EQ(other.story, "");
  other.call->write_body("");
}

}  // namespace
}  // namespace verge::net
