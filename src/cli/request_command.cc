// verge request: a request to a site of a running node, and what becomes of it there.
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/admin_document.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/whole_file.h"

namespace verge::cli {
namespace {

constexpr Duration kPatience = std::chrono::seconds(70);

struct RequestOptions {
  std::string admin = "127.0.0.1:9180";
  std::string url;
  std::string method;
  std::vector<std::string> headers;
  std::string data;
  bool traces = false;
  bool json = false;
};

int print_failure(const Error& error, int status = kFailure) {
  fmt::print(stderr, "verge request: {}\n", error.line());
  return status;
}

// Nothing: a header is none.
std::optional<std::string> body_of(const RequestOptions& options) {
  const std::string method = !options.method.empty() ? options.method : options.data.empty() ? "GET" : "POST";
  std::string out = fmt::format(R"({{"method":{},"url":{},"fields":[)", json_string(method), json_string(options.url));
  for (const std::string& header : options.headers) {
    const size_t colon = header.find(':');
    if (colon == std::string::npos) return std::nullopt;
    if (!out.ends_with('[')) out.push_back(',');
    fmt::format_to(std::back_inserter(out), "[{},{}]", json_string(trim(header.substr(0, colon))),
                   json_string(trim(header.substr(colon + 1))));
  }
  return out.append(R"(],"body":)").append(json_string(options.data)).append("}");
}

std::string text_of(simdjson::dom::element from, const char* name) {
  std::string_view value;
  return from[name].get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
}

double number_of(simdjson::dom::element from, const char* name) {
  double value = 0;
  return from[name].get(value) == simdjson::SUCCESS ? value : 0;
}

// What it was, in one line: "GET shop.example/cart 200", "worker shop 200",
// "fetch GET api.example/items 200".
std::string title_of(simdjson::dom::element span) {
  std::string title = text_of(span, "name");
  simdjson::dom::element attributes;
  if (span["attributes"].get(attributes) != simdjson::SUCCESS) return title;
  // An origin is asked for what stands above it.
  if (title != "origin") {
    const std::string method = text_of(attributes, "http.request.method");
    if (!method.empty() && method != title) title.append(" ").append(method);
    std::string place = text_of(attributes, "server.address") + text_of(attributes, "url.path");
    if (const std::string url = text_of(attributes, "url.full"); url.contains("://")) {
      place = url.substr(url.find("://") + 3);
    }
    if (!place.empty()) title.append(" ").append(place);
  }
  const double status = number_of(attributes, "http.response.status_code");
  if (status > 0) title.append(fmt::format(" {:.0f}", status));
  if (const std::string cache = text_of(attributes, "verge.cache"); !cache.empty())
    title.append(" (").append(cache).append(")");
  // That of a status stands there already.
  const std::string error = text_of(span, "error");
  if (!error.empty() && !error.starts_with("answered ")) title.append(": ").append(error);
  return printable(title);
}

// The spans as a tree: those without a parent among them are at its root.
class Tree {
 public:
  explicit Tree(simdjson::dom::array spans) {
    for (const simdjson::dom::element span : spans)
      by_id_[text_of(span, "span")] = spans_.size(), spans_.push_back(span);
    for (const simdjson::dom::element span : spans_) {
      const auto parent = by_id_.find(text_of(span, "parent"));
      (parent == by_id_.end() ? roots_ : children_[parent->second]).push_back(by_id_.at(text_of(span, "span")));
    }
  }
  void print() const {
    fmt::print("{:>10} {:>10}\n", "begin", "took");
    for (const size_t root : roots_) print(root, "", "");
  }

 private:
  void print(size_t index, const std::string& before, const std::string& below) const {
    const simdjson::dom::element span = spans_[index];
    fmt::print("{:>7.1f} ms {:>7.1f} ms  {}{}\n", number_of(span, "begin_ms"), number_of(span, "ms"), before,
               title_of(span));
    const auto its = children_.find(index);
    if (its == children_.end()) return;
    for (const size_t child : its->second) {
      const bool is_last = child == its->second.back();
      print(child, below + (is_last ? "└─ " : "├─ "), below + (is_last ? "   " : "│  "));
    }
  }

