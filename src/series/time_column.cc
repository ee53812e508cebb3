#include "series/time_column.h"

#include "series/range_coder.h"

namespace verge::series {
namespace {

constexpr uint8_t kTextLayout = 0xff;

std::string code_ticks(const std::vector<int64_t>& ticks) {
  RangeEncoder encoder;
  SignedModel step_change[2];  // by whether the step changed before
  uint64_t previous = 0;
  uint64_t step = 0;
  bool has_changed = true;
  for (const int64_t tick : ticks) {
    const uint64_t next = static_cast<uint64_t>(tick) - previous;
    step_change[has_changed ? 1 : 0].encode(encoder, static_cast<int64_t>(next - step));
    has_changed = next != step;
    step = next;
    previous = static_cast<uint64_t>(tick);
  }
  return encoder.finish();
}

std::vector<int64_t> decode_ticks(std::string_view bytes, size_t count) {
  RangeDecoder decoder(bytes);
  SignedModel step_change[2];
  uint64_t tick = 0;
  uint64_t step = 0;
  bool has_changed = true;
  std::vector<int64_t> ticks(count);
  for (int64_t& out : ticks) {
    const auto change = static_cast<uint64_t>(step_change[has_changed ? 1 : 0].decode(decoder));
    has_changed = change != 0;
    step += change;
    tick += step;
    out = static_cast<int64_t>(tick);
  }
  return ticks;
}

std::string code_texts(const std::vector<std::string>& texts) {
  RangeEncoder encoder;
  TextModel model;
  for (const std::string& text : texts) {
    for (const char letter : text) model.encode(encoder, static_cast<uint8_t>(letter));
    model.encode(encoder, 0);
  }
  return encoder.finish();
}

Result<std::vector<std::string>> decode_texts(std::string_view bytes, size_t count, size_t bytes_max) {
  RangeDecoder decoder(bytes);
  TextModel model;
  std::vector<std::string> texts(count);
  size_t letters = 0;
  for (std::string& text : texts) {
    for (uint8_t letter = model.decode(decoder); letter != 0; letter = model.decode(decoder)) {
      if (++letters > bytes_max) {
        return fail("series.record-damaged", "the timestamps of the record never end", "send the record again");
      }
      text.push_back(static_cast<char>(letter));
    }
  }
  return texts;
}

}  // namespace

TimeColumn TimeColumn::of(const std::vector<std::string>& texts) {
  TimeColumn column;
  for (const std::string& text : texts) {
    const std::optional<Timestamp> timestamp = parse_timestamp(text);
    if (!timestamp || (!column.ticks_.empty() && timestamp->layout != column.layout_)) {
      column.is_text_ = true;
      column.ticks_.clear();
      column.layout_ = {};
      column.texts_ = texts;
      break;
    }
    column.layout_ = timestamp->layout;
    column.ticks_.push_back(timestamp->ticks);
  }
  return column;
}

std::string TimeColumn::text(size_t index) const {
  return is_text_ ? texts_[index] : format_timestamp(ticks_[index], layout_);
}

int64_t TimeColumn::wall_us(size_t index) const {
  return is_text_ ? 0 : wall_microseconds({.ticks = ticks_[index], .layout = layout_});
}

std::vector<double> TimeColumn::positions() const {
  std::vector<double> positions(size());
  bool is_rising = !is_text_;
  for (size_t i = 1; i < ticks_.size(); ++i) is_rising = is_rising && ticks_[i] > ticks_[i - 1];
  for (size_t i = 0; i < positions.size(); ++i) {
    positions[i] = is_rising ? static_cast<double>(static_cast<uint64_t>(ticks_[i]) - static_cast<uint64_t>(ticks_[0]))
                             : static_cast<double>(i);
  }
  return positions;
}

void TimeColumn::append_to(std::string& out) const {
  if (is_text_) {
    out.push_back(static_cast<char>(kTextLayout));
    append_sized(out, code_texts(texts_));
    return;
  }
  out.push_back(static_cast<char>(layout_.kind));
  out.push_back(layout_.has_t ? '\1' : '\0');
  out.push_back(static_cast<char>(layout_.fraction_digits));
  append_sized(out, layout_.suffix);
  append_sized(out, code_ticks(ticks_));
}

Result<TimeColumn> TimeColumn::read(ByteReader& in, size_t count, size_t text_bytes_max) {
  TimeColumn column;
  const auto kind = in.fixed<uint8_t>();
  if (kind == kTextLayout) {
    column.is_text_ = true;
    Result<std::vector<std::string>> texts = decode_texts(in.sized(), count, text_bytes_max);
    if (!texts) return std::unexpected(texts.error());
    column.texts_ = std::move(*texts);
    return column;
  }
  column.layout_.kind = static_cast<TimestampLayout::Kind>(kind);
  column.layout_.has_t = in.fixed<uint8_t>() != 0;
  column.layout_.fraction_digits = in.fixed<uint8_t>();
  column.layout_.suffix = in.sized();
  if (!in.ok() || kind > static_cast<uint8_t>(TimestampLayout::Kind::kSecond) || column.layout_.fraction_digits > 9 ||
      column.layout_.suffix.size() > 6) {
    return fail("series.record-damaged", "the record has timestamps of an unknown layout", "send the record again");
  }
  column.ticks_ = decode_ticks(in.sized(), count);
  return column;
}

}  // namespace verge::series
