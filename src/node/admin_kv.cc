// Keys and values of workers over HTTP: what `verge kv` asks.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "net/http_message.h"
#include "node/admin_api.h"
#include "node/key_value_text.h"
#include "node/node.h"
#include "node/problem.h"

namespace verge::node {
namespace {

constexpr std::string_view kKv = "/v1/kv";
// Of the values in one answer; one at least is in it.
constexpr size_t kValuesBytesMax = 8U << 20;
constexpr size_t kLinesMax = 10'000;

// What {"name":…} of one line of an import says.
Result<kv::Change> read_line(simdjson::dom::parser& parser, std::string_view line, std::string_view space,
                             int64_t now_s) {
  const auto bad = [](std::string what) {
    return fail("kv.line", std::move(what), R"(a line is such as {"name":"a","value":"b","expiration":1900000000})");
  };
  simdjson::dom::element root;
  simdjson::dom::object members;
  std::string_view name, text;
  const simdjson::padded_string padded(line);
  if (parser.parse(padded).get(root) != simdjson::SUCCESS || root["name"].get(name) != simdjson::SUCCESS) {
    return bad("a line is no JSON object with a name");
  }
  kv::Item item;
  if (root["value"].get(text) == simdjson::SUCCESS) {
    item.value = text;
  } else if (root["base64"].get(text) == simdjson::SUCCESS) {
    std::optional<std::string> bytes = from_base64(text);
    if (!bytes) return bad(fmt::format("the base64 of {} cannot be read", json_string(name)));
    item.value = *std::move(bytes);
  } else {
    return bad(fmt::format("{} has neither value nor base64", json_string(name)));
  }
  if (root.get(members) != simdjson::SUCCESS) return bad("a line is no JSON object with a name");
  for (const auto [key, value] : members) {
    if (key == "metadata") {
      item.metadata = simdjson::minify(value);
    } else if (key == "expiration") {
      if (value.get(item.expires_s) != simdjson::SUCCESS || item.expires_s < 1) {
        return bad(fmt::format("the expiration of {} is no whole number of seconds since 1970", json_string(name)));
      }
    } else if (key != "name" && key != "value" && key != "base64") {
      return bad(fmt::format("{} has a member {} that no line has", json_string(name), json_string(key)));
    }
  }
  if (const Result<void> good = check_text_key(name); !good) return std::unexpected(good.error());
  if (const Result<void> good = kv::check_item(item); !good) return std::unexpected(good.error());
  kv::Change change{.space = std::string(space), .key = std::string(name), .item = std::nullopt};
  // What has expired meanwhile is not there.
  if (item.expires_s == 0 || item.expires_s > now_s) change.item = std::move(item);
  return change;
}

// A line of an export.
void append_line(std::string& out, std::string_view key, const kv::Item& item) {
  out.append(R"({"name":)");
  append_json_string(out, key);
  if (is_utf8(item.value)) {
    out.append(R"(,"value":)");
    append_json_string(out, item.value);
  } else {
    out.append(R"(,"base64":")").append(base64(item.value)).push_back('"');
  }
  if (item.expires_s != 0) fmt::format_to(std::back_inserter(out), R"(,"expiration":{})", item.expires_s);
  if (!item.metadata.empty()) out.append(R"(,"metadata":)").append(item.metadata);
  out.append("}\n");
}

// The values of a list, one after the other. Shared by the answers of the store, of which one is under way.
struct Export {
  kv::KeyValueStore* store;
  std::string space;
  kv::Listing listing;
  size_t at = 0;
  std::string lines;
  std::move_only_function<void(Result<std::string> lines, std::string next)> done;
};

void export_next(const std::shared_ptr<Export>& its) {
  const bool is_cut = its->lines.size() >= kValuesBytesMax;
  if (its->at == its->listing.keys.size() || is_cut) {
    const bool is_cut_here = its->at < its->listing.keys.size();
    const std::string last = is_cut_here ? its->listing.keys[its->at - 1].key : its->listing.last;
    return its->done(std::move(its->lines), last.empty() ? "" : base64(last));
  }
  its->store->get(its->space, its->listing.keys[its->at].key, [its](Result<kv::ItemPointer> item) {
    if (!item) return its->done(std::unexpected(item.error()), {});
    // It may be gone by now.
    if (*item) append_line(its->lines, its->listing.keys[its->at].key, **item);
    ++its->at;
    export_next(its);
  });
}

// The lines of an import, all under way at once. Shared by the answers of the store.
struct Import {
  std::atomic<size_t> waiting;
  std::mutex mutex;
  size_t written = 0;
  std::optional<Error> problem;  // the first
};

}  // namespace

void AdminApi::respond_refused(net::HttpResponder& responder, const Error& error) {
  int status = 500;
  if (error.code == "kv.value" || error.code == "kv.line") status = 400;
  if (error.code == "kv.namespace-full" || error.code == "queues.full" || error.code == "storage.full") status = 507;
  if (error.code == "kv.busy") status = 503;
  respond_problem(responder, status, error);
}

void AdminApi::answer_kv(const net::HttpRequest& request, net::HttpResponder responder) {
  std::string_view rest = std::string_view(request.path).substr(kKv.size());
  if (rest.starts_with('/')) rest.remove_prefix(1);
  const size_t slash = rest.find('/');
  const std::optional<std::string> space = net::percent_decode(rest.substr(0, slash));
  const bool is_reading = request.method == "GET" || request.method == "HEAD";
  if (rest.empty()) {
    if (is_reading) return list_spaces(std::move(responder));
    return respond_problem(responder, 405, {"http.method", "namespaces are listed here", "use GET"},
                           {{"Allow", "GET, HEAD"}});
  }
  const std::vector<kv::SpaceTotals> spaces = node_.kv_spaces();
  if (node_.kv() == nullptr || !space || std::ranges::find(spaces, *space, &kv::SpaceTotals::name) == spaces.end()) {
    return respond_problem(responder, 404,
                           {"kv.unknown", fmt::format("there is no namespace {}", printable(space.value_or(""))),
                            "see GET /v1/kv; a worker that names it in its kv makes it"});
  }
  if (slash == std::string_view::npos) {
    if (is_reading) return list_keys(*space, request, std::move(responder));
    if (request.method == "POST") return import_keys(*space, request, std::move(responder));
    return respond_problem(responder, 405, {"http.method", "keys are listed and imported here", "use GET or POST"},
                           {{"Allow", "GET, HEAD, POST"}});
  }
  const std::optional<std::string> key = net::percent_decode(rest.substr(slash + 1));
  if (!key) return respond_problem(responder, 400, {"kv.value", "the key cannot be read", ""});
  if (const Result<void> good = check_text_key(*key); !good) return respond_problem(responder, 400, good.error());
  answer_key(*space, *key, request, std::move(responder));
}

void AdminApi::list_spaces(net::HttpResponder responder) {
  std::string body = R"({"namespaces":[)";
  for (const kv::SpaceTotals& space : node_.kv_spaces()) {
    fmt::format_to(std::back_inserter(body), R"({}{{"name":{},"bytes":{},"keys":{},"bytes_max":{}}})",
                   body.ends_with('[') ? "" : ",", json_string(space.name), space.bytes, space.keys, space.bytes_max);
  }
  body.append("]}\n");
  responder.respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body});
}

