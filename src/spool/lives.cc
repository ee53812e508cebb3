#include "spool/lives.h"

#include <algorithm>
#include <functional>
#include <memory>

#include <fmt/format.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"

namespace verge::spool {
namespace {

constexpr int kReadsMax = 3;
constexpr std::string_view kMagic = "VERGELV1";
constexpr size_t kChecksumAt = Lives::kSlotBytes - sizeof(uint64_t);

bool are_all_from(const Lives::Sequences& sequences, const Lives::Sequences& from) {
  return std::ranges::equal(sequences, from, std::greater_equal{});
}

}  // namespace

void Lives::begin(const NodeId& id, const Sequences& next, const Sequences& done) {
  while (!lives_.empty() && are_all_from(lives_.back().begin, next)) lives_.pop_back();
  // Of files that are from several moments.
  for (Life& life : lives_) {
    for (size_t i = 0; i < next.size(); ++i) life.begin[i] = std::min(life.begin[i], next[i]);
  }
  lives_.push_back({id, next});
  while (lives_.size() > 1 && are_all_from(done, lives_[1].begin)) lives_.erase(lives_.begin());
  // What the first one gave counts as the second one's.
  if (lives_.size() > kMost) lives_.erase(lives_.begin());
}

Lives::Part Lives::part_of(Priority stream, uint64_t sequence) const {
  VERGE_ASSERT(!lives_.empty());
  const auto begin_of = [stream](const Life& life) { return life.begin[static_cast<size_t>(stream)]; };
  const auto next = std::ranges::upper_bound(lives_.begin() + 1, lives_.end(), sequence, {}, begin_of);
  Part part{.id = (next - 1)->id};
  if (next != lives_.end()) part.end = begin_of(*next);
  return part;
}

std::string Lives::slot() const {
  std::string bytes(kMagic);
  append_fixed(bytes, generation_);
  append_fixed(bytes, static_cast<uint32_t>(lives_.size()));
  for (const Life& life : lives_) {
    bytes.append(life.id.view());
    for (const uint64_t sequence : life.begin) append_fixed(bytes, sequence);
  }
  VERGE_ASSERT(bytes.size() <= kChecksumAt);
  bytes.resize(kChecksumAt, '\0');
  append_fixed(bytes, hash64(bytes));
  return bytes;
}

std::optional<Lives> Lives::parse(std::string_view content) {
  std::optional<Lives> newest;
  for (; content.size() >= kSlotBytes; content.remove_prefix(kSlotBytes)) {
    const std::string_view slot = content.substr(0, kSlotBytes);
    ByteReader check(slot.substr(kChecksumAt));
    ByteReader reader(slot.substr(0, kChecksumAt));
    if (check.fixed<uint64_t>() != hash64(reader.rest()) || reader.bytes(kMagic.size()) != kMagic) continue;
    Lives found;
    found.generation_ = reader.fixed<uint64_t>();
    const auto count = reader.fixed<uint32_t>();
    for (uint32_t i = 0; i < count && reader.ok(); ++i) {
      Life& life = found.lives_.emplace_back();
      const std::string_view id = reader.bytes(sizeof(life.id.bytes));
      if (reader.ok()) life.id = NodeId::from_bytes(id);
      for (uint64_t& sequence : life.begin) sequence = reader.fixed<uint64_t>();
    }
    const auto rises = [](const Life& before, const Life& after) { return are_all_from(after.begin, before.begin); };
    const bool is_sound = reader.ok() && count > 0 && count <= kMost &&
                          std::ranges::adjacent_find(found.lives_, std::not_fn(rises)) == found.lives_.end();
    if (is_sound && (!newest || found.generation_ > newest->generation_)) newest = std::move(found);
  }
  return newest;
}

Result<void> Lives::note(storage::FileSystem& file_system, const std::string& path) const {
  Result<std::unique_ptr<storage::File>> file = file_system.open(path, storage::OpenMode::kWrite);
  const Result<uint64_t> size = file ? (*file)->size() : std::unexpected(file.error());
  if (!size || *size != 2 * kSlotBytes) return file_system.replace_file(path, content());
  // What a process wrote that was killed before its sync was read here, and may not be on the disk; the other slot
  // goes.
  Result<void> done = (*file)->sync();
  if (done) done = (*file)->write_at(generation_ % 2 * kSlotBytes, slot());
  if (done) done = (*file)->sync();
  return done;
}

Result<Lives> Lives::start(storage::FileSystem& file_system, const std::string& spool_directory, const Start& start,
                           std::vector<Error>& said) {
  const std::string file = path(spool_directory);
  const auto read = [&] { return file_system.read_file(file, 2 * kSlotBytes); };
  Result<std::string> found = read();
  for (int again = 1; again < kReadsMax && !found && found.error().code == "storage.io"; ++again) found = read();
  const bool is_missing = !found && found.error().code == "storage.missing";
  if (!found && found.error().code == "storage.permission") return std::unexpected(found.error());
  if (!found && found.error().code == "storage.foreign") (void)file_system.set_aside(file);
  std::optional<Lives> before = found ? parse(*found) : std::nullopt;
  if (start.is_fresh) {
    if (!before) before.emplace();
    before->lives_.clear();
  } else if (!before && is_missing) {
    before.emplace();
    before->begin(start.first_id, {}, {});
  } else if (!before) {
    said.push_back({"spool.lives-lost",
                    fmt::format("{} cannot be read and was replaced: nothing is lost, but records that the parent took "
                                "and whose acknowledgement had not come are stored there a second time",
                                file),
                    "look for what damaged the file (the disk, a copy that was cut short)"});
    before.emplace();
  }
  Lives now = *before;
  ++now.generation_;
  now.begin(start.is_fresh ? start.first_id : start.id, start.next, start.done);
  const Result<void> noted = now.note(file_system, file);
  if (noted) return now;
  // What did not fit is not there; of anything else that is not known.
  const Result<std::string> left = read();
  const std::optional<Lives> kept = left ? parse(*left) : std::nullopt;
  const bool is_unchanged = kept ? kept->lives_ == before->lives_ && !kept->lives_.empty()
                                 : !left && left.error().code == "storage.missing" && is_missing && !start.is_fresh;
  if (noted.error().code != "storage.full" || !is_unchanged) return std::unexpected(noted.error());
  said.push_back({"spool.life-not-noted",
                  fmt::format("{}: the spool goes on under the identity of before", noted.error().what),
                  "free space on that disk; if this data directory was put back as it was earlier, restart the node "
                  "then, before it reaches its parent"});
  return *before;
}

}  // namespace verge::spool
