// Journal: the changes of an image that is kept in memory, as records on a log, and now and then the image itself. A
// start makes the image of them.
//
// Records are the caller's. Those that are committed together are made durable by one sync, all or none of them; a
// group that failed may be found after a crash all the same, so whoever was refused must be able to come twice, or the
// image is written anew, which makes what is before it void. It is also written anew when the log has grown to several
// times its size: in segments of its own, and those before it go. So the log needs nobody else to be kept short.
//
// Below `directory`: journal/ (a SegmentedLog) and reserve/ (files for it). A frame's body: the version, one byte, then
// records (docs/formats/log.md has the frames).
//
// Threading: one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "storage/file_system.h"
#include "storage/key_ring.h"
#include "storage/segment_reserve.h"
#include "storage/segmented_log.h"

namespace verge::storage {

class Journal {
 public:
  static constexpr size_t kFrameBytes = 1U << 20;  // about, of a frame's records
  // The log has grown too long at so many times the image, and no less than Kind::bytes_min.
  static constexpr uint64_t kImageFactor = 4;

  struct Kind {
    std::string_view area;  // of the log lines
    std::string_view lost;  // what damage costs: "some of what sessions waited for is lost"
    uint8_t version = 1;    // of what is written
    uint64_t bytes_min = 32U << 20;
  };

  // Damage is said in the log and costs what it covers. `file_system` and `keys` outlive it.
  static Result<std::unique_ptr<Journal>> open(FileSystem& file_system, const std::string& directory,
                                               const KeyRing& keys, const Kind& kind);

  // The records of each frame, in order. False: they are of another version, which is said in the log.
  using Take = std::function<bool(uint8_t version, std::string_view records)>;
  Result<void> replay(const Take& take);

  // What is appended is durable after sync(). After a failure of either, none of it since the last sync() is taken as
  // appended.
  Result<void> append(std::string_view records);
  // Appends the records of a group, in frames of kFrameBytes.
  template <class Group, class RecordsOf>
  Result<void> append_group(const Group& group, const RecordsOf& records_of) {
    std::string records;
    for (size_t i = 0; i < group.size(); ++i) {
      records.append(records_of(group[i]));
      if (records.size() < kFrameBytes && i + 1 < group.size()) continue;
      if (const Result<void> appended = append(records); !appended) return appended;
      records.clear();
    }
    return {};
  }
  Result<void> sync() { return log_->sync(); }

  // Writes the image, and removes all that was before it. `snapshot` gives it piece by piece to `give`, which is false
  // when nothing more is wanted.
  using Give = std::function<bool(std::string_view records)>;
  Result<void> write_image(const std::function<void(const Give& give)>& snapshot);
  [[nodiscard]] bool is_long() const;
  // Some of it was written with another key than what is written now.
  [[nodiscard]] bool has_other_keys() const { return log_->has_other_keys(); }

  // The sequence of the next frame; and removes the segments with nothing but frames before such a one, for who writes
  // images among the records.
  [[nodiscard]] uint64_t next_sequence() const { return log_->next_sequence(); }
  // It begins with the first frame that was ever appended: nothing was removed, or lost with its segment.
  [[nodiscard]] bool is_whole() const { return log_->first_sequence() == 1; }
  Result<void> remove_before(uint64_t sequence);

 private:
  Journal(FileSystem& file_system, const std::string& directory, const KeyRing& keys, const Kind& kind);

  FileSystem& file_system_;
  const std::string directory_;
  const KeyRing& keys_;
  const Kind kind_;
  SegmentReserve reserve_;
  std::unique_ptr<SegmentedLog> log_;
  uint64_t image_bytes_ = 0;  // of the last
};

}  // namespace verge::storage