void AdminApi::list_keys(const std::string& space, const net::HttpRequest& request, net::HttpResponder responder) {
  const auto parameter = [&](std::string_view name) { return net::query_parameter(request.query, name).value_or(""); };
  kv::ListRequest asked{.space = space, .prefix = parameter("prefix")};
  const Result<size_t> limit = list_limit_of(parameter("limit"));
  if (!limit) return respond_problem(responder, 400, limit.error());
  asked.limit = *limit;
  if (const std::string cursor = parameter("cursor"); !cursor.empty()) {
    std::optional<std::string> after = read_cursor(cursor);
    if (!after) {
      return respond_problem(responder, 400,
                             {"kv.value", "?cursor= is none of a list", "give that of the list before"});
    }
    asked.after = *std::move(after);
  }
  if (parameter("values") != "true") {
    node_.kv()->list(
        std::move(asked),
        when_store_answers<kv::Listing>(std::move(responder), [](auto& its, const kv::Listing& listing) {
          its.respond(
              {.status = 200, .content_type = "application/json", .fields = {}, .body = listing_json(listing) + "\n"});
        }));
    return;
  }
  using Page = std::pair<std::string, std::string>;  // lines, where to go on
  auto done = when_store_answers<Page>(std::move(responder), [](auto& its, const Page& page) {
    net::HttpResponse answer{.status = 200, .content_type = "application/x-ndjson", .fields = {}, .body = page.first};
    if (!page.second.empty()) answer.fields.push_back({"Verge-Next", page.second});
    its.respond(answer);
  });
  auto made = std::make_shared<Export>();
  made->store = node_.kv();
  made->space = space;
  made->done = [done = std::move(done)](Result<std::string> lines, std::string next) mutable {
    done(lines ? Result<Page>(Page{*std::move(lines), std::move(next)}) : std::unexpected(lines.error()));
  };
  node_.kv()->list(std::move(asked), [made](Result<kv::Listing> listing) {
    if (!listing) return made->done(std::unexpected(listing.error()), {});
    made->listing = *std::move(listing);
    export_next(made);
  });
}

