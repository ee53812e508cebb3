// KeptEvents: what rules keep on this node and do not send up (the action store), to be found by `verge events query`.
//
// Two classes, each a log of its own (docs/formats/kept-events.md): hot, which stays until its room is needed, and
// batch, which is compressed and stays for a day. What comes within kPatience is one frame, that of hot at once. A kill
// loses what was not written yet; a power cut, what was not synced.
//
// Bounds: bytes_max of a class, beyond which its oldest go; kWaitingBytesMax that wait for the disk, beyond which what
// comes is dropped, and counted.
//
// Threading: keep() and counters from any thread. One thread of its own writes; it begins with the first event, or
// where some are there.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "model/event.h"
#include "rules/worth.h"
#include "storage/file_system.h"
#include "storage/key_ring.h"
#include "storage/segment_reserve.h"
#include "storage/segmented_log.h"

namespace verge::node {

inline constexpr std::array<std::string_view, 2> kKeptClasses = {"hot", "batch"};

struct KeptOptions {
  uint64_t bytes_max = 256U << 20;                    // of each class
  Duration batch_for = std::chrono::seconds(86'400);  // 0: until its room is needed
};

class KeptEvents {
 public:
  static constexpr Duration kPatience = std::chrono::seconds(1);
  static constexpr Duration kAgeLook = std::chrono::minutes(1);
  static constexpr size_t kWaitingBytesMax = 16U << 20;

  struct Counters {
    std::atomic<uint64_t> kept{0};
    std::atomic<uint64_t> dropped{0};  // for want of room among what waits, or of the disk
    std::atomic<uint64_t> expired{0};  // segments that went, by age or for want of room
    std::atomic<uint64_t> bytes{0};    // written, of both
  };

  // The references outlive it.
  static Result<std::unique_ptr<KeptEvents>> open(storage::FileSystem& file_system, const std::string& directory,
                                                  const storage::KeyRing& keys, const Clock& clock,
                                                  const KeptOptions& options);
  ~KeptEvents() { stop(); }
  KeptEvents(const KeptEvents&) = delete;
  KeptEvents& operator=(const KeptEvents&) = delete;

  // `handling`: hot or batch.
  void keep(rules::Handling handling, const EventView& event);
  // Writes what waits and ends the thread.
  void stop();
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Class {
    explicit Class(storage::FileSystem& file_system, const std::string& directory, uint64_t segment_bytes)
        : reserve(file_system, directory + "/reserve", segment_bytes) {}
    storage::SegmentReserve reserve;
    std::unique_ptr<storage::SegmentedLog> log;
  };
  struct Waiting {
    std::string events;
    uint32_t count = 0;
  };

  KeptEvents(storage::FileSystem& file_system, std::string directory, const storage::KeyRing& keys, const Clock& clock,
             const KeptOptions& options)
      : file_system_(file_system), directory_(std::move(directory)), keys_(keys), clock_(clock), options_(options) {}
  void start();
  void run();
  void write(size_t number, const Waiting& waiting);
  Result<void> append(size_t number, const Waiting& waiting);
  void trim(size_t number);
  [[nodiscard]] uint32_t now_s() const { return static_cast<uint32_t>(clock_.wall().microseconds / 1'000'000); }

  storage::FileSystem& file_system_;
  const std::string directory_;
  const storage::KeyRing& keys_;
  const Clock& clock_;
  const KeptOptions options_;
  std::array<std::unique_ptr<Class>, kKeptClasses.size()> classes_;
  Counters counters_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::array<Waiting, kKeptClasses.size()> waiting_;
  bool is_stopping_ = false;
  std::thread thread_;
};

// Calls `found` for the kept events of a class, the oldest first, from that number on; it says whether to go on. An
// error where a key is missing.
Result<void> read_kept(storage::FileSystem& file_system, const std::string& directory, const storage::KeyRing& keys,
                       size_t number, uint64_t from,
                       const std::function<bool(uint64_t sequence, const EventView& event)>& found);

}  // namespace verge::node