  std::vector<simdjson::dom::element> spans_;
  std::map<std::string, size_t> by_id_;
  std::map<size_t, std::vector<size_t>> children_;
  std::vector<size_t> roots_;
};

int request(RequestOptions options) {
  if (options.data.starts_with('@')) {
    Result<std::string> read = read_whole_file(options.data.substr(1));
    if (!read) return print_failure(read.error());
    if (!is_utf8(*read)) {
      return print_failure({"cli.body", "the body is no UTF-8 text, and nothing else is sent by this command",
                            "send it to the node's HTTP listener, with the site's Host"});
    }
    options.data = *std::move(read);
  }
  const std::optional<std::string> body = body_of(options);
  if (!body)
    return print_failure({"cli.header", "a header is no name with a value", "write it as 'Accept: text/html'"}, kUsage);
  const Result<AdminAnswer> answer = admin_post(options.admin, "/v1/request", *body, kPatience);
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> said = parsed(parser, answer);
  if (!said) return print_failure(said.error());
  if (options.json) {
    fmt::print("{}", answer->body);
    return kSuccess;
  }
  const std::string failure = text_of(*said, "failure");
  simdjson::dom::array rows;
  if (options.traces) {
    if ((*said)["spans"].get(rows) == simdjson::SUCCESS) Tree(rows).print();
  } else {
    fmt::print("{:.0f}\n", number_of(*said, "status"));
    if ((*said)["fields"].get(rows) == simdjson::SUCCESS) {
      for (const simdjson::dom::element row : rows) {
        std::string_view name, value;
        if (row.at(0).get(name) == simdjson::SUCCESS && row.at(1).get(value) == simdjson::SUCCESS) {
          fmt::print("{}: {}\n", printable(name), printable(value));
        }
      }
    }
    std::string text = text_of(*said, "body");
    if (const std::string encoded = text_of(*said, "base64"); !encoded.empty())
      text = from_base64(encoded).value_or("");
    fmt::print("\n");
    std::fwrite(text.data(), 1, text.size(), stdout);
    if (number_of(*said, "body_bytes") > static_cast<double>(text.size())) {
      fmt::print(stderr, "\n{:.0f} bytes in all\n", number_of(*said, "body_bytes"));
    }
  }
  return failure.empty() ? kSuccess : print_failure({"http.closed", failure, ""});
}

}  // namespace

void add_request(Command& app, Outcome& outcome) {
  Command* command = app.add_command("request",
                                     "Make a request to a site of a running node, "
                                     "and show what becomes of it");
  command->group(kGroupNode);
  const auto options = std::make_shared<RequestOptions>();
  command->add_option("URL", options->url, "Whole, with the site's host; it need not resolve")->required();
  command->add_flag("--trace", options->traces, "Show its way through cache, workers and what they fetch, with times");
  command->add_option("-X,--method", options->method, "Else GET, or POST with --data")->type_name("METHOD");
  command->add_option("-H,--header", options->headers, "'Name: value'; may be repeated")->type_name("HEADER");
  command->add_option("-d,--data", options->data, "Its body; @FILE: what is in it, @-: what comes on stdin")
      ->type_name("TEXT");
  command->add_flag("--json", options->json, "Print the node's answer: status, fields, body, spans");
  command->add_option("--admin", options->admin, "The node's admin listener")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  set_examples(*command,
               "  verge request http://shop.example/cart --trace\n"
               "  verge request http://shop.example/api -d '{}' -H "
               "'Content-Type: application/json'\n");
  command->callback([&outcome, options] { outcome.run = [options] { return request(*options); }; });
}

}  // namespace verge::cli