// Nothing is put unless all lines are good. `first_line`, of the query, is the number of the first in what they are
// from.
void AdminApi::import_keys(const std::string& space, const net::HttpRequest& request, net::HttpResponder responder) {
  std::vector<kv::Change> changes;
  simdjson::dom::parser parser;
  const int64_t now_s = node_.now_s();
  std::string_view lines = request.body.view();
  const std::string first = net::query_parameter(request.query, "first_line").value_or("1");
  size_t number = 0;
  std::from_chars(first.data(), first.data() + first.size(), number);
  for (; !lines.empty(); ++number) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    if (trim(line).empty()) continue;
    Result<kv::Change> change = read_line(parser, line, space, now_s);
    if (change && changes.size() == kLinesMax) {
      change = fail("kv.line", fmt::format("these are more than {} lines", kLinesMax), "send fewer at once");
    }
    if (!change) {
      Error error = change.error();
      error.what = fmt::format("line {}: {}", number, error.what);
      return respond_problem(responder, 400, error);
    }
    changes.push_back(*std::move(change));
  }
  const size_t count = changes.size();
  auto done = when_store_answers<bool>(std::move(responder), [count](auto& its, bool) {
    const std::string body = fmt::format("{{\"put\":{}}}\n", count);
    its.respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body});
  });
  if (count == 0) return done(true);
  auto shared_done = std::make_shared<kv::Done<bool>>(std::move(done));  // by the answers, of which the last calls it
  auto made = std::make_shared<Import>(count);
  for (kv::Change& change : changes) {
    node_.kv()->write(std::move(change), [made, shared_done, count](Result<void> written) {
      {
        const std::lock_guard lock(made->mutex);
        if (written) ++made->written;
        if (!written && !made->problem) made->problem = written.error();
      }
      if (made->waiting.fetch_sub(1) != 1) return;
      if (made->problem) made->problem->what += fmt::format("; of {} lines {} were put", count, made->written);
      (*shared_done)(made->problem ? Result<bool>(std::unexpected(*made->problem)) : Result<bool>(true));
    });
  }
}

void AdminApi::answer_key(const std::string& space, const std::string& key, const net::HttpRequest& request,
                          net::HttpResponder responder) {
  if (request.method == "GET" || request.method == "HEAD") {
    node_.kv()->get(
        space, key,
        when_store_answers<kv::ItemPointer>(std::move(responder), [key](auto& its, const kv::ItemPointer& item) {
          if (!item) {
            return respond_problem(its, 404, {"kv.no-key", fmt::format("there is no key {}", json_string(key)), ""});
          }
          const std::string expiration = std::to_string(item->expires_s);
          // A field holds Latin-1: what JSON escapes beyond ASCII is as good.
          const std::string metadata = base64(item->metadata);
          net::HttpResponse answer{
              .status = 200, .content_type = "application/octet-stream", .fields = {}, .body = item->value};
          if (item->expires_s != 0) answer.fields.push_back({"Verge-Expiration", expiration});
          if (!item->metadata.empty()) answer.fields.push_back({"Verge-Metadata", metadata});
          its.respond(answer);
        }));
    return;
  }
  if (request.method != "PUT" && request.method != "DELETE") {
    return respond_problem(responder, 405, {"http.method", "a key is read, put and deleted", "use GET, PUT or DELETE"},
                           {{"Allow", "GET, HEAD, PUT, DELETE"}});
  }
  kv::Change change{.space = space, .key = key, .item = std::nullopt};
  if (request.method == "PUT") {
    const auto parameter = [&](std::string_view name) {
      return net::query_parameter(request.query, name).value_or("");
    };
    kv::Item item{.value = std::string(request.body.view()), .metadata = parameter("metadata")};
    const Result<int64_t> expires_s = expiry_of(parameter("ttl"), parameter("expiration"), node_.now_s());
    if (!expires_s) return respond_problem(responder, 400, expires_s.error());
    if (const Result<void> good = check_metadata(item.metadata); !good) {
      return respond_problem(responder, 400, good.error());
    }
    item.expires_s = *expires_s;
    change.item = std::move(item);
  } else if (!authorize_deploy(request, responder)) {  // a put's was looked at before its body was read
    return;
  }
  auto done = when_store_answers<bool>(std::move(responder), [key](auto& its, bool) {
    const std::string body = fmt::format("{{\"name\":{}}}\n", json_string(key));
    its.respond({.status = 200, .content_type = "application/json", .fields = {}, .body = body});
  });
  node_.kv()->write(std::move(change), [done = std::move(done)](Result<void> written) mutable {
    done(written ? Result<bool>(true) : std::unexpected(written.error()));
  });
}

}  // namespace verge::node
