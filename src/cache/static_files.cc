#include "cache/static_files.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/content_type.h"

namespace verge::cache {
namespace {

constexpr size_t kPieceBytes = 128U << 10;
// What is opened may be a pipe: that must not wait for who writes to it.
constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

struct Coding {
  std::string_view name;
  std::string_view end;
};
constexpr Coding kCodings[] = {{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}};

// Name by name, following no link at all.
int open_without_links(int root, std::string_view path) {
  int at = ::fcntl(root, F_DUPFD_CLOEXEC, 0);
  while (at >= 0) {
    const size_t slash = path.find('/');
    const std::string name(path.substr(0, slash));
    const bool is_last = slash == std::string_view::npos;
    const int next = ::openat(at, name.c_str(), (is_last ? kFlags : O_PATH | O_DIRECTORY | O_CLOEXEC) | O_NOFOLLOW);
    const int problem = errno;
    ::close(at);
    errno = problem;
    if (is_last) return next;
    at = next;
    path.remove_prefix(slash + 1);
  }
  return -1;
}

int open_beneath(int root, const std::string& path) {
  open_how how{};
  how.flags = static_cast<uint64_t>(kFlags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: something was renamed meanwhile, and the kernel cannot tell whether the path still is beneath.
  for (int attempt = 0; attempt < 8; ++attempt) {
    const long opened = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how));
    if (opened >= 0) return static_cast<int>(opened);
    if (errno == ENOSYS || errno == EPERM) return open_without_links(root, path);
    if (errno != EAGAIN) return -1;
  }
  return -1;
}

// Whether every segment is a name that is served. `path` is plain: it has no "." and "..".
bool is_served(std::string_view path, bool dotfiles) {
  if (path.contains('\0')) return false;
  return dotfiles || (!path.starts_with('.') && !path.contains("/."));
}

struct Opened {
  std::shared_ptr<OpenFile> file;
  struct stat about{};
  int problem = 0;
};

Opened open_and_look(int root, const std::string& path) {
  Opened opened;
  const int descriptor = open_beneath(root, path);
  if (descriptor < 0) {
    opened.problem = errno;
    return opened;
  }
  opened.file = std::make_shared<OpenFile>(descriptor);
  if (::fstat(descriptor, &opened.about) != 0) opened.problem = errno;
  return opened;
}

bool is_of_the_system(int problem) {
  return problem == EMFILE || problem == ENFILE || problem == ENOMEM || problem == EIO;
}

void read_whole(FileFound& found) {
  if (found.size > StaticFiles::kWholeMax) return;
  std::string bytes(found.size, '\0');
  size_t place = 0;
  while (place < bytes.size()) {
    const ssize_t got =
        ::pread(found.file->descriptor(), bytes.data() + place, bytes.size() - place, static_cast<off_t>(place));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      found.kind = FileFound::Kind::kFailed;  // it became shorter under our hands
      return;
    }
    place += static_cast<size_t>(got);
  }
  found.whole = Payload(bytes);
}

}  // namespace

OpenFile::~OpenFile() { ::close(descriptor_); }

FileFound find_file(const FileQuestion& question) {
  using Kind = FileFound::Kind;
  FileFound found;
  std::string path = question.path;
  path.erase(0, std::min(path.find_first_not_of('/'), path.size()));
  if (!is_served(path, question.root.dotfiles)) return found;
  const bool names_directory = path.empty() || path.ends_with('/');
  if (names_directory) {
    if (question.root.index.empty()) return found;
    path.append(question.root.index);
  }
  const int root = ::open(question.root.directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) {
    found.kind = is_of_the_system(errno) ? Kind::kFailed : Kind::kNone;
    return found;
  }
  const OpenFile holds_root(root);
  Opened opened = open_and_look(root, path);
  if (opened.problem != 0) {
    found.kind = is_of_the_system(opened.problem) ? Kind::kFailed : Kind::kNone;
    return found;
  }
  if (S_ISDIR(opened.about.st_mode)) {
    found.kind = names_directory ? Kind::kNone : Kind::kDirectory;
    return found;
  }
  if (!S_ISREG(opened.about.st_mode)) return found;
  found.content_type = content_type_of(path);
  for (const std::string_view wanted : question.codings) {
    const auto* coding = std::ranges::find(kCodings, wanted, &Coding::name);
    if (!question.root.precompressed || coding == std::end(kCodings)) continue;
    Opened coded = open_and_look(root, path + std::string(coding->end));
    if (coded.problem != 0 || !S_ISREG(coded.about.st_mode)) continue;
    opened = std::move(coded);
    found.coding = coding->name;
    break;
  }
  found.kind = Kind::kFile;
  found.file = std::move(opened.file);
  found.size = static_cast<uint64_t>(opened.about.st_size);
  found.modified_s = opened.about.st_mtim.tv_sec;
  found.entity_tag = fmt::format("\"{:x}-{:x}-{:x}{}{}\"", opened.about.st_mtim.tv_sec, opened.about.st_mtim.tv_nsec,
                                 found.size, found.coding.empty() ? "" : "-", found.coding);
  read_whole(found);
  return found;
}

