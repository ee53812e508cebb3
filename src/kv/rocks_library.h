// RocksLibrary: the functions of RocksDB's C interface that are used, looked up by name in the library, which is loaded
// with dlopen when the first store is opened, and stays loaded: a node without a namespace does not map its 11 MB.
//
// For the .cc files of this folder only: nobody else shall see RocksDB's header.
#pragma once

#include <string>

#include <rocksdb/c.h>

#include "base/error.h"

namespace verge::kv {

struct RocksLibrary {
#define VERGE_ROCKS_FUNCTIONS(X)                   \
  X(rocksdb_block_based_options_create)            \
  X(rocksdb_block_based_options_destroy)           \
  X(rocksdb_block_based_options_set_block_cache)   \
  X(rocksdb_block_based_options_set_filter_policy) \
  X(rocksdb_cache_create_lru)                      \
  X(rocksdb_cache_destroy)                         \
  X(rocksdb_close)                                 \
  X(rocksdb_create_iterator)                       \
  X(rocksdb_create_snapshot)                       \
  X(rocksdb_filterpolicy_create_bloom_full)        \
  X(rocksdb_free)                                  \
  X(rocksdb_get_pinned)                            \
  X(rocksdb_iter_destroy)                          \
  X(rocksdb_iter_get_error)                        \
  X(rocksdb_iter_key)                              \
  X(rocksdb_iter_next)                             \
  X(rocksdb_iter_seek)                             \
  X(rocksdb_iter_valid)                            \
  X(rocksdb_iter_value)                            \
  X(rocksdb_open)                                  \
  X(rocksdb_options_create)                        \
  X(rocksdb_options_destroy)                       \
  X(rocksdb_options_set_block_based_table_factory) \
  X(rocksdb_options_set_blob_compression_type)     \
  X(rocksdb_options_set_compression)               \
  X(rocksdb_options_set_create_if_missing)         \
  X(rocksdb_options_set_enable_blob_files)         \
  X(rocksdb_options_set_enable_blob_gc)            \
  X(rocksdb_options_set_info_log_level)            \
  X(rocksdb_options_set_keep_log_file_num)         \
  X(rocksdb_options_set_max_background_jobs)       \
  X(rocksdb_options_set_max_log_file_size)         \
  X(rocksdb_options_set_max_open_files)            \
  X(rocksdb_options_set_max_total_wal_size)        \
  X(rocksdb_options_set_min_blob_size)             \
  X(rocksdb_options_set_stats_dump_period_sec)     \
  X(rocksdb_options_set_stats_persist_period_sec)  \
  X(rocksdb_options_set_wal_recovery_mode)         \
  X(rocksdb_options_set_write_buffer_size)         \
  X(rocksdb_pinnableslice_destroy)                 \
  X(rocksdb_pinnableslice_value)                   \
  X(rocksdb_readoptions_create)                    \
  X(rocksdb_readoptions_destroy)                   \
  X(rocksdb_readoptions_set_iterate_upper_bound)   \
  X(rocksdb_readoptions_set_read_tier)             \
  X(rocksdb_readoptions_set_snapshot)              \
  X(rocksdb_release_snapshot)                      \
  X(rocksdb_write)                                 \
  X(rocksdb_writebatch_create)                     \
  X(rocksdb_writebatch_delete)                     \
  X(rocksdb_writebatch_destroy)                    \
  X(rocksdb_writebatch_put)                        \
  X(rocksdb_writeoptions_create)                   \
  X(rocksdb_writeoptions_destroy)                  \
  X(rocksdb_writeoptions_set_sync)

#define VERGE_ROCKS_MEMBER(name) decltype(&::name) name = nullptr;  // NOLINT(bugprone-macro-parentheses)
  VERGE_ROCKS_FUNCTIONS(VERGE_ROCKS_MEMBER)
#undef VERGE_ROCKS_MEMBER

  // Error: kv.library.
  static Result<RocksLibrary> load();
};

}  // namespace verge::kv
