#include "cache/answer_tap.h"

#include <gtest/gtest.h>

namespace verge::cache {
namespace {

// The exchange of a client, which notes what it is told.
class Told final : public net::HttpExchange {
 public:
  void respond(const net::HttpResponse& response) override {
    for (const auto& [name, value] : response.fields) said.append(name).append("=").append(value).append(" ");
    end();
  }
  void respond_prepared(std::string_view head, const Payload& body, size_t offset, size_t size) override {
    said.append(head).append(body.view().substr(offset, size));
    end();
  }
  void send_interim(int, std::span<const net::HttpField>) override {}
  void start_stream(const net::HttpResponse&) override {}
  void start(const net::HttpResponseHead& head, const net::BodyFraming&) override {
    for (const auto& [name, value] : head.fields) said.append(name).append("=").append(value).append(" ");
  }
  void write_piece(std::string_view piece) override { said.append(piece); }
  void write_piece(const Payload& bytes, size_t offset, size_t size) override {
    said.append(bytes.view().substr(offset, size));
  }
  void finish_stream(std::span<const net::HttpField>) override { end(); }
  [[nodiscard]] bool is_old() const override { return false; }
  void switch_protocols(const net::HttpResponseHead&, net::RawObserver&) override {}
  void pause_raw(bool) override {}
  void drop(bool streaming) override {
    said.append(streaming ? "broken" : "500");
    end();
  }
  [[nodiscard]] size_t queued_bytes() const override { return 0; }
  void when_drained(std::function<void()>) override {}
  void when_closed(std::function<void()> told) override { closed = std::move(told); }

  // The client goes.
  void leave() {
    forget_responder();
    const std::function<void()> told = std::exchange(closed, nullptr);
    if (told) told();
  }

  std::string said;
  std::function<void()> closed;

 private:
  void end() {
    responder_ = nullptr;
    closed = nullptr;
  }
};

class AnswerTapTest : public ::testing::Test {
 protected:
  net::HttpResponder tapped() {
    const net::HttpRequest request{
        .method = "GET", .target = "/", .host = "a", .path = "/", .query = {}, .fields = {}, .body = {}, .peer = peer};
    AnswerTap::Options options;
    options.edits = &edits;
    tap = std::make_unique<AnswerTap>(request, net::HttpResponder(told), std::move(options), [this](AnswerTap&) {
      ++ended;
      tap.reset();
    });
    return net::HttpResponder(*tap);
  }

  net::Address peer;
  FieldEdits edits{.remove = {"Server"}, .set = {{"X", "1"}}, .add = {}};
  Told told;
  std::unique_ptr<AnswerTap> tap;
  int ended = 0;
};

TEST_F(AnswerTapTest, EditsWholeAnswers) {
  tapped().respond({.status = 200, .content_type = "text/plain", .fields = {{"Server", "a"}}, .body = "b"});
  EXPECT_EQ(told.said, "Content-Type=text/plain X=1 ");
  EXPECT_EQ(ended, 1);
}

TEST_F(AnswerTapTest, EditsPreparedHeads) {
  tapped().respond_prepared("HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 1\r\n", Payload("b"), 0, 1);
  EXPECT_EQ(told.said, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: 1\r\nb");
  EXPECT_EQ(ended, 1);
}

TEST_F(AnswerTapTest, EditsAnswersInPieces) {
  net::HttpResponder responder = tapped();
  const net::HttpField field{"Server", "a"};
  responder.start({.status = 200, .reason = {}, .fields = std::span(&field, 1)}, {});
  responder.write("bc");
  EXPECT_EQ(ended, 0);
  responder.finish();
  EXPECT_EQ(told.said, "X=1 bc");
  EXPECT_EQ(ended, 1);
}

TEST_F(AnswerTapTest, EndsWithTheClient) {
  net::HttpResponder responder = tapped();
  int closed = 0;
  responder.when_closed([&] { ++closed; });
  told.leave();
  EXPECT_EQ(closed, 1);
  EXPECT_EQ(ended, 1);
  EXPECT_FALSE(responder.is_open());
}

TEST_F(AnswerTapTest, ADroppedAnswerIsDroppedInTurn) {
  {
    const net::HttpResponder responder = tapped();
  }
  EXPECT_EQ(told.said, "500");
  {
    net::HttpResponder responder = tapped();
    responder.start({.status = 200, .reason = {}, .fields = {}}, {});
  }
  EXPECT_TRUE(told.said.ends_with("broken"));
  EXPECT_EQ(ended, 2);
}

}  // namespace
}  // namespace verge::cache
