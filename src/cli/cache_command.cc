// verge cache: what a running node's sites have stored, and why; taking it out, and fetching it ahead.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>

#include <fmt/format.h>
#include <simdjson.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/admin_document.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "net/address.h"
#include "net/http_client.h"
#include "net/http_message.h"
#include "runtime/loop.h"

namespace verge::cli {
namespace {

constexpr size_t kBodyBytesMax = 1U << 30;

struct CacheOptions {
  std::string admin = "127.0.0.1:9180";
  bool json = false;
  std::string url;
  bool with_head = false;
  std::vector<std::string> tags, urls, prefixes, hosts;
  bool all = false;
  bool softly = false;
  size_t at_a_time = 8;
};

int print_failure(const Error& error) {
  fmt::print(stderr, "verge cache: {}\n", error.line());
  return kFailure;
}

// --- stat

int print_stat(const CacheOptions& options) {
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> status = parsed(parser, admin_get(options.admin, "/v1/status"));
  if (!status) return print_failure(status.error());
  simdjson::dom::element its;
  if ((*status)["cache"].get(its) != simdjson::SUCCESS) {
    return print_failure({"cache.none", "this node has no site", "add a [[site]] to its configuration"});
  }
  if (options.json) {
    fmt::print("{}\n", simdjson::minify(its));
    return kSuccess;
  }
  const auto number = [](simdjson::dom::element from, const char* name) {
    uint64_t value = 0;
    return from[name].get(value) == simdjson::SUCCESS ? value : 0;
  };
  const auto share = [&](const char* name) {
    double value = 0;
    return its[name].get(value) == simdjson::SUCCESS ? 100 * value : 0;
  };
  fmt::print("requests    {:>14}\n", number(its, "requests"));
  fmt::print("hits        {:>14}   {:.1f} % of what may be stored, {:.1f} % of all; {} of them stale\n",
             number(its, "hits"), share("hit_ratio"), share("edge_hit_ratio"), number(its, "stale"));
  fmt::print("collapsed   {:>14}   answered by the fetch of another request\n", number(its, "collapsed"));
  fmt::print("misses      {:>14}   {} of them validated\n", number(its, "misses"), number(its, "validated"));
  fmt::print("passed      {:>14}   never stored\n", number(its, "passed"));
  fmt::print("failures    {:>14}   no origin answered\n", number(its, "failures"));
  fmt::print("in memory   {:>14}   answers, {} bytes; {} evicted\n", number(its, "answers"),
             number(its, "memory_bytes"), number(its, "evicted"));
  simdjson::dom::element disk;
  if (its["disk"].get(disk) == simdjson::SUCCESS) {
    fmt::print("on the disk {:>14}   answers, {} bytes; {} damaged, {} failures\n", number(disk, "answers"),
               number(disk, "bytes"), number(disk, "damaged"), number(disk, "failures"));
  }
  return kSuccess;
}

// --- explain

void print_answer(simdjson::dom::element answer) {
  const auto text = [&](const char* name) {
    std::string_view value;
    return answer[name].get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
  };
  const auto number = [&](const char* name) {
    int64_t value = 0;
    return answer[name].get(value) == simdjson::SUCCESS ? value : 0;
  };
  fmt::print("\n  status {}, {} bytes{}{}\n", number("status"), number("bytes"),
             bool(answer["complete"]) ? "" : ", still arriving", text("part").empty() ? "" : ", " + text("part"));
  fmt::print("  stored    because it {}\n", text("stored_because"));
  fmt::print("  lifetime  {} s, from {}\n", number("lifetime_s"), text("lifetime_from"));
  fmt::print("  age       {} s: {} s left\n", number("age_s"), number("left_s"));
  fmt::print("  stale     for {} s more while it is validated, for {} s if the origin fails\n",
             number("stale_while_revalidate_s"), number("stale_if_error_s"));
  for (const auto& [name, value] : simdjson::dom::object(answer["selected_by"])) {
    fmt::print("  for       {}: {}\n", name, value.is_null() ? "(absent)" : std::string(std::string_view(value)));
  }
  fmt::print("  tags      {}; purged: {}\n", number("tags"), text("purged"));
  fmt::print("  now       {} ({})\n", text("use"), text("because"));
}

int print_explanation(const CacheOptions& options) {
  simdjson::dom::parser parser;
  const std::string target = "/v1/cache?url=" + net::percent_encode(options.url);
  const Result<AdminAnswer> answer = admin_get(options.admin, target);
  const Result<simdjson::dom::element> said = parsed(parser, answer);
  if (!said) return print_failure(said.error());
  if (options.json) {
    fmt::print("{}", answer->body);
    return kSuccess;
  }
  const simdjson::dom::element its = *said;
  const simdjson::dom::array answers = its["in_memory"];
  fmt::print("{}\n", std::string_view(its["url"]));
  fmt::print("site {}: {}", uint64_t(its["site"]), std::string_view(its["hosts"]));
  std::string_view rule;
  if (its["rule_for"].get(rule) == simdjson::SUCCESS) {
    fmt::print("; its rule {} ({})", uint64_t(its["rule"]) + 1, rule);
  } else {
    fmt::print("; none of its rules");
  }
  int64_t seconds = 0;
  if (its["override_ttl_s"].get(seconds) == simdjson::SUCCESS) fmt::print("; override_ttl {} s", seconds);
  if (its["default_ttl_s"].get(seconds) == simdjson::SUCCESS) fmt::print("; default_ttl {} s", seconds);
  const bool is_on_disk = its["on_disk"];
  fmt::print("\n{} in memory{}\n", answers.size() == 1 ? "1 answer" : fmt::format("{} answers", answers.size()),
             is_on_disk ? ", and on the disk" : "");
  for (const simdjson::dom::element one : answers) print_answer(one);
  std::string_view why;
  if (its["not_stored_because"].get(why) == simdjson::SUCCESS) {
    fmt::print("not stored: {}\n", why);
  } else if (answers.size() == 0 && !is_on_disk) {
    fmt::print("nobody asked for it, or it had to make room\n");
  }
  return kSuccess;
}

// --- Requests to the node's sites

struct SiteUrl {
  std::string host;
  std::string target;
};

Result<SiteUrl> parse_site_url(std::string_view url) {
  const size_t scheme = url.find("://");
  const size_t path = scheme == std::string_view::npos ? scheme : url.find('/', scheme + 3);
  if (scheme == std::string_view::npos || scheme + 3 == std::min(path, url.size())) {
    return fail("cache.url", fmt::format("'{}' is no URL with a scheme and a host", url),
                "give it whole, such as http://www.example.com/index.html");
  }
  if (path == std::string_view::npos) return SiteUrl{std::string(url.substr(scheme + 3)), "/"};
  return SiteUrl{std::string(url.substr(scheme + 3, path - scheme - 3)), std::string(url.substr(path))};
}

Result<net::Address> sites_address(const CacheOptions& options) {
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> status = parsed(parser, admin_get(options.admin, "/v1/status"));
  if (!status) return std::unexpected(status.error());
  std::string_view http;
  if ((*status)["listeners"]["http"].at(0).get(http) != simdjson::SUCCESS) {
    return fail("cache.none", "this node has no HTTP listener", "set http.listen");
  }
  return net::Address::resolve(http);
}

// The body as text where it is UTF-8.
std::string stored_json(std::string_view url, const net::HttpAnswer& answer) {
  std::string fields;
  for (const net::HttpField& field : answer.fields) {
    fields.append(fields.empty() ? "" : ",");
    fields.append(fmt::format(R"({{"name":{},"value":{}}})", json_string(field.name), json_string(field.value)));
  }
  const std::string_view body = answer.body.view();
  return fmt::format(R"({{"url":{},"status":{},"fields":[{}],{}}})", json_string(url), answer.status, fields,
                     is_utf8(body) ? fmt::format(R"("body":{})", json_string(body))
                                   : fmt::format(R"("body_base64":"{}")", base64(body)));
}

int print_stored(const CacheOptions& options) {
  const Result<SiteUrl> url = parse_site_url(options.url);
  if (!url) return print_failure(url.error());
  const Result<net::Address> address = sites_address(options);
  if (!address) return print_failure(address.error());
  runtime::Loop loop("cache-get");
  net::HttpClient client(loop, *address, url->host, {.body_bytes_max = kBodyBytesMax});
  int status = kFailure;
  client.request({.method = "GET",
                  .target = url->target,
                  .fields = {{"Cache-Control", "only-if-cached, max-stale"}},
                  .timeout = std::chrono::seconds(60)},
                 [&](const Result<net::HttpAnswer>& answer) {
                   loop.stop();
                   if (!answer) {
                     print_failure(answer.error());
                     return;
                   }
                   if (answer->status == 504) {
                     print_failure({"cache.not-stored", fmt::format("{} is not stored", options.url),
                                    "verge cache explain says why"});
                     return;
                   }
                   if (options.json) {
                     fmt::print("{}\n", stored_json(options.url, *answer));
                     status = kSuccess;
                     return;
                   }
                   if (options.with_head) {
                     fmt::print(stderr, "{}\n", answer->status);
                     for (const net::HttpField& field : answer->fields) {
                       fmt::print(stderr, "{}: {}\n", field.name, field.value);
                     }
                   }
                   std::fwrite(answer->body.view().data(), 1, answer->body.size(), stdout);
                   status = kSuccess;
                 });
  loop.run();
  return status;
}

// --- warm

// Asks for one URL after the other, several at a time, over a connection for each that is under way.
class Warming {
 public:
  Warming(const net::Address& address, const std::vector<SiteUrl>& urls, size_t at_a_time)
      : address_(address), urls_(urls), clients_(at_a_time), shows_progress_(isatty(STDERR_FILENO) != 0) {}

