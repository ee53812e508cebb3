#include "cache/file_answers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cache/byte_ranges.h"
#include "cache/multipart_ranges.h"
#include "cache/validators.h"
#include "net/http_date.h"

namespace verge::cache {
namespace {

// If-Match and If-Unmodified-Since, which a server that has the file judges itself (RFC 9110 section 13.2.2).
bool fails_condition(std::span<const net::HttpField> fields, std::string_view tag, int64_t modified_s, int64_t now_s) {
  if (const auto match = net::find_field(fields, "if-match")) {
    const std::string weak = "W/" + std::string(tag);
    return !any_weakly_equal(*match, tag) || match->contains(weak);
  }
  const auto since = net::find_field(fields, "if-unmodified-since");
  const std::optional<Seconds> date = since ? net::parse_http_date(*since, now_s) : std::nullopt;
  return date && modified_s > *date;
}

bool is_refused(std::string_view parameters) {
  const size_t q = parameters.find("q=");
  if (q == std::string_view::npos) return false;
  const std::string_view value = net::trim_blanks(parameters.substr(q + 2));
  return value.starts_with('0') && value.find_first_not_of("0.") == std::string_view::npos;
}

}  // namespace

std::vector<std::string_view> accepted_codings(std::span<const net::HttpField> fields) {
  std::vector<std::string_view> accepted;
  for (const std::string_view coding : {"br", "zstd", "gzip"}) {
    bool takes = false;
    for (const net::HttpField& field : fields) {
      if (!net::equals_ignoring_case(field.name, "accept-encoding")) continue;
      std::string_view rest = field.value;
      while (!rest.empty()) {
        const std::string_view member = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(rest.size(), member.size() + 1));
        const size_t semicolon = std::min(member.find(';'), member.size());
        if (!net::equals_ignoring_case(net::trim_blanks(member.substr(0, semicolon)), coding)) continue;
        takes = !is_refused(member.substr(semicolon));
      }
    }
    if (takes) accepted.push_back(coding);
  }
  return accepted;
}

FileAnswers::FileAnswers(runtime::Loop& loop, const Clock& clock, std::string cache_status, Deliver deliver)
    : loop_(loop), clock_(clock), cache_status_(std::move(cache_status)), deliver_(std::move(deliver)) {}

void FileAnswers::respond_plain(net::HttpResponder& responder, int status, std::string_view what,
                                std::vector<net::HttpField> fields) const {
  const std::string body = fmt::format("{} {}: {}\n", status, net::reason_phrase(status), what);
  fields.push_back({"Cache-Status", cache_status_});
  responder.respond(
      {.status = status, .content_type = "text/plain; charset=utf-8", .fields = std::move(fields), .body = body});
}

void FileAnswers::answer(const net::HttpRequest& request, net::HttpResponder responder,
                         std::shared_ptr<StaticFiles> files, const StaticRoot& root, std::string_view name,
                         std::string_view path) {
  if (request.method != "GET" && request.method != "HEAD") {
    return respond_plain(responder, 405, "there are files here, to be read", {{"Allow", "GET, HEAD"}});
  }
  const uint64_t id = next_id_++;
  FileQuestion question{.root = root, .path = std::string(name), .codings = {}};
  if (root.precompressed) question.codings = accepted_codings(request.fields);
  Waiting waiting{.responder = std::move(responder),
                  .files = files,
                  .fields = OwnedFields(request.fields),
                  .directory_url = encode_path(path) + "/",
                  .is_head = request.method == "HEAD",
                  .has_codings = root.precompressed};
  if (!request.query.empty()) waiting.directory_url.append("?").append(request.query);
  const auto told = [loop = &loop_, alive = std::weak_ptr(alive_), id](FileFound found) {
    auto shared = std::make_shared<FileFound>(std::move(found));
    loop->post([alive, id, shared] {
      if (const auto there = alive.lock()) (*there)->on_found(id, std::move(*shared));
    });
  };
  if (!files->look_up(std::move(question), told)) {
    return respond_plain(waiting.responder, 503, "too many files are being looked for", {{"Retry-After", "1"}});
  }
  Waiting& kept = waiting_.emplace(id, std::move(waiting)).first->second;
  kept.responder.when_closed([this, id] { waiting_.erase(id); });
}

