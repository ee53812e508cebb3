#include "spool/record.h"

#include <algorithm>
#include <utility>

namespace verge::spool {
namespace {

// Sources searched from the back: records of one source come together.
constexpr size_t kSourcesMax = 1U << 16;

}  // namespace

void FrameBuilder::add(std::string_view source, uint64_t source_sequence, std::string_view event) {
  if (source.empty()) {
    append_varint(records_, 0);
  } else {
    const auto found = std::find(sources_.rbegin(), sources_.rend(), source);
    size_t index = static_cast<size_t>(sources_.rend() - found);  // 1-based
    if (found == sources_.rend()) {
      sources_.emplace_back(source);
      source_bytes_ += source.size() + 2;
      index = sources_.size();
    }
    append_varint(records_, index);
    append_varint(records_, source_sequence);
  }
  append_sized(records_, event);
  ++count_;
}

std::string FrameBuilder::take() {
  std::string body;
  body.reserve(bytes() + 8);
  append_varint(body, sources_.size());
  for (const std::string& source : sources_) append_sized(body, source);
  body.append(records_);
  sources_.clear();
  source_bytes_ = 0;
  records_.clear();
  count_ = 0;
  return body;
}

FrameRecords::FrameRecords(std::string_view body) : reader_(body) {
  const uint64_t count = reader_.varint();
  for (uint64_t i = 0; i < count && i < kSourcesMax && reader_.ok(); ++i) sources_.push_back(reader_.sized());
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
