#include "cache/encodings.h"

#include <gtest/gtest.h>

#include "compress/zstd_frame.h"

namespace verge::cache {
namespace {

using compress::ContentCoding;
using std::chrono::milliseconds;

std::string text_of(size_t size) {
  std::string text;
  for (size_t i = 0; text.size() < size; ++i) text.append("reading ").append(std::to_string(i * 31)).append("\n");
  text.resize(size);
  return text;
}

class EncodingsTest : public testing::Test {
 protected:
  // Turns the loop until nothing is posted any more.
  void settle() {
    loop_.post([this] { loop_.post([this] { turns_left_ = 64, turn(); }); });
    loop_.run();
  }
  void turn() {
    if (--turns_left_ == 0) return loop_.stop();
    loop_.post([this] { turn(); });
  }
  static std::string all_of(const Body& body) {
    std::string all;
    while (true) {
      const Body::Read read = body.read(all.size());
      if (read.piece.size == 0) return all;
      all.append(read.piece.bytes.view().substr(read.piece.offset, read.piece.size));
    }
  }

  runtime::Loop loop_{"test"};
  Encodings encodings_{loop_};
  int turns_left_ = 0;
};

TEST_F(EncodingsTest, ABodyIsCodedOnceForAllAndKept) {
  const std::string text = text_of(200'000);
  const auto source = Body::of(Payload(text));
  int made = 0;
  const auto first = encodings_.kept(source, ContentCoding::kZstd, [&] { ++made; });
  const auto second = encodings_.kept(source, ContentCoding::kZstd, [&] { ++made; });
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first, second);
  EXPECT_EQ(first->state(), Body::State::kGrowing);
  settle();
  EXPECT_EQ(made, 1);
  ASSERT_EQ(first->state(), Body::State::kComplete);
  // The frame of a body whose length is known states it.
  EXPECT_EQ(compress::zstd_content(all_of(*first)), text);
  EXPECT_EQ(source->held_bytes(), text.size() + first->size());
  EXPECT_EQ(encodings_.kept(source, ContentCoding::kZstd, {}), first);
}

TEST_F(EncodingsTest, WhatArrivesIsReadInTheCodingWhileItArrives) {
  const auto source = std::make_shared<Body>();
  const auto coded = encodings_.kept(source, ContentCoding::kGzip, {});
  source->append(Payload("data: 1\n\n"));
  bool grew = false;
  coded->join([&] {
    grew = true;
    loop_.stop();
  });
  loop_.run();  // ends by the flush
  EXPECT_TRUE(grew);
  EXPECT_EQ(coded->state(), Body::State::kGrowing);
  source->break_off();
  settle();
  EXPECT_EQ(coded->state(), Body::State::kBroken);
  EXPECT_EQ(source->readers(), 0U);
  // Another attempt makes another.
  EXPECT_EQ(encodings_.kept(source, ContentCoding::kGzip, {}), nullptr);
}

TEST_F(EncodingsTest, WhatIsNotKeptIsMadeNoFasterThanItIsRead) {
  const auto source = std::make_shared<Body>();
  source->forget_what_is_read();
  std::string noise;  // that no coding makes smaller
  uint64_t state = 1;
  while (noise.size() < 1U << 20) noise.push_back(static_cast<char>((state = state * 6364136223846793005U + 1) >> 56U));
  source->append(Payload(noise));
  const auto coded = encodings_.passing(source, ContentCoding::kGzip);
  const Body::ReaderId reader = coded->join([] {});
  settle();
  EXPECT_LT(coded->size(), noise.size() / 2);
  EXPECT_GT(source->lag(), 0U);
  uint64_t place = 0;
  for (int i = 0; i < 100 && source->lag() > 0; ++i) {
    place = coded->size();
    coded->advance(reader, place);
    settle();
  }
  EXPECT_EQ(source->lag(), 0U);
  coded->leave(reader);
  settle();
  EXPECT_EQ(source->readers(), 0U);
}

TEST_F(EncodingsTest, WhatNobodyCameForIsGivenUp) {
  const auto source = std::make_shared<Body>();
  encodings_.passing(source, ContentCoding::kGzip);
  EXPECT_EQ(source->readers(), 1U);
  settle();
  EXPECT_EQ(source->readers(), 0U);
}

TEST_F(EncodingsTest, LargeBodiesAndTooManyAtOnceGoAsTheyAre) {
  const auto large = std::make_shared<Body>(Encodings::kKeptBytesMax + 1);
  EXPECT_EQ(encodings_.kept(large, ContentCoding::kGzip, {}), nullptr);
  std::vector<std::shared_ptr<Body>> sources;
  for (size_t i = 0; i < Encodings::kMost; ++i) {
    sources.push_back(std::make_shared<Body>());
    EXPECT_NE(encodings_.kept(sources.back(), ContentCoding::kGzip, {}), nullptr);
  }
  const auto one_more = std::make_shared<Body>();
  EXPECT_EQ(encodings_.kept(one_more, ContentCoding::kGzip, {}), nullptr);
  EXPECT_EQ(encodings_.passing(one_more, ContentCoding::kGzip), nullptr);
  EXPECT_NE(encodings_.kept(sources.front(), ContentCoding::kGzip, {}), nullptr);
}

TEST_F(EncodingsTest, AKeptBodyThatTurnsOutTooLargeIsLetGoBehindItsReaders) {
  const auto source = std::make_shared<Body>();
  const auto coded = encodings_.kept(source, ContentCoding::kZstd, {});
  const Body::ReaderId reader = coded->join([] {});
  const std::string text = text_of(1U << 20);
  for (int i = 0; i < 20; ++i) {
    source->append(Payload(text));
    for (int k = 0; k < 2; ++k) settle();
    coded->advance(reader, coded->size());
  }
  EXPECT_LT(coded->held_bytes(), coded->size() / 2);
  EXPECT_EQ(encodings_.kept(source, ContentCoding::kZstd, {}), nullptr);
}

}  // namespace
}  // namespace verge::cache
