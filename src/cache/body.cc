#include "cache/body.h"

#include <algorithm>

namespace verge::cache {

std::shared_ptr<Body> Body::of(Payload bytes) {
  auto body = std::make_shared<Body>(bytes.size());
  if (!bytes.empty()) body->append(std::move(bytes));
  body->complete();
  return body;
}

void Body::append(Payload bytes) {
  if (bytes.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    begins_.push_back(size_);
    size_ += bytes.size();
    held_ += bytes.size();
    pieces_.push_back(std::move(bytes));
  }
  changed();
}

void Body::append_all(const Body& other) {
  for (uint64_t place = 0; place < other.size();) {
    const Piece piece = other.read(place).piece;
    if (piece.size == 0) return;
    place += piece.size;
    append(piece.bytes);
  }
}

void Body::complete(std::span<const net::HttpField> trailers) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::kGrowing) return;
    if (!trailers.empty()) trailers_ = OwnedFields(trailers);
    state_ = State::kComplete;
    length_ = size_;
    if (pieces_.size() > 1 && !forgets_) gather();
  }
  changed();
}

// Under the lock. Pieces as small as they came from the network would cost a look-up each, on every use.
void Body::gather() {
  std::deque<Payload> pieces;
  std::deque<uint64_t> begins;
  uint64_t begin = 0;
  std::string gathered;
  const auto flush = [&] {
    begins.push_back(begin);
    begin += gathered.size();
    pieces.emplace_back(gathered);
    gathered.clear();
  };
  gathered.reserve(std::min<uint64_t>(size_, kGatheredBytes));
  for (const Payload& piece : pieces_) {
    if (!gathered.empty() && gathered.size() + piece.size() > kGatheredBytes) flush();
    gathered.append(piece.view());
  }
  flush();
  pieces_ = std::move(pieces);
  begins_ = std::move(begins);
}

void Body::break_off() {
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::kGrowing) return;
    state_ = State::kBroken;
  }
  changed();
}

void Body::forget_what_is_read() {
  const std::lock_guard lock(mutex_);
  forgets_ = true;
  let_go();
}

// Under the lock.
void Body::let_go() {
  if (!forgets_) return;
  uint64_t read_by_all = readers_.empty() ? 0 : UINT64_MAX;
  for (const auto& [id, reader] : readers_) read_by_all = std::min(read_by_all, reader->place);
  while (!pieces_.empty() && begins_.front() + pieces_.front().size() <= read_by_all) {
    held_ -= pieces_.front().size();
    pieces_.pop_front();
    begins_.pop_front();
  }
}

void Body::changed() {
  std::vector<std::shared_ptr<Reader>> readers;
  {
    const std::lock_guard lock(mutex_);
    readers.reserve(readers_.size());
    for (const auto& [id, reader] : readers_) readers.push_back(reader);
  }
  for (const std::shared_ptr<Reader>& reader : readers) reader->wake();
}

Body::State Body::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

uint64_t Body::size() const {
  const std::lock_guard lock(mutex_);
  return size_;
}

std::optional<uint64_t> Body::length() const {
  const std::lock_guard lock(mutex_);
  return length_;
}

uint64_t Body::held_bytes() const {
  const std::lock_guard lock(mutex_);
  uint64_t bytes = held_;
  for (const std::shared_ptr<Body>& coded : coded_) {
    if (coded) bytes += coded->held_bytes();
  }
  return bytes;
}

Body::Coded Body::coded(size_t coding, bool may_make) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Body>& there = coded_.at(coding);
  if (there && there->state() == State::kBroken) there = nullptr;
  if (there || !may_make) return {.body = there};
  there = std::make_shared<Body>();
  return {.body = there, .is_new = true};
}

const Payload* Body::whole() const {
  static const Payload kEmpty;
  const std::lock_guard lock(mutex_);
  // Complete bodies do not change any more, so what is shown stays.
  if (state_ != State::kComplete || held_ != size_) return nullptr;
  if (pieces_.empty()) return &kEmpty;
  return pieces_.size() == 1 ? &pieces_.front() : nullptr;
}

Body::Read Body::read(uint64_t place) const {
  const std::lock_guard lock(mutex_);
  if (place >= size_) return {.piece = {}, .state = state_};
  const auto after = std::ranges::upper_bound(begins_, place);
  if (after == begins_.begin()) return {.piece = {}, .state = State::kBroken};
  const size_t index = static_cast<size_t>(after - begins_.begin()) - 1;
  const size_t offset = place - begins_[index];
  const Payload& bytes = pieces_[index];
  return {.piece = {.bytes = bytes, .offset = offset, .size = bytes.size() - offset}, .state = state_};
}

Body::ReaderId Body::join(std::function<void()> wake) {
  ReaderId id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = next_reader_++;
    readers_.emplace(id, std::make_shared<Reader>(std::move(wake)));
  }
  if (told_) told_();
  return id;
}

void Body::advance(ReaderId id, uint64_t place) {
  {
    const std::lock_guard lock(mutex_);
    const auto reader = readers_.find(id);
    if (reader == readers_.end()) return;
    reader->second->place = std::max(reader->second->place, place);
    let_go();
    if (state_ != State::kGrowing) return;
  }
  if (told_) told_();
}

void Body::leave(ReaderId id) {
  {
    const std::lock_guard lock(mutex_);
    if (readers_.erase(id) == 0) return;
    let_go();
    if (state_ != State::kGrowing) return;
  }
  if (told_) told_();
}

size_t Body::readers() const {
  const std::lock_guard lock(mutex_);
  return readers_.size();
}

bool Body::has_been_read() const {
  const std::lock_guard lock(mutex_);
  return next_reader_ > 1;
}

uint64_t Body::lag() const {
  const std::lock_guard lock(mutex_);
  uint64_t slowest = size_;
  for (const auto& [id, reader] : readers_) slowest = std::min(slowest, reader->place);
  return size_ - slowest;
}

}  // namespace verge::cache