  void run() {
    for (size_t i = 0; i < clients_.size(); ++i) next(i);
    if (under_way_ > 0) loop_.run();
    if (shows_progress_) fmt::print(stderr, "\r\033[K");
  }
  [[nodiscard]] size_t fetched() const { return fetched_; }
  [[nodiscard]] size_t stored_before() const { return hits_; }
  [[nodiscard]] const std::vector<std::string>& failures() const { return failures_; }

 private:
  static constexpr size_t kFailuresShown = 20;

  void next(size_t place) {
    if (at_ == urls_.size()) {
      if (under_way_ == 0) loop_.stop();
      return;
    }
    const SiteUrl& url = urls_[at_++];
    ++under_way_;
    // A client is for one host.
    std::map<std::string, std::unique_ptr<net::HttpClient>>& its = clients_[place];
    auto client = its.find(url.host);
    if (client == its.end()) {
      its.clear();
      net::HttpClientLimits limits{.body_bytes_max = kBodyBytesMax};
      client = its.emplace(url.host, std::make_unique<net::HttpClient>(loop_, address_, url.host, limits)).first;
    }
    client->second->request({.method = "GET", .target = url.target, .timeout = std::chrono::seconds(60)},
                            [this, place, &url](const Result<net::HttpAnswer>& answer) { done(place, url, answer); });
  }

