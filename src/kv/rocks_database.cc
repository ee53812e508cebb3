#include "kv/rocks_database.h"

#include <cstring>

#include <fmt/format.h>

#include "kv/rocks_library.h"

namespace verge::kv {
namespace {

constexpr int kReadMemoryOnly = 1;  // kBlockCacheTier of rocksdb/options.h
constexpr int kOpenFilesMax = 256;
constexpr int kBackgroundJobs = 2;
constexpr double kFilterBits = 10;
constexpr int kWarnings = 2;
constexpr size_t kLogFileBytes = 256U << 10;
// Longer values are written once, and not again by each compaction.
constexpr uint64_t kBlobBytesMin = 64U << 10;
constexpr uint64_t kWriteAheadFactor = 4;

std::unexpected<Error> failure_of(std::string text) {
  const bool is_full = text.find("No space left") != std::string::npos || text.find("quota") != std::string::npos;
  if (is_full) {
    return fail("storage.full", "there is no space for keys and values: " + text, "make room on that disk");
  }
  if (text.starts_with("Corruption")) {
    return fail("kv.storage", "keys and values on the disk are damaged: " + text,
                "put the folder kv of data_dir back from a copy; or move it away, and import what was exported");
  }
  return fail("kv.storage", "keys and values cannot be read or written: " + text, "look at the disk of data_dir");
}

// The functions, and what a message of RocksDB's is made of.
class Call {
 public:
  explicit Call(const RocksLibrary& library) : library_(library) {}
  ~Call() {
    if (text_ != nullptr) library_.rocksdb_free(text_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  [[nodiscard]] char** out() { return &text_; }
  [[nodiscard]] bool failed() const { return text_ != nullptr; }
  [[nodiscard]] bool is_incomplete() const {
    return text_ != nullptr && std::strncmp(text_, "Result incomplete", sizeof("Result incomplete") - 1) == 0;
  }
  [[nodiscard]] std::unexpected<Error> failure() const { return failure_of(text_); }

 private:
  const RocksLibrary& library_;
  char* text_ = nullptr;
};

class Database final : public RocksDatabase {
 public:
  explicit Database(const RocksLibrary& library) : library_(library) {
    anywhere_ = library_.rocksdb_readoptions_create();
    in_memory_ = library_.rocksdb_readoptions_create();
    library_.rocksdb_readoptions_set_read_tier(in_memory_, kReadMemoryOnly);
    durably_ = library_.rocksdb_writeoptions_create();
    library_.rocksdb_writeoptions_set_sync(durably_, 1);
    soon_ = library_.rocksdb_writeoptions_create();
  }
  ~Database() override {
    if (database_ != nullptr) library_.rocksdb_close(database_);
    library_.rocksdb_readoptions_destroy(anywhere_);
    library_.rocksdb_readoptions_destroy(in_memory_);
    library_.rocksdb_writeoptions_destroy(durably_);
    library_.rocksdb_writeoptions_destroy(soon_);
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Result<void> open(const std::string& directory, const Options& options) {
    rocksdb_options_t* its = library_.rocksdb_options_create();
    library_.rocksdb_options_set_create_if_missing(its, 1);
    library_.rocksdb_options_set_write_buffer_size(its, options.write_buffer_bytes);
    library_.rocksdb_options_set_max_total_wal_size(its, kWriteAheadFactor * options.write_buffer_bytes);
    // A log that ends within a record was cut while it was written: nobody was told that it is durable. Damage before
    // that is an error. By RocksDB's default all behind the damage would be gone, without a word.
    library_.rocksdb_options_set_wal_recovery_mode(its, rocksdb_tolerate_corrupted_tail_records_recovery);
    library_.rocksdb_options_set_max_open_files(its, kOpenFilesMax);
    library_.rocksdb_options_set_max_background_jobs(its, kBackgroundJobs);
    library_.rocksdb_options_set_compression(its, rocksdb_lz4_compression);
    library_.rocksdb_options_set_enable_blob_files(its, 1);
    library_.rocksdb_options_set_min_blob_size(its, kBlobBytesMin);
    library_.rocksdb_options_set_blob_compression_type(its, rocksdb_lz4_compression);
    library_.rocksdb_options_set_enable_blob_gc(its, 1);
    library_.rocksdb_options_set_info_log_level(its, kWarnings);
    library_.rocksdb_options_set_keep_log_file_num(its, 2);
    library_.rocksdb_options_set_max_log_file_size(its, kLogFileBytes);
    library_.rocksdb_options_set_stats_dump_period_sec(its, 0);
    library_.rocksdb_options_set_stats_persist_period_sec(its, 0);
    rocksdb_block_based_table_options_t* table = library_.rocksdb_block_based_options_create();
    rocksdb_cache_t* cache = library_.rocksdb_cache_create_lru(options.block_cache_bytes);
    library_.rocksdb_block_based_options_set_block_cache(table, cache);
    // The table's from here on.
    library_.rocksdb_block_based_options_set_filter_policy(
        table, library_.rocksdb_filterpolicy_create_bloom_full(kFilterBits));
    library_.rocksdb_options_set_block_based_table_factory(its, table);
    Call call(library_);
    database_ = library_.rocksdb_open(its, directory.c_str(), call.out());
    library_.rocksdb_block_based_options_destroy(table);
    library_.rocksdb_cache_destroy(cache);
    library_.rocksdb_options_destroy(its);
    if (call.failed()) return call.failure();
    return {};
  }

  Result<Lookup> find(std::string_view name, bool may_wait, std::string& value) override {
    return find_with(may_wait ? anywhere_ : in_memory_, name, value);
  }

  Result<Lookup> find_with(const rocksdb_readoptions_t* options, std::string_view name, std::string& value) {
    Call call(library_);
    rocksdb_pinnableslice_t* slice =
        library_.rocksdb_get_pinned(database_, options, name.data(), name.size(), call.out());
    if (call.is_incomplete()) return Lookup::kUnknown;
    if (call.failed()) return call.failure();
    if (slice == nullptr) return Lookup::kMissing;
    size_t size = 0;
    const char* bytes = library_.rocksdb_pinnableslice_value(slice, &size);
    value.assign(bytes, size);
    library_.rocksdb_pinnableslice_destroy(slice);
    return Lookup::kFound;
  }

  [[nodiscard]] std::unique_ptr<View> view() override;

  Result<void> write(const Batch& batch, bool durable) override {
    rocksdb_writebatch_t* its = library_.rocksdb_writebatch_create();
    for (const auto& [name, value] : batch.changes()) {
      if (value) {
        library_.rocksdb_writebatch_put(its, name.data(), name.size(), value->data(), value->size());
      } else {
        library_.rocksdb_writebatch_delete(its, name.data(), name.size());
      }
    }
    Call call(library_);
    library_.rocksdb_write(database_, durable ? durably_ : soon_, its, call.out());
    library_.rocksdb_writebatch_destroy(its);
    if (call.failed()) return call.failure();
    return {};
  }

 private:
  friend class SnapshotView;
  const RocksLibrary library_;
  rocksdb_t* database_ = nullptr;
  rocksdb_readoptions_t* anywhere_;
  rocksdb_readoptions_t* in_memory_;
  rocksdb_writeoptions_t* durably_;
  rocksdb_writeoptions_t* soon_;
};

class SnapshotView final : public RocksDatabase::View {
 public:
  explicit SnapshotView(Database& its)
      : its_(its),
        library_(its.library_),
        snapshot_(library_.rocksdb_create_snapshot(its.database_)),
        options_(library_.rocksdb_readoptions_create()) {
    library_.rocksdb_readoptions_set_snapshot(options_, snapshot_);
  }
  ~SnapshotView() override {
    library_.rocksdb_readoptions_destroy(options_);
    library_.rocksdb_release_snapshot(its_.database_, snapshot_);
  }
  SnapshotView(const SnapshotView&) = delete;
  SnapshotView& operator=(const SnapshotView&) = delete;

  Result<RocksDatabase::Lookup> find(std::string_view name, std::string& value) override {
    return its_.find_with(options_, name, value);
  }

  Result<void> scan(std::string_view begin, std::string_view end, const Take& take) override {
    // So that it does not walk over what was deleted behind the end.
    library_.rocksdb_readoptions_set_iterate_upper_bound(options_, end.data(), end.size());
    rocksdb_iterator_t* at = library_.rocksdb_create_iterator(its_.database_, options_);
    for (library_.rocksdb_iter_seek(at, begin.data(), begin.size()); library_.rocksdb_iter_valid(at) != 0;
         library_.rocksdb_iter_next(at)) {
      size_t name_size = 0, value_size = 0;
      const char* name = library_.rocksdb_iter_key(at, &name_size);
      const char* value = library_.rocksdb_iter_value(at, &value_size);
      if (!take({name, name_size}, {value, value_size})) break;
    }
    Call call(library_);
    library_.rocksdb_iter_get_error(at, call.out());
    library_.rocksdb_iter_destroy(at);
    library_.rocksdb_readoptions_set_iterate_upper_bound(options_, nullptr, 0);
    if (call.failed()) return call.failure();
    return {};
  }

 private:
  Database& its_;
  const RocksLibrary& library_;
  const rocksdb_snapshot_t* snapshot_;
  rocksdb_readoptions_t* options_;
};

std::unique_ptr<RocksDatabase::View> Database::view() { return std::make_unique<SnapshotView>(*this); }

}  // namespace

Result<std::unique_ptr<RocksDatabase>> RocksDatabase::open(const std::string& directory, const Options& options) {
  const Result<RocksLibrary> library = RocksLibrary::load();
  if (!library) return std::unexpected(library.error());
  auto database = std::make_unique<Database>(*library);
  if (const Result<void> opened = database->open(directory, options); !opened) return std::unexpected(opened.error());
  return database;
}

}  // namespace verge::kv
