#include "cache/encodings.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace verge::cache {
namespace {

constexpr size_t kSliceBytes = 16U << 10;  // a turn
constexpr uint64_t kLagMax = 256U << 10;   // that the slowest reader of what is not kept may be behind
constexpr Duration kFlushAfter = std::chrono::milliseconds(5);

}  // namespace

class Encodings::Task {
 public:
  Task(Encodings& owner, std::shared_ptr<Body> source, std::shared_ptr<Body> coded, compress::ContentCoding coding,
       bool is_kept, std::function<void()> made)
      : owner_(owner),
        source_(std::move(source)),
        coded_(std::move(coded)),
        encoder_(compress::Encoder::make(coding, source_->length())),
        is_kept_(is_kept),
        made_(std::move(made)),
        flush_timer_(owner.loop_),
        alive_(std::make_shared<Alive>(this)) {
    coded_->when_read([this_loop = &owner_.loop_, alive = std::weak_ptr(alive_)] { go_on(*this_loop, alive); });
    reader_ = source_->join([this_loop = &owner_.loop_, alive = std::weak_ptr(alive_)] { go_on(*this_loop, alive); });
    if (!is_kept_) coded_->forget_what_is_read();
  }
  ~Task() {
    source_->leave(reader_);
    coded_->break_off();
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  void go_on() { go_on(owner_.loop_, alive_); }

 private:
  // Any thread.
  struct Alive {
    explicit Alive(Task* its) : task(its) {}
    Task* task;
    std::atomic<bool> is_posted{false};
  };
  static void go_on(runtime::Loop& loop, const std::weak_ptr<Alive>& alive) {
    const auto task = alive.lock();
    if (!task || task->is_posted.exchange(true)) return;
    loop.post([alive] {
      const auto there = alive.lock();
      if (!there) return;
      there->is_posted = false;
      there->task->step();
    });
  }

  // One slice. May destroy the task.
  void step() {
    if (is_kept_ && place_ > kKeptBytesMax) {
      // Nobody joins any more: see kept().
      is_kept_ = false;
      coded_->forget_what_is_read();
    }
    if (!is_kept_) {
      const bool nobody_came = coded_.use_count() == 1;
      if (nobody_came || (coded_->readers() == 0 && coded_->has_been_read())) return end();
      if (coded_->lag() > kLagMax) return;
    }
    const Body::Read read = source_->read(place_);
    if (read.piece.size == 0) {
      if (read.state == Body::State::kGrowing) {
        if (unflushed_ && !flush_timer_.pending()) flush_timer_.after(kFlushAfter, [this] { flush(); });
        return;
      }
      if (read.state == Body::State::kComplete) finish();
      return end();
    }
    const size_t size = std::min(read.piece.size, kSliceBytes);
    encoder_->write(read.piece.bytes.view().substr(read.piece.offset, size), output_);
    put_out();
    place_ += size;
    unflushed_ = true;
    source_->advance(reader_, place_);
    go_on();
  }

  void flush() {
    unflushed_ = false;
    encoder_->flush(output_);
    put_out();
  }

  void finish() {
    encoder_->finish(output_);
    put_out();
    coded_->complete(source_->trailers());
    if (is_kept_ && made_) made_();
  }

  void put_out() {
    if (output_.empty()) return;
    coded_->append(Payload(output_));
    output_.clear();
  }

  void end() { owner_.tasks_.erase(this); }

  Encodings& owner_;
  const std::shared_ptr<Body> source_;
  const std::shared_ptr<Body> coded_;
  const std::unique_ptr<compress::Encoder> encoder_;
  bool is_kept_;
  const std::function<void()> made_;
  runtime::Timer flush_timer_;
  Body::ReaderId reader_ = 0;
  uint64_t place_ = 0;
  bool unflushed_ = false;
  std::string output_;
  std::shared_ptr<Alive> alive_;
};

Encodings::Encodings(runtime::Loop& loop) : loop_(loop) {}

Encodings::~Encodings() = default;

std::shared_ptr<Body> Encodings::kept(const std::shared_ptr<Body>& source, compress::ContentCoding coding,
                                      std::function<void()> made) {
  // What grows beyond is let go behind its readers; nobody joins shortly before.
  constexpr uint64_t kJoinedBytesMax = kKeptBytesMax - (1U << 20);
  if (std::max(source->size(), source->length().value_or(0)) > kJoinedBytesMax) return nullptr;
  const bool may_start = tasks_.size() < kMost && source->state() != Body::State::kBroken;
  const Body::Coded coded = source->coded(static_cast<size_t>(coding), may_start);
  if (coded.is_new) start(source, coded.body, coding, /*is_kept=*/true, std::move(made));
  return coded.body;
}

std::shared_ptr<Body> Encodings::passing(const std::shared_ptr<Body>& source, compress::ContentCoding coding) {
  if (tasks_.size() >= kMost) return nullptr;
  auto coded = std::make_shared<Body>();
  start(source, coded, coding, /*is_kept=*/false, {});
  return coded;
}

void Encodings::start(const std::shared_ptr<Body>& source, const std::shared_ptr<Body>& coded,
                      compress::ContentCoding coding, bool is_kept, std::function<void()> made) {
  auto task = std::make_unique<Task>(*this, source, coded, coding, is_kept, std::move(made));
  Task* key = task.get();
  tasks_.emplace(key, std::move(task));
  key->go_on();
}

}  // namespace verge::cache
