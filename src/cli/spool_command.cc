// verge spool: look into a node's spool from its files, and mend what only a person can decide.
//
// What only looks may be run beside a node; what changes something takes the data directory's lock first.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>

#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/data_owner.h"
#include "cli/spool_access.h"
#include "node/event_query.h"
#include "node/posted_event_line.h"
#include "spool/inspection.h"
#include "spool/spool.h"
#include "storage/cut_off.h"
#include "storage/data_directory.h"
#include "storage/file_system.h"

namespace verge::cli {
namespace {

struct SpoolCommandOptions {
  SpoolAccess access;
  std::string stream;
  std::string output;
  uint64_t count = 10;
  bool dead_letters = false;
  bool yes = false;
  bool json = false;
  std::string key;
  // The keys that `access` names; filled before the command's work begins.
  std::shared_ptr<storage::KeyRing> keys = std::make_shared<storage::KeyRing>();

  [[nodiscard]] std::string directory() const { return access.spool_directory(); }
};

int print_failure(const Error& error) {
  fmt::print(stderr, "verge spool: {}\n", error.line());
  return kFailure;
}

int print_usage(const Error& error) {
  fmt::print(stderr, "verge spool: {}\n", error.line());
  return kUsage;
}

// Nothing when no stream is named.
Result<std::optional<Priority>> stream_of(const SpoolCommandOptions& options) {
  if (options.stream.empty()) return std::nullopt;
  if (const std::optional<Priority> stream = parse_priority(options.stream)) return stream;
  return fail("spool.stream", fmt::format("--stream {} is none", options.stream), "use critical, high, normal or low");
}

std::string event_of(Priority stream, uint64_t sequence, const EventView& event, const DataOwner& owner) {
  return node::event_json({{stream, sequence}, event}, owner.id, owner.name);
}

int64_t age_ms(WallTime time) {
  return std::max<int64_t>(0, (SystemClock().wall().microseconds - time.microseconds) / 1000);
}

int stat(const SpoolCommandOptions& options) {
  storage::PosixFileSystem file_system(options.access.data_dir);
  Result<spool::Inspection> inspection = spool::Inspection::open(file_system, options.directory(), *options.keys);
  if (!inspection) return print_failure(inspection.error());
  const Result<spool::SpoolContent> content = inspection->content();
  if (!content) return print_failure(content.error());
  if (options.json) {
    std::string out = "{";
    for (const Priority stream : kPriorities) {
      const spool::StreamContent& its = content->streams[static_cast<size_t>(stream)];
      fmt::format_to(std::back_inserter(out),
                     R"("{}":{{"records":{},"bytes":{},"oldest_ms":{},"delivered":{},"segments":{}}},)",
                     name_of(stream), its.records, its.bytes, its.oldest ? age_ms(*its.oldest) : 0,
                     its.delivered_records, its.segments);
    }
    fmt::print("{}\"dead_letters\":{}}}\n", out, content->dead_letters);
    return kSuccess;
  }
  fmt::print("{:10} {:>12} {:>14} {:>12} {:>12} {:>9}\n", "stream", "records", "bytes", "oldest", "delivered",
             "segments");
  for (const Priority stream : kPriorities) {
    const spool::StreamContent& its = content->streams[static_cast<size_t>(stream)];
    const std::string oldest =
        its.oldest ? fmt::format("{:.1f} s", static_cast<double>(age_ms(*its.oldest)) / 1000) : "-";
    fmt::print("{:10} {:>12} {:>14} {:>12} {:>12} {:>9}\n", name_of(stream), its.records, its.bytes, oldest,
               its.delivered_records, its.segments);
  }
  fmt::print("dead letters {}\n", content->dead_letters);
  return kSuccess;
}

int list(const SpoolCommandOptions& options) {
  storage::PosixFileSystem file_system(options.access.data_dir);
  Result<spool::Inspection> inspection = spool::Inspection::open(file_system, options.directory(), *options.keys);
  if (!inspection) return print_failure(inspection.error());
  const Result<std::vector<spool::SegmentContent>> segments = inspection->segments();
  if (!segments) return print_failure(segments.error());
  if (!options.json) {
    fmt::print("{:10} {:>20} {:>12} {:>10} {:>12}  {:16}  {}\n", "stream", "first sequence", "bytes", "records",
               "undelivered", "key", "file");
  }
  for (const spool::SegmentContent& segment : *segments) {
    const storage::SegmentFile& file = segment.file;
    const std::string key = file.key == 0 ? "" : storage::key_id_text(file.key);
    if (options.json) {
      fmt::print(R"({{"stream":"{}","first_sequence":{},"bytes":{},"records":{},"undelivered":{},"key":{},"file":{}}})"
                 "\n",
                 name_of(segment.stream), file.first_sequence, file.bytes, segment.records, segment.undelivered,
                 key.empty() ? "null" : json_string(key), json_string(file.path));
    } else {
      fmt::print("{:10} {:>20} {:>12} {:>10} {:>12}  {:16}  {}\n", name_of(segment.stream), file.first_sequence,
                 file.bytes, segment.records, segment.undelivered, key.empty() ? "-" : key, file.path);
    }
  }
  return kSuccess;
}

// The records that `wanted` accepts, at most `limit`, as JSON lines or for people.
int print_records(const SpoolCommandOptions& options, uint64_t limit,
                  const std::function<bool(const spool::InspectedRecord&)>& wanted, bool with_state) {
  const Result<std::optional<Priority>> stream = stream_of(options);
  if (!stream) return print_usage(stream.error());
  storage::PosixFileSystem file_system(options.access.data_dir);
  Result<spool::Inspection> inspection = spool::Inspection::open(file_system, options.directory(), *options.keys);
  if (!inspection) return print_failure(inspection.error());
  const DataOwner owner = owner_of(file_system, options.access.data_dir);
  uint64_t printed = 0;
  const Result<void> read = inspection->for_each(*stream, [&](const spool::InspectedRecord& record) {
    if (!wanted(record)) return true;
    if (printed == limit) return false;
    ++printed;
    const std::string event = event_of(record.stream, record.sequence, record.event, owner);
    if (with_state) {
      fmt::print(R"({{"delivered":{},"source":"{}","source_sequence":{},"event":{}}})"
                 "\n",
                 record.is_delivered, base64(record.source), record.source_sequence, event);
    } else if (options.json) {
      fmt::print("{}\n", event);
    } else {
      const std::string_view payload = record.event.payload;
      fmt::print("{:8} {:>12}  {}  {}  {}\n", name_of(record.stream), record.sequence, format_utc(record.event.time),
                 printable(record.event.topic), is_utf8(payload) ? printable(payload) : base64(payload));
    }
    return std::ferror(stdout) == 0;
  });
  return read ? kSuccess : print_failure(read.error());
}

int peek(const SpoolCommandOptions& options) {
  return print_records(options, options.count, [](const auto& record) { return !record.is_delivered; }, false);
}

int dump(const SpoolCommandOptions& options) {
  return print_records(options, UINT64_MAX, [](const auto&) { return true; }, true);
}

std::string damage_text(const storage::DamagedRange& range) {
  if (range.may_be_unfinished) {
    return fmt::format("{}: the end cannot be read from byte {} on: a write that was cut off, or damage that cost {}{}",
                       range.path, range.offset,
                       range.first_sequence == range.end_sequence
                           ? "nothing that is known"
                           : fmt::format("records {} to {}", range.first_sequence, range.end_sequence - 1),
                       range.kept.empty() ? "" : "; what was there is kept in " + range.kept);
  }
  if (range.first_sequence == range.end_sequence) {
    return fmt::format("{}: cannot be read from byte {} on; no record is known to be lost", range.path, range.offset);
  }
  return fmt::format("{}: damaged at byte {}: records {} to {} are lost", range.path, range.offset,
                     range.first_sequence, range.end_sequence - 1);
}

void print_damage(const std::vector<storage::DamagedRange>& damaged, bool json, std::string& objects) {
  for (const storage::DamagedRange& range : damaged) {
    if (!json) {
      fmt::print("{}\n", damage_text(range));
      continue;
    }
    if (!objects.empty()) objects.push_back(',');
    fmt::format_to(std::back_inserter(objects),
                   R"({{"file":{},"offset":{},"first_sequence":{},"end_sequence":{},"may_be_unfinished":{}}})",
                   json_string(range.path), range.offset, range.first_sequence, range.end_sequence,
                   range.may_be_unfinished);
  }
}

int fsck(const SpoolCommandOptions& options) {
  storage::PosixFileSystem file_system(options.access.data_dir);
  Result<spool::Inspection> inspection = spool::Inspection::open(file_system, options.directory(), *options.keys);
  if (!inspection) return print_failure(inspection.error());
  const Result<spool::SpoolContent> content = inspection->content();
  if (!content) return print_failure(content.error());
  uint64_t records = 0;
  size_t damages = content->damaged_dead_letters.size();
  std::string objects;
  for (const spool::StreamContent& its : content->streams) {
    records += its.records + its.delivered_records;
    // A write that was cut off is how a kill looks, and no damage.
    damages += static_cast<size_t>(
        std::ranges::count_if(its.damaged, [](const auto& range) { return !range.may_be_unfinished; }));
    print_damage(its.damaged, options.json, objects);
  }
  print_damage(content->damaged_dead_letters, options.json, objects);
  const bool is_used = records > 0;
  const std::optional<size_t>& lives = content->lives;
  const bool has_lost_lives = content->has_lives_file && !lives;
  const bool is_sound = damages == 0 && !content->ledger_problem && !has_lost_lives;
  if (options.json) {
    fmt::print(
        R"({{"sound":{},"records":{},"dead_letters":{},"cursors":{},"incarnation":{},"ledger":"{}","ledger_sources":{},"ledger_stretches":{},"lives":{},"damaged":[{}]}})"
        "\n",
        is_sound, records, content->dead_letters, content->has_cursors, content->has_incarnation,
        content->ledger_problem ? "damaged"
        : content->has_ledger   ? "sound"
                                : "none",
        content->ledger_sources, content->ledger_stretches, lives ? std::to_string(*lives) : "null", objects);
  } else {
    if (is_used && !content->has_cursors) {
      fmt::print("cursors: none that is sound; what the parent has already is sent again, and it will recognise it\n");
    }
    if (!content->has_incarnation) fmt::print("incarnation: none that is sound; the next start makes a new one\n");
    if (const std::optional<Error>& problem = content->ledger_problem) {
      fmt::print(
          "ledger: {}; the next start makes it anew from the records that are here, and what is sent again of others "
          "is "
          "stored twice\n",
          problem->what);
    } else if (content->has_ledger) {
      fmt::print("ledger: sound, {} stretches of {} sources\n", content->ledger_stretches, content->ledger_sources);
    } else if (is_used) {
      fmt::print("ledger: none; the next start reads the records\n");
    }
    if (has_lost_lives) {
      fmt::print(
          "lives: damaged; the next start begins anew, and what the parent has of the records that were under way "
          "is stored there twice\n");
    } else if (lives) {
      fmt::print("lives: sound, {}\n", *lives);
    }
    fmt::print("{} records and {} dead letters can be read; {}\n", records, content->dead_letters,
               damages == 0 ? "nothing is damaged" : fmt::format("{} stretches are damaged", damages));
  }
  return is_sound ? kSuccess : kFailure;
}

// What POST /v1/events takes, one a line. What it would not take is counted, by why.
int export_records(const SpoolCommandOptions& options) {
  const Result<std::optional<Priority>> stream = stream_of(options);
  if (!stream) return print_usage(stream.error());
  storage::PosixFileSystem file_system(options.access.data_dir);
  Result<spool::Inspection> inspection = spool::Inspection::open(file_system, options.directory(), *options.keys);
  if (!inspection) return print_failure(inspection.error());
  std::ofstream file;
  if (!options.output.empty()) {
    file.open(options.output, std::ios::binary | std::ios::trunc);
    if (!file) {
      return print_failure(
          {"spool.output", fmt::format("cannot write {}", options.output), "name a file in a directory that is there"});
    }
  }
  std::ostream& out = options.output.empty() ? std::cout : file;
  uint64_t written = 0;
  std::map<std::string, uint64_t> left_out;
  const Result<void> read = inspection->for_each(*stream, [&](const spool::InspectedRecord& record) {
    if (record.is_delivered) return true;
    const Result<std::string> line = node::posted_event_line(record.event, record.stream);
    if (!line) {
      ++left_out[std::string(line.error().code)];
      return true;
    }
    out << *line << '\n';
    ++written;
    return out.good();
  });
  if (!read) return print_failure(read.error());
  out.flush();
  if (!out.good()) return print_failure({"spool.output", "the output cannot be written", "check the disk or the pipe"});
  fmt::print(stderr, "{} records were written\n", written);
  for (const auto& [code, count] : left_out) {
    fmt::print(stderr, "{} were left out, which POST /v1/events does not take [{}]{}; verge spool dump has them\n",
               count, code, code == "ingest.topic" ? ": their topics are the node's own" : "");
  }
  return kSuccess;
}

int list_dead_letters(const SpoolCommandOptions& options) {
  storage::PosixFileSystem file_system(options.access.data_dir);
  Result<spool::Inspection> inspection = spool::Inspection::open(file_system, options.directory(), *options.keys);
  if (!inspection) return print_failure(inspection.error());
  const DataOwner owner = owner_of(file_system, options.access.data_dir);
  const Result<void> read = inspection->for_each_dead_letter([&](const spool::DeadLetter& letter) {
    ByteReader bytes(letter.event);
    const std::optional<EventView> event = read_event(bytes);
    if (options.json) {
      fmt::print(R"({{"stream":"{}","sequence":{},"time":"{}","code":{},"what":{},"event":{}}})"
                 "\n",
                 name_of(letter.stream), letter.sequence, format_utc(letter.time), json_string(letter.code),
                 json_string(letter.what), event ? event_of(letter.stream, letter.sequence, *event, owner) : "null");
    } else {
      fmt::print("{:8} {:>12}  {}  {}  {}\n", name_of(letter.stream), letter.sequence, format_utc(letter.time),
                 printable(event ? event->topic : ""), printable(letter.what));
    }
    return std::ferror(stdout) == 0;
  });
  return read ? kSuccess : print_failure(read.error());
}

// What root makes or replaces here must be the node's own afterwards: this process becomes who owns the directory.
Result<void> become_owner(const std::string& directory) {
  struct stat owner{};
  if (geteuid() != 0 || stat(directory.c_str(), &owner) != 0 || owner.st_uid == 0) return {};
  if (setgroups(0, nullptr) == 0 && setegid(owner.st_gid) == 0 && seteuid(owner.st_uid) == 0) return {};
  return fail("storage.permission", fmt::format("this process cannot become the owner of {}", directory),
              "run the command as the user that the node runs as");
}

// For what changes files: nobody else may have them meanwhile.
Result<storage::DataDirectory> lock_directory(storage::FileSystem& file_system, const SpoolCommandOptions& options) {
  if (!file_system.list(options.directory())) {
    return fail("spool.none", fmt::format("there is no spool in {}", options.directory()),
                "name the node's data directory with --data-dir");
  }
  if (const Result<void> became = become_owner(options.access.data_dir); !became) {
    return std::unexpected(became.error());
  }
  return storage::DataDirectory::open(options.access.data_dir);
}

// Whatever the node's own bounds are: nothing that it keeps is to be forgotten here.
constexpr spool::SpoolOptions kUnbounded{
    .bytes_max = UINT64_MAX / 2, .sources_max = SIZE_MAX, .stretches_max = SIZE_MAX};

// With files of the size that the node makes: the space that it holds back has it.
spool::SpoolOptions unbounded(storage::FileSystem& file_system, const SpoolCommandOptions& options) {
  spool::SpoolOptions made = kUnbounded;
  const auto held_back = file_system.open(options.directory() + "/reserve/held-back", storage::OpenMode::kRead);
  const Result<uint64_t> size = held_back ? (*held_back)->size() : std::unexpected(held_back.error());
  if (size && *size > 0) made.segment_bytes = *size;
  return made;
}

// On stderr: what opening the spool found, and what it did about it.
void print_recovery(const spool::Spool::Recovery& recovery) {
  for (const Error& replaced : recovery.replaced) fmt::print(stderr, "verge: {}\n", replaced.line());
  for (const storage::SetAside& each : recovery.set_aside) {
    fmt::print(stderr, "verge: {}; {}\n", each.why,
               each.now.empty() ? "it is left where it is" : "it was moved to " + each.now);
  }
  for (const storage::DamagedRange& range : recovery.damaged) fmt::print(stderr, "verge: {}\n", damage_text(range));
}

// Opens the spool for changing it, with the directory's lock held, and closes it cleanly.
int change(const SpoolCommandOptions& options, const std::function<int(spool::Spool&)>& work) {
  storage::PosixFileSystem file_system(options.access.data_dir);
  const Result<storage::DataDirectory> lock = lock_directory(file_system, options);
  if (!lock) return print_failure(lock.error());
  spool::Spool::Recovery recovery;
  const Result<std::unique_ptr<spool::Spool>> opened =
      spool::Spool::open(file_system, options.directory(), *options.keys, unbounded(file_system, options), recovery);
  if (!opened) return print_failure(opened.error());
  print_recovery(recovery);
  const int status = work(**opened);
  if (const Result<void> kept = (*opened)->checkpoint(); !kept) return print_failure(kept.error());
  return status;
}

int replay_dead_letters(const SpoolCommandOptions& options) {
  return change(options, [&](spool::Spool& spool) {
    std::vector<storage::DamagedRange> damaged;
    const Result<uint64_t> replayed = spool.replay_dead_letters(damaged);
    if (!replayed) return print_failure(replayed.error());
    for (const storage::DamagedRange& range : damaged) fmt::print(stderr, "verge: {}\n", damage_text(range));
    fmt::print("{}\n", options.json ? fmt::format(R"({{"replayed":{}}})", *replayed)
                                    : fmt::format("{} dead letters are in their streams again", *replayed));
    return kSuccess;
  });
}

// Removes the log if any of its files needs the key. Whether one did.
Result<bool> forget_state(storage::FileSystem& file_system, const std::string& log, storage::KeyId key) {
  const Result<std::map<storage::KeyId, size_t>> needed = storage::keys_in_use(file_system, log);
  if (!needed) return std::unexpected(needed.error());
  if (const Result<void> gone = storage::remove_cut_off(file_system, log, key); !gone) {
    return std::unexpected(gone.error());
  }
  if (!needed->contains(key)) return false;
  const Result<std::vector<storage::SegmentFile>> segments = storage::list_segments(file_system, log);
  if (!segments) return std::unexpected(segments.error());
  for (const storage::SegmentFile& segment : *segments) {
    if (const Result<void> gone = file_system.remove(segment.path); !gone) return std::unexpected(gone.error());
  }
  if (const Result<void> synced = file_system.sync_directory(log); !synced) return std::unexpected(synced.error());
  return true;
}

int purge_key(const SpoolCommandOptions& options) {
  const std::optional<storage::KeyId> key = storage::parse_key_id(options.key);
  if (!key || !options.stream.empty() || options.dead_letters) {
    return print_usage({"spool.purge", "--key stands alone, with the 16 hexadecimal digits that name a key",
                        "copy them from 'verge spool key ls'"});
  }
  storage::PosixFileSystem file_system(options.access.data_dir);
  const Result<storage::DataDirectory> lock = lock_directory(file_system, options);
  if (!lock) return print_failure(lock.error());
  spool::Spool::Recovery recovery;
  const Result<std::vector<spool::Spool::Erased>> erased = spool::Spool::erase_key(
      file_system, options.directory(), *options.keys, unbounded(file_system, options), *key, recovery);
  if (!erased) return print_failure(erased.error());
  print_recovery(recovery);
  uint64_t undelivered = 0;
  for (const spool::Spool::Erased& each : *erased) {
    undelivered += each.undelivered;
    if (options.json) {
      fmt::print(R"({{"log":"{}","first_sequence":{},"end_sequence":{},"undelivered":{}}})"
                 "\n",
                 each.log, each.sequences.begin, each.sequences.end, each.undelivered);
    } else {
      fmt::print("{}: records {} to {} are gone; {} of them were not delivered\n", each.log, each.sequences.begin,
                 each.sequences.end - 1, each.undelivered);
    }
  }
  for (const auto& [name, log] : options.access.state_logs()) {
    const Result<bool> forgotten = forget_state(file_system, log, *key);
    if (!forgotten) return print_failure(forgotten.error());
    if (!*forgotten) continue;
    if (options.json) {
      fmt::print(R"({{"log":"{}","forgotten":true}})"
                 "\n",
                 name);
    } else {
      fmt::print("{}: what they remembered is gone\n", name);
    }
  }
  if (!options.json) {
    fmt::print("nothing needs the key {} any more; {} records that were not delivered are lost\n", options.key,
               undelivered);
  }
  return kSuccess;
}

int purge(const SpoolCommandOptions& options) {
  const Result<std::optional<Priority>> stream = stream_of(options);
  if (!stream) return print_usage(stream.error());
  if (!options.yes || (options.stream.empty() && !options.dead_letters && options.key.empty())) {
    return print_usage({"spool.purge", "what is purged is lost for good",
                        "say what, with --stream, --dead-letters or --key, and that you mean it, with --yes"});
  }
  if (!options.key.empty()) return purge_key(options);
  return change(options, [&](spool::Spool& spool) {
    uint64_t purged = 0;
    if (options.dead_letters) {
      purged += spool.dead_letters();
      if (const Result<void> gone = spool.forget_dead_letters(); !gone) return print_failure(gone.error());
    }
    if (*stream) {
      const Result<uint64_t> gone = spool.discard(**stream);
      if (!gone) return print_failure(gone.error());
      purged += *gone;
    }
    fmt::print("{}\n",
               options.json ? fmt::format(R"({{"purged":{}}})", purged) : fmt::format("{} records are gone", purged));
    return kSuccess;
  });
}

using Run = int (*)(const SpoolCommandOptions&);

Command* add(Command& group, Outcome& outcome, const std::string& name, const std::string& description, Run run,
             const std::string& examples, const std::function<void(Command&, SpoolCommandOptions&)>& more = {}) {
  Command* command = group.add_command(name, description);
  const auto options = std::make_shared<SpoolCommandOptions>();
  add_access_options(*command, options->access);
  if (more) more(*command, *options);
  command->add_flag("--json", options->json, "JSON on stdout, one object a line");
  set_examples(*command, examples);
  command->callback([&outcome, options, run] {
    outcome.run = [options, run] {
      const Result<storage::Keys> keys = settle_access(options->access);
      if (!keys) return print_usage(keys.error());
      if (const Result<void> taken = options->keys->replace(*keys); !taken) return print_failure(taken.error());
      return run(*options);
    };
  });
  return command;
}

// Why the text is no number of records; empty when it is one.
std::string no_count(const std::string& text) {
  uint64_t count = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool is_number = problem == std::errc{} && end == text.data() + text.size();
  return is_number && count > 0 ? "" : fmt::format("'{}' is no number of records, from 1 on", text);
}

void with_stream(Command& command, SpoolCommandOptions& options) {
  command.add_option("--stream", options.stream, "Only critical, high, normal or low")->type_name("PRIORITY");
}

}  // namespace

void add_spool(Command& app, Outcome& outcome) {
  Command* spool = app.add_command("spool", "Look into a node's spool, and mend it");
  spool->group(kGroupNode);
  spool->require_subcommand(1);
  set_examples(*spool,
               "  verge spool stat\n"
               "  verge spool dlq ls\n\n"
               "dlq replay and purge need the node to be stopped; the others may be run beside it.\n");
  add(*spool, outcome, "stat", "What waits, by stream", stat, "  verge spool stat --json --data-dir /var/lib/verge\n");
  add(*spool, outcome, "ls", "The files, and what is in each", list, "  verge spool ls\n");
  add(*spool, outcome, "peek", "The next records to go up", peek, "  verge spool peek --stream critical --count 3\n",
      [](Command& command, SpoolCommandOptions& options) {
        with_stream(command, options);
        command.add_option("--count", options.count, "At most so many")->type_name("N")->check(no_count);
      });
  add(*spool, outcome, "fsck", "Read everything and say what is damaged; exit status 1 if anything is", fsck,
      "  verge spool fsck\n");
  add(*spool, outcome, "dump", "Every record that is there, delivered or not, as JSON lines", dump,
      "  verge spool dump --stream normal >records.ndjson\n", with_stream);
  add(*spool, outcome, "export", "What is not delivered, as lines that POST /v1/events takes", export_records,
      "  verge spool export --output waiting.ndjson\n"
      "  curl --data-binary @waiting.ndjson http://127.0.0.1:8080/v1/events\n",
      [](Command& command, SpoolCommandOptions& options) {
        with_stream(command, options);
        command.add_option("--output", options.output, "Write there instead of to stdout")->type_name("FILE");
      });
  add_spool_key(*spool, outcome);
  Command* letters = spool->add_command("dlq", "Dead letters: records that the parent would not have");
  letters->require_subcommand(1);
  set_examples(*letters, "  verge spool dlq ls\n");
  add(*letters, outcome, "ls", "The dead letters, and what the parent said", list_dead_letters,
      "  verge spool dlq ls --json\n");
  add(*letters, outcome, "replay", "Put them back into their streams", replay_dead_letters,
      "  verge spool dlq replay\n");
  add(*spool, outcome, "purge", "Throw away what waits in a stream, the dead letters, or what a key encrypted", purge,
      "  verge spool purge --dead-letters --yes\n", [](Command& command, SpoolCommandOptions& options) {
        with_stream(command, options);
        command.add_flag("--dead-letters", options.dead_letters, "The dead letters");
        command.add_option("--key", options.key, "What only this key can read")->type_name("ID");
        command.add_flag("--yes", options.yes, "It is meant");
      });
}

}  // namespace verge::cli