void FileAnswers::on_found(uint64_t id, FileFound found) {
  const auto at = waiting_.find(id);
  if (at == waiting_.end()) return;
  Waiting waiting = std::move(at->second);
  waiting_.erase(at);
  waiting.responder.when_closed({});
  switch (found.kind) {
    case FileFound::Kind::kFile:
      return answer_file(std::move(waiting), std::move(found));
    case FileFound::Kind::kDirectory:
      return waiting.responder.respond(
          {.status = 301,
           .content_type = {},
           .fields = {{"Location", waiting.directory_url}, {"Cache-Status", cache_status_}},
           .body = {}});
    case FileFound::Kind::kNone:
      return respond_plain(waiting.responder, 404, "there is no such file");
    case FileFound::Kind::kFailed:
      return respond_plain(waiting.responder, 503, "the file cannot be read now", {{"Retry-After", "1"}});
  }
}

void FileAnswers::answer_file(Waiting waiting, FileFound found) {
  const int64_t now_s = clock_.wall().microseconds / 1'000'000;
  const std::string modified = net::http_date({found.modified_s * 1'000'000});
  const std::string date = net::http_date({now_s * 1'000'000});
  const std::span<const net::HttpField> asked = waiting.fields.view();
  std::vector<net::HttpField> fields = {{"Date", date},
                                        {"ETag", found.entity_tag},
                                        {"Last-Modified", modified},
                                        {"Accept-Ranges", "bytes"},
                                        {"Cache-Status", cache_status_}};
  if (waiting.has_codings) fields.push_back({"Vary", "Accept-Encoding"});
  if (fails_condition(asked, found.entity_tag, found.modified_s, now_s)) {
    return respond_plain(waiting.responder, 412, "the file is not the one that the condition is about");
  }
  if (evaluate_preconditions(asked, fields, now_s) == Precondition::kNotModified) {
    return waiting.responder.respond({.status = 304, .content_type = {}, .fields = fields, .body = {}});
  }
  int status = 200;
  uint64_t first = 0, read = found.size, size = found.size;  // of the file, and of the answer
  std::string content_range_text;
  std::optional<MultipartRanges> several;
  const auto specs = waiting.is_head ? std::nullopt : parse_range(net::find_field(asked, "range").value_or(""));
  if (specs && range_applies(asked, fields, now_s)) {
    std::vector<ByteRange> ranges = satisfiable(*specs, found.size);
    if (ranges.empty()) {
      const std::string whole = fmt::format("bytes */{}", found.size);
      return respond_plain(waiting.responder, 416, "the file is shorter", {{"Content-Range", whole}});
    }
    // A large file is read on and never back.
    if (!found.whole) std::ranges::sort(ranges, {}, &ByteRange::first);
    const ByteRange hull = hull_of(ranges);
    first = hull.first;
    size = read = hull.size();
    status = 206;
    if (ranges.size() > 1) {
      several = multipart_ranges(ranges, found.size, first, found.content_type, multipart_boundary());
      size = several->bytes;
    } else {
      content_range_text = content_range(hull, found.size);
      fields.push_back({"Content-Range", content_range_text});
    }
  }
  fields.push_back({"Content-Type", several ? std::string_view(several->content_type) : found.content_type});
  if (!found.coding.empty()) fields.push_back({"Content-Encoding", found.coding});
  waiting.responder.start({.status = status, .reason = {}, .fields = fields},
                          {.kind = net::BodyFraming::Kind::kLength, .length = size});
  if (waiting.is_head || size == 0) return waiting.responder.finish();
  if (found.whole && !several) {
    waiting.responder.write(*found.whole, first, size);
    return waiting.responder.finish();
  }
  Delivery::Plan plan = several ? std::move(several->plan) : Delivery::Plan();
  if (found.whole) {
    for (Delivery::Part& part : plan.parts) part.first += first;
    return deliver_(std::move(waiting.responder), Body::of(*found.whole), std::move(plan));
  }
  deliver_(std::move(waiting.responder), waiting.files->read(std::move(found.file), first, read), std::move(plan));
}

}  // namespace verge::cache
