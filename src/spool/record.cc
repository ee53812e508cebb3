#include "spool/record.h"

#include "base/assert.h"

namespace verge::spool {
namespace {

// Beyond sizes of sources: what the log adds at the end of a frame, so that it need not be moved.
constexpr size_t kSpareBytes = 128;

}  // namespace

void FrameBuilder::add(std::string_view source, uint64_t source_sequence, std::string_view event) {
  if (source.empty()) {
    append_varint(records_, 0);
  } else {
    // Records of one source come together.
    if (sources_.empty() || sources_[last_source_ - 1] != source) {
      const auto [found, is_new] = source_index_.try_emplace(std::string(source), sources_.size() + 1);
      if (is_new) {
        VERGE_ASSERT(sources_.size() < kFrameSourcesMax);
        sources_.emplace_back(source);
        source_bytes_ += source.size() + 2;
      }
      last_source_ = found->second;
    }
    append_varint(records_, last_source_);
    append_varint(records_, source_sequence);
  }
  append_sized(records_, event);
  ++count_;
}

std::string FrameBuilder::take(size_t room) {
  std::string body;
  body.reserve(room + records_.size() + source_bytes_ + kSpareBytes);
  body.resize(room, '\0');
  append_varint(body, sources_.size());
  for (const std::string& source : sources_) append_sized(body, source);
  body.append(records_);
  sources_.clear();
  source_index_.clear();
  source_bytes_ = 0;
  records_.clear();
  count_ = 0;
  return body;
}

FrameRecords::FrameRecords(std::string_view body) : reader_(body) {
  const uint64_t count = reader_.varint();
  for (uint64_t i = 0; i < count && reader_.ok(); ++i) sources_.push_back(reader_.sized());
}

std::optional<StoredRecord> FrameRecords::next() {
  if (!reader_.ok() || reader_.empty()) return std::nullopt;
  StoredRecord record;
  const uint64_t index = reader_.varint();
  if (index > sources_.size()) return std::nullopt;
  if (index > 0) {
    record.source = sources_[index - 1];
    record.source_sequence = reader_.varint();
  }
  record.event = reader_.sized();
  if (!reader_.ok()) return std::nullopt;
  return record;
}

}  // namespace verge::spool
