#include "cli/bench_spool.h"

#include <chrono>
#include <ctime>
#include <filesystem>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "model/event.h"
#include "spool/spool.h"
#include "storage/file_system.h"

namespace verge::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTurns = 10;  // of each
constexpr uint64_t kRawBytes = 64U << 20;
constexpr uint64_t kDeliverEvery = 16U << 20;

// The raw loop: no format, no checksum, the same file over and over.
class RawFile {
 public:
  RawFile(storage::FileSystem& file_system, const std::string& path, size_t write_bytes)
      : block_(write_bytes, 'x'), bytes_(std::max<uint64_t>(kRawBytes, write_bytes)) {
    Result<std::unique_ptr<storage::File>> file = file_system.open(path, storage::OpenMode::kCreate);
    if (!file) {
      opened_ = std::unexpected(file.error());
      return;
    }
    file_ = std::move(*file);
    const std::string zeros(1U << 20, '\0');
    for (uint64_t at = 0; at < bytes_ && opened_; at += zeros.size()) opened_ = file_->write_at(at, zeros);
    if (opened_) opened_ = file_->sync();
  }

  [[nodiscard]] const Result<void>& opened() const { return opened_; }

  Result<void> write() {
    if (at_ + block_.size() > bytes_) at_ = 0;
    if (const Result<void> written = file_->write_at(at_, block_); !written) return written;
    at_ += block_.size();
    return file_->sync();
  }

 private:
  const std::string block_;
  const uint64_t bytes_;
  std::unique_ptr<storage::File> file_;
  Result<void> opened_;
  uint64_t at_ = 0;
};

