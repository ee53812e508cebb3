// verge twin: what is desired of devices, and what they report.
#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "cli/admin_client.h"
#include "cli/admin_document.h"
#include "cli/command_line.h"
#include "cli/mqtt_commands.h"
#include "net/http_message.h"

namespace verge::cli {
namespace {

struct TwinOptions {
  std::string admin = "127.0.0.1:9180";
  std::string device;
  std::string desired;
  std::string reported;
  std::optional<uint64_t> version;
  size_t limit = 1000;
  std::string after;
  bool json = false;
};

int print_failure(const Error& error) {
  fmt::print(stderr, "verge twin: {}\n", error.line());
  return kFailure;
}

std::string part_of(simdjson::dom::element twin, std::string_view name) {
  simdjson::dom::element part;
  return twin[name].get(part) == simdjson::SUCCESS ? simdjson::minify(part) : std::string("{}");
}

void print_twin(simdjson::dom::element twin) {
  std::string_view device;
  uint64_t version = 0;
  (void)twin["device"].get(device);
  (void)twin["version"].get(version);
  fmt::print("{}  version {}\n  desired   {}\n  reported  {}\n", printable(device), version, part_of(twin, "desired"),
             part_of(twin, "reported"));
}

std::string path_of(const TwinOptions& options) { return "/v1/twins/" + net::percent_encode(options.device); }

int print_answer(const TwinOptions& options, const Result<AdminAnswer>& answer) {
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> twin = parsed(parser, answer);
  if (!twin) return print_failure(twin.error());
  if (options.json) {
    fmt::print("{}\n", simdjson::minify(*twin));
  } else {
    print_twin(*twin);
  }
  return kSuccess;
}

int set(const TwinOptions& options) {
  if (options.desired.empty() && options.reported.empty()) {
    fmt::print(stderr, "verge twin set: give --desired or --reported\n");
    return kUsage;
  }
  std::string body;
  const auto add = [&body](std::string_view name, const std::string& value) {
    if (value.empty()) return;
    body.append(body.empty() ? "{" : ",").append(json_string(name)).append(":").append(value);
  };
  add("desired", options.desired);
  add("reported", options.reported);
  if (options.version) add("version", std::to_string(*options.version));
  body.append("}");
  return print_answer(options, admin_request(options.admin, "PATCH", path_of(options), body, ""));
}

int remove(const TwinOptions& options) {
  const std::string query = options.version ? fmt::format("?version={}", *options.version) : std::string();
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> done =
      parsed(parser, admin_request(options.admin, "DELETE", path_of(options) + query, "", ""));
  if (!done) return print_failure(done.error());
  if (options.json) {
    fmt::print("{}\n", simdjson::minify(*done));
  } else {
    fmt::print("the twin of {} is deleted\n", printable(options.device));
  }
  return kSuccess;
}

int list(const TwinOptions& options) {
  simdjson::dom::parser parser;
  const Result<simdjson::dom::element> page = parsed(
      parser, admin_get(options.admin,
                        fmt::format("/v1/twins?limit={}&after={}", options.limit, net::percent_encode(options.after))));
  if (!page) return print_failure(page.error());
  const Result<simdjson::dom::array> twins = rows_of(*page, "twins");
  if (!twins) return print_failure(twins.error());
  std::string last;
  for (const simdjson::dom::element twin : *twins) {
    if (options.json) {
      fmt::print("{}\n", simdjson::minify(twin));
    } else {
      print_twin(twin);
    }
    std::string_view device;
    if (twin["device"].get(device) == simdjson::SUCCESS) last = device;
  }
  bool more = false;
  if ((*page)["more"].get(more) == simdjson::SUCCESS && more) {
    fmt::print(stderr, "there are more: --after {}\n", printable(last));
  }
  return kSuccess;
}

Command& add_twin_command(Command& twin, const std::string& name, const std::string& description,
                          TwinOptions& options) {
  Command* command = twin.add_command(name, description);
  command->add_option("--admin", options.admin, "The node's admin listener")
      ->type_name("HOST:PORT")
      ->check(no_address)
      ->capture_default_str();
  command->add_flag("--json", options.json, "JSON on stdout, one object a line");
  return *command;
}

void add_device(Command& command, TwinOptions& options) {
  command.add_option("device", options.device, "The device")->required()->type_name("DEVICE");
}

void add_version(Command& command, TwinOptions& options) {
  command.add_option("--version", options.version, "Only if the twin has this version")->type_name("N");
}

}  // namespace

void add_twin(Command& app, Outcome& outcome) {
  Command* twin = app.add_command("twin", "Read and change the twins of devices at a running node");
  twin->group(kGroupNode);
  twin->require_subcommand(1);
  const auto options = std::make_shared<TwinOptions>();

  Command& got = add_twin_command(*twin, "get", "What is desired of a device, and what it reports", *options);
  add_device(got, *options);
  set_examples(got, "  verge twin get press-7\n");
  got.callback([&outcome, options] {
    outcome.run = [options] { return print_answer(*options, admin_get(options->admin, path_of(*options))); };
  });

  Command& changed =
      add_twin_command(*twin, "set", "Change it: members that are null go, objects are merged", *options);
  add_device(changed, *options);
  changed.add_option("--desired", options->desired, "What is desired of it")->type_name("JSON");
  changed.add_option("--reported", options->reported, "What it is to have reported")->type_name("JSON");
  add_version(changed, *options);
  set_examples(changed,
               "  verge twin set press-7 --desired '{\"speed\":3}'\n"
               "  verge twin set press-7 --desired '{\"speed\":null}' --version 4\n");
  changed.callback([&outcome, options] { outcome.run = [options] { return set(*options); }; });

  Command& listed = add_twin_command(*twin, "list", "All twins, by device", *options);
  listed.add_option("--limit", options->limit, "Twins at most")->check(between(1, 10'000))->capture_default_str();
  listed.add_option("--after", options->after, "Those behind this device")->type_name("DEVICE");
  set_examples(listed, "  verge twin list\n");
  listed.callback([&outcome, options] { outcome.run = [options] { return list(*options); }; });

  Command& removed = add_twin_command(*twin, "delete", "Delete a twin", *options);
  add_device(removed, *options);
  add_version(removed, *options);
  set_examples(removed, "  verge twin delete press-7\n");
  removed.callback([&outcome, options] { outcome.run = [options] { return remove(*options); }; });

  add_twin_watch(*twin, outcome);
}

}  // namespace verge::cli