  void done(size_t place, const SiteUrl& url, const Result<net::HttpAnswer>& answer) {
    --under_way_;
    ++done_;
    if (answer && answer->status < 400) {
      const std::string status(answer->field("Cache-Status").value_or(""));
      (status.contains("; hit") ? hits_ : fetched_) += 1;
    } else if (failures_.size() < kFailuresShown) {
      failures_.push_back(fmt::format("http://{}{}: {}", url.host, url.target,
                                      answer ? fmt::to_string(answer->status) : answer.error().what));
    }
    if (shows_progress_ && done_ % 16 == 0) fmt::print(stderr, "\r{} of {}", done_, urls_.size());
    // The client that called must not be destroyed by this.
    loop_.post([this, place] { next(place); });
  }

  runtime::Loop loop_{"cache-warm"};
  const net::Address address_;
  const std::vector<SiteUrl>& urls_;
  std::vector<std::map<std::string, std::unique_ptr<net::HttpClient>>> clients_;
  const bool shows_progress_;
  size_t at_ = 0, under_way_ = 0, done_ = 0, hits_ = 0, fetched_ = 0;
  std::vector<std::string> failures_;
};

int warm(const CacheOptions& options) {
  std::vector<std::string> texts = options.urls;
  if (texts.empty() || texts == std::vector<std::string>{"-"}) {
    texts.clear();
    for (std::string line; std::getline(std::cin, line);) {
      if (!line.empty()) texts.push_back(line);
    }
  }
  std::vector<SiteUrl> urls;
  for (const std::string& text : texts) {
    Result<SiteUrl> url = parse_site_url(text);
    if (!url) return print_failure(url.error()), kUsage;
    urls.push_back(std::move(*url));
  }
  const Result<net::Address> address = sites_address(options);
  if (!address) return print_failure(address.error());
  Warming warming(*address, urls, std::min(options.at_a_time, std::max<size_t>(urls.size(), 1)));
  warming.run();
  const size_t failed = urls.size() - warming.fetched() - warming.stored_before();
  for (const std::string& failure : warming.failures()) fmt::print(stderr, "verge cache: {}\n", failure);
  if (options.json) {
    fmt::print(R"({{"urls":{},"fetched":{},"stored_before":{},"failed":{}}})"
               "\n",
               urls.size(), warming.fetched(), warming.stored_before(), failed);
  } else {
    fmt::print("{} fetched, {} were stored before, {} failed\n", warming.fetched(), warming.stored_before(), failed);
  }
  return failed == 0 ? kSuccess : kFailure;
}

// --- purge

int purge(const CacheOptions& options) {
  std::string body;
  const auto add = [&](std::string_view name, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    std::string list;
    for (const std::string& text : texts) list.append(list.empty() ? "" : ",").append(json_string(text));
    body.append(fmt::format(R"({}"{}":[{}])", body.empty() ? "" : ",", name, list));
  };
  add("tags", options.tags);
  add("urls", options.urls);
  add("prefixes", options.prefixes);
  add("hosts", options.hosts);
  if (options.all) body.append(body.empty() ? "" : ",").append(R"("all":true)");
  if (body.empty()) {
    fmt::print(stderr, "verge cache: nothing is named to purge; give --tag, --url, --prefix, --host or --all\n");
    return kUsage;
  }
  if (options.softly) body.append(R"(,"soft":true)");
  const Result<AdminAnswer> answer = admin_post(options.admin, "/v1/purge", "{" + body + "}");
  simdjson::dom::parser parser;
  if (const auto said = parsed(parser, answer); !said) return print_failure(said.error());
  if (options.json) {
    fmt::print("{}", answer->body);
  } else {
    fmt::print("{}, and in effect\n", options.softly ? "purged softly" : "purged");
  }
  return kSuccess;
}

// --- Registering

Command* add_cache_command(Command& cache, const std::string& name, const std::string& what,
                           const std::shared_ptr<CacheOptions>& options, const std::string& examples,
                           const std::function<int(const CacheOptions&)>& run, Outcome& outcome) {
  Command* command = cache.add_command(name, what);
  command->add_option("--admin", options->admin, "The node's admin listener")
      ->type_name("HOST:PORT")
      ->check(no_address)
      ->capture_default_str();
  set_examples(*command, examples);
  command->callback([&outcome, options, run] { outcome.run = [options, run] { return run(*options); }; });
  return command;
}

void add_json(Command& command, CacheOptions& options) {
  command.add_flag("--json", options.json, "For machines: one JSON object");
}

}  // namespace

void add_cache(Command& app, Outcome& outcome) {
  Command* cache = app.add_command("cache", "See, explain, purge and warm what a node's sites have stored");
  cache->group(kGroupNode);
  cache->require_subcommand(1);
  set_examples(*cache, "  verge cache explain http://www.example.com/index.html\n");

  const auto stat = std::make_shared<CacheOptions>();
  add_json(*add_cache_command(*cache, "stat", "Print how much is stored and how often it was of use", stat,
                              "  verge cache stat --json\n", print_stat, outcome),
           *stat);

  const auto why = std::make_shared<CacheOptions>();
  Command* explanation =
      add_cache_command(*cache, "explain", "Print what is stored for a URL, until when and why, or why nothing is", why,
                        "  verge cache explain http://www.example.com/index.html\n", print_explanation, outcome);
  explanation->add_option("URL", why->url, "With scheme and host, as clients ask for it")->required();
  add_json(*explanation, *why);

  const auto one = std::make_shared<CacheOptions>();
  Command* get =
      add_cache_command(*cache, "get", "Print the body that is stored for a URL; the origin is not asked", one,
                        "  verge cache get -i http://www.example.com/logo.svg >logo.svg\n", print_stored, outcome);
  get->add_option("URL", one->url, "With scheme and host, as clients ask for it")->required();
  add_json(*get, *one);
  get->add_flag("-i,--include", one->with_head, "Print the status and the fields, too, on stderr")->excludes("--json");

  const auto gone = std::make_shared<CacheOptions>();
  Command* purging = add_cache_command(*cache, "purge", "Take stored answers out, or make them stale", gone,
                                       "  verge cache purge --tag product-17 --tag front\n"
                                       "  verge cache purge --prefix http://www.example.com/blog/ --soft\n",
                                       purge, outcome);
  purging->add_option("--tag", gone->tags, "Of Surrogate-Key and Cache-Tag; may be repeated")->type_name("TAG");
  purging->add_option("--url", gone->urls, "A whole URL; may be repeated")->type_name("URL");
  purging->add_option("--prefix", gone->prefixes, "How URLs begin; may be repeated")->type_name("URL");
  purging->add_option("--host", gone->hosts, "As in URLs; may be repeated")->type_name("HOST");
  purging->add_flag("--all", gone->all, "All of it");
  purging->add_flag("--soft", gone->softly, "Only make it stale: it may be served while it is validated");
  add_json(*purging, *gone);

  const auto ahead = std::make_shared<CacheOptions>();
  Command* warming = add_cache_command(*cache, "warm", "Ask the node for URLs, so that it has them", ahead,
                                       "  verge cache warm http://www.example.com/ http://www.example.com/logo.svg\n"
                                       "  verge cache warm - <urls.txt\n",
                                       warm, outcome);
  warming->add_option("URL", ahead->urls, "With scheme and host; - or none: one a line from stdin");
  warming->add_option("--at-a-time", ahead->at_a_time, "How many are under way")
      ->check(between(size_t{1}, size_t{256}))
      ->capture_default_str();
  add_json(*warming, *ahead);

  add_cache_sign(*cache, outcome);
}

}  // namespace verge::cli