class SpoolFeed {
 public:
  SpoolFeed(storage::FileSystem& file_system, const std::string& directory, const SpoolBenchOptions& options)
      : options_(options) {
    if (options.encrypt) opened_ = keys_.replace({.writing = crypto::Key::generate(), .reading = {}});
    if (!opened_) return;
    spool::Spool::Recovery recovery;
    Result<std::unique_ptr<spool::Spool>> spool = spool::Spool::open(file_system, directory, keys_, {}, recovery);
    if (!spool) {
      opened_ = std::unexpected(spool.error());
      return;
    }
    spool_ = std::move(*spool);
    EventView event{.kind = EventKind::kMessage, .time = {1'700'000'000'000'000}, .topic = "bench", .device = "bench"};
    std::string padding;
    do {
      event_.clear();
      event.payload = padding;
      append_event(event_, event);
      padding.push_back('x');
    } while (event_.size() < options.record_bytes);
  }

  ~SpoolFeed() {
    if (preparing_.joinable()) preparing_.join();
  }
  SpoolFeed(const SpoolFeed&) = delete;
  SpoolFeed& operator=(const SpoolFeed&) = delete;

  [[nodiscard]] const Result<void>& opened() const { return opened_; }

  Result<void> write() {
    spool::Submission submission;
    submission.items.resize(options_.batch_records);
    for (spool::Submission::Item& item : submission.items) item.event = event_;
    std::vector<spool::Submission*> group{&submission};
    spool_->commit(group);
    if (!submission.error.code.empty()) return std::unexpected(submission.error);
    if (spool_->needs_segment()) {
      if (preparing_.joinable()) preparing_.join();
      preparing_ = std::thread([this] { (void)spool_->prepare_segment(); });
    }
    undelivered_ += options_.batch_records * event_.size();
    if (undelivered_ < kDeliverEvery) return {};
    undelivered_ = 0;
    return spool_->delivered(Priority::kNormal, {1, spool_->state(Priority::kNormal).end});
  }

 private:
  const SpoolBenchOptions& options_;
  storage::KeyRing keys_;
  std::unique_ptr<spool::Spool> spool_;
  std::thread preparing_;
  Result<void> opened_;
  std::string event_;
  uint64_t undelivered_ = 0;
};

// What was done, and what it took.
struct Tally {
  uint64_t writes = 0;
  Clock::duration spent{0};
  std::chrono::nanoseconds cpu{0};
};

std::chrono::nanoseconds own_cpu_time() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Writes until the time is over.
template <typename Target>
Result<void> take_turn(Target& target, Clock::duration turn, Histogram::Snapshot& each, Tally& tally) {
  const std::chrono::nanoseconds cpu_before = own_cpu_time();
  const Clock::time_point start = Clock::now();
  Clock::time_point before = start;
  while (before - start < turn) {
    if (const Result<void> written = target.write(); !written) return written;
    const Clock::time_point now = Clock::now();
    each.record(now - before);
    before = now;
    ++tally.writes;
  }
  tally.spent += before - start;
  tally.cpu += own_cpu_time() - cpu_before;
  return {};
}

// A directory that goes with its owner.
class Directory {
 public:
  explicit Directory(const std::string& wanted)
      : path_(wanted.empty() ? fmt::format("verge-bench-{}", getpid()) : wanted) {}
  ~Directory() {
    std::error_code ignored;
    if (made_) std::filesystem::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  Result<void> make() {
    std::error_code problem;
    made_ = std::filesystem::create_directories(path_, problem);
    if (made_) return {};
    return fail("bench.directory",
                fmt::format("cannot make {}: {}", path_, problem ? problem.message() : "it is there already"),
                "name a directory that is not there yet, on the disk to be measured");
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  const std::string path_;
  bool made_ = false;
};

double microseconds(double nanoseconds) { return nanoseconds / 1000.0; }

double quantile_us(const Histogram::Snapshot& snapshot, double q) {
  return microseconds(static_cast<double>(snapshot.quantile(q).count()));
}

}  // namespace

Result<SpoolBenchFigures> bench_spool(const SpoolBenchOptions& options) {
  Directory directory(options.directory);
  if (const Result<void> made = directory.make(); !made) return std::unexpected(made.error());
  storage::PosixFileSystem file_system;
  RawFile raw(file_system, directory.path() + "/raw", options.batch_records * options.record_bytes);
  if (!raw.opened()) return std::unexpected(raw.opened().error());
  SpoolFeed feed(file_system, directory.path() + "/spool", options);
  if (!feed.opened()) return std::unexpected(feed.opened().error());

  SpoolBenchFigures figures{
      .record_bytes = options.record_bytes, .batch_records = options.batch_records, .encrypted = options.encrypt};
  const auto turn =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds / (2.0 * kTurns)));
  Tally own, bare;
  for (int i = 0; i < kTurns; ++i) {
    Result<void> done = take_turn(raw, turn, figures.raw_commit, bare);
    if (done) done = take_turn(feed, turn, figures.commit, own);
    if (!done) return std::unexpected(done.error());
  }
  const auto records = [&](const Tally& tally) { return static_cast<double>(tally.writes * options.batch_records); };
  const auto rate = [&](const Tally& tally) {
    return records(tally) / std::chrono::duration<double>(tally.spent).count();
  };
  const auto cpu = [&](const Tally& tally) {
    return microseconds(static_cast<double>(tally.cpu.count())) / records(tally);
  };
  figures.appends_per_s = rate(own);
  figures.raw_appends_per_s = rate(bare);
  figures.cpu_us_per_record = cpu(own);
  figures.raw_cpu_us_per_record = cpu(bare);
  return figures;
}

std::string text_of(const SpoolBenchFigures& figures) {
  return fmt::format(
      "{} records of {} bytes a commit{}\n"
      "appends        {:>12.0f} /s    commit p50 {:>8.1f} us  p99 {:>8.1f} us  cpu {:.2f} us a record\n"
      "raw loop       {:>12.0f} /s    commit p50 {:>8.1f} us  p99 {:>8.1f} us  cpu {:.2f} us a record\n"
      "share          {:>12.1f} %\n",
      figures.batch_records, figures.record_bytes, figures.encrypted ? ", encrypted" : "", figures.appends_per_s,
      quantile_us(figures.commit, 0.5), quantile_us(figures.commit, 0.99), figures.cpu_us_per_record,
      figures.raw_appends_per_s, quantile_us(figures.raw_commit, 0.5), quantile_us(figures.raw_commit, 0.99),
      figures.raw_cpu_us_per_record, 100 * figures.appends_per_s / figures.raw_appends_per_s);
}

std::string json_of(const SpoolBenchFigures& figures) {
  return fmt::format(
      R"({{"appends_per_s":{:.1f},"raw_appends_per_s":{:.1f},"record_bytes":{},"batch_records":{},"encrypted":{},"commit_p50_us":{:.1f},"commit_p99_us":{:.1f},"raw_commit_p50_us":{:.1f},"raw_commit_p99_us":{:.1f},"cpu_us_per_record":{:.3f},"raw_cpu_us_per_record":{:.3f}}})",
      figures.appends_per_s, figures.raw_appends_per_s, figures.record_bytes, figures.batch_records, figures.encrypted,
      quantile_us(figures.commit, 0.5), quantile_us(figures.commit, 0.99), quantile_us(figures.raw_commit, 0.5),
      quantile_us(figures.raw_commit, 0.99), figures.cpu_us_per_record, figures.raw_cpu_us_per_record);
}

}  // namespace verge::cli
