// SessionJournal: what happens to sessions that outlive their connection, and what is retained, made durable. Batches
// of records (session_image.h) that came while a sync was under way are committed together. It keeps the image
// that its records make, and writes it anew when the log has grown (storage/journal.h).
//
// (Built on the spool was the alternative: its records are consumed in order, while those of sessions end in any. One
// log a loop was another: a publish, its receipt and the sessions on other loops that it is for would not become
// durable together; see docs/decisions/0037.)
//
// When the log cannot be written, what was published is refused and told so; what else was recorded is taken into the
// image all the same, which is written whole as soon as the log can be.
//
// Bounds: `kWaitingBytesMax` of publishes that wait; beyond it they are refused at once. On the disk
// storage::Journal::kImageFactor times the image, at least kLogBytesMin. In memory the image: messages are shared with
// the sessions.
//
// Threading: submit() from any thread; a thread of its own writes, and calls back. image() before start().
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/metrics.h"
#include "base/seldom_line.h"
#include "mqtt/session_image.h"
#include "storage/file_system.h"
#include "storage/journal.h"
#include "storage/key_ring.h"

namespace verge::mqtt {

class SessionJournal {
 public:
  static constexpr size_t kWaitingBytesMax = 64U << 20;
  static constexpr uint64_t kLogBytesMin = 32U << 20;
  // How long what nobody waits for may wait for company.
  static constexpr Duration kPatience = std::chrono::milliseconds(50);

  struct Batch {
    std::string records;
    std::vector<MessagePointer> messages;  // of the publishes and what is retained among them, in order
    bool is_publish = false;               // and nothing else: may be refused
    bool is_awaited = false;
  };
  // On the journal's thread: true when the batch is durable.
  using Done = std::move_only_function<void(bool durable)>;

  // Damage is said in the log and costs what it covers.
  static Result<std::unique_ptr<SessionJournal>> open(storage::FileSystem& file_system, const std::string& directory,
                                                      const storage::KeyRing& keys, const Clock& clock,
                                                      uint64_t log_bytes_min = kLogBytesMin);
  ~SessionJournal() { stop(); }

  // What the log held.
  [[nodiscard]] const SessionImage& image() const { return image_; }

  void start();
  // The key of new files is another: the log is written anew with it, so that nothing needs the one before.
  void renew();
  // Commits what waits, answers, and ends the thread.
  void stop();
  // `done` may be empty.
  void submit(Batch batch, Done done);

  [[nodiscard]] const Counter& commits() const { return commits_; }      // any thread
  [[nodiscard]] const Counter& snapshots() const { return snapshots_; }  // likewise

 private:
  struct Waiting {
    Batch batch;
    Done done;
  };

  SessionJournal(std::unique_ptr<storage::Journal> journal, const Clock& clock)
      : journal_(std::move(journal)), clock_(clock) {}
  void run();
  void commit(std::vector<Waiting>& waiting);
  Result<void> write_snapshot();
  [[nodiscard]] Clocks clocks() const;

  const std::unique_ptr<storage::Journal> journal_;
  const Clock& clock_;
  SessionImage image_;
  bool is_behind_ = false;  // the image is not what the journal says: it is written whole next
  SeldomLine failed_{std::chrono::seconds(10)};
  Counter commits_;
  Counter snapshots_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<Waiting> waiting_;
  size_t publish_bytes_ = 0;
  bool urgent_ = false;
  bool renewing_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace verge::mqtt