// One large file on its way to one client. At most one job of it waits or runs; it stops above the window, and the
// body's reader starts it again. The body's callback owns it, and it does not own the body: a body that nobody holds
// any more takes it along.
class StaticFiles::Stream : public std::enable_shared_from_this<StaticFiles::Stream> {
 public:
  Stream(StaticFiles& files, std::shared_ptr<OpenFile> file, uint64_t first, uint64_t size)
      : files_(files), file_(std::move(file)), begin_(first), place_(first), end_(first + size) {}

  void begin(const std::shared_ptr<Body>& body) {
    body_ = body;
    body->forget_what_is_read();
    body->when_read([self = shared_from_this()] { self->wake(); });
    wake();
  }
  void wake() {
    if (queued_.exchange(true)) return;
    files_.add([self = shared_from_this()] { self->run(); });
  }

 private:
  void run() {
    queued_ = false;
    bool goes_on = false;
    {
      // Another thread may have been given the next job already.
      const std::lock_guard lock(mutex_);
      const std::shared_ptr<Body> body = body_.lock();
      if (!body || done_) return;
      const bool has_reader = body->readers() > 0;
      if (!has_reader && body->has_been_read()) {
        done_ = true;
        return body->break_off();
      }
      const uint64_t ahead = has_reader ? body->lag() : place_ - begin_;
      if (ahead >= kWindow) return;
      goes_on = read_piece(*body);
    }
    if (goes_on) wake();
  }

  bool read_piece(Body& body) {
    if (place_ == end_) {
      done_ = true;
      body.complete();
      return false;
    }
    std::string piece(std::min<uint64_t>(kPieceBytes, end_ - place_), '\0');
    ssize_t got = 0;
    do {
      got = ::pread(file_->descriptor(), piece.data(), piece.size(), static_cast<off_t>(place_));
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
      done_ = true;
      body.break_off();
      return false;
    }
    place_ += static_cast<uint64_t>(got);
    body.append(Payload(std::string_view(piece).substr(0, static_cast<size_t>(got))));
    return true;
  }

  StaticFiles& files_;
  const std::shared_ptr<OpenFile> file_;
  std::weak_ptr<Body> body_;
  std::atomic<bool> queued_{false};
  std::mutex mutex_;
  const uint64_t begin_;
  uint64_t place_;
  const uint64_t end_;
  bool done_ = false;
};

StaticFiles::StaticFiles(size_t threads) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

StaticFiles::~StaticFiles() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  woken_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool StaticFiles::look_up(FileQuestion question, std::function<void(FileFound)> told) {
  {
    const std::lock_guard lock(mutex_);
    if (questions_ >= kQuestionsMax) return false;
    ++questions_;
  }
  add([this, question = std::move(question), told = std::move(told)] {
    {
      const std::lock_guard lock(mutex_);
      --questions_;
    }
    told(find_file(question));
  });
  return true;
}

std::shared_ptr<Body> StaticFiles::read(std::shared_ptr<OpenFile> file, uint64_t first, uint64_t size) {
  auto body = std::make_shared<Body>(size);
  std::make_shared<Stream>(*this, std::move(file), first, size)->begin(body);
  return body;
}

void StaticFiles::add(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  woken_.notify_one();
}

void StaticFiles::run() {
  while (true) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      woken_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace verge::cache
