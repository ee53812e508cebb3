// verge cache sign, verge cache sign-key: signed URLs and cookies for sites, and the keys for them. No node is asked.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/text.h"
#include "cache/path_pattern.h"
#include "cache/request_view.h"
#include "cache/site.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "node/url_signature.h"

namespace verge::cli {
namespace {

struct SignOptions {
  std::string url;
  std::string key_file;
  std::string key_id;
  std::string expires_in = "1h";
  bool is_prefix = false;
  bool json = false;
  std::string output;
  std::string algorithm = "hmac-sha256";
};

int print_failure(const Error& error) {
  fmt::print(stderr, "verge cache: {}\n", error.line());
  return kFailure;
}

int print_misuse(const Error& error) {
  print_failure(error);
  return kUsage;
}

// The parts of a URL that a signature is about.
Result<node::SignedScope> scope_of(const SignOptions& options) {
  const std::string_view url = options.url;
  const size_t scheme = url.find("://");
  const auto malformed = [&](std::string_view why) {
    return fail("cache.url", fmt::format("'{}' cannot be signed: {}", url, why),
                "give it whole, such as http://www.example.com/video/1.mp4");
  };
  if (scheme == std::string_view::npos) return malformed("it has no scheme and host");
  const size_t path = url.find('/', scheme + 3);
  if (path == std::string_view::npos) return malformed("it has no path");
  const std::string_view target = url.substr(path, url.find('#') - path);
  node::SignedScope scope{.host = cache::plain_host(url.substr(scheme + 3, path - scheme - 3)),
                          .is_prefix = options.is_prefix,
                          .path = std::string(target.substr(0, target.find('?'))),
                          .query = {}};
  const bool is_visible = std::ranges::all_of(target, [](char c) { return c > 0x20 && c < 0x7f; });
  if (scope.host.empty() || !is_visible) return malformed("a URL is of visible ASCII, with all else percent-encoded");
  const std::string_view query = target.substr(std::min(target.size(), scope.path.size() + 1));
  if (query.contains("verge-")) return malformed("it is signed already");
  std::string scratch;
  if (options.is_prefix && cache::plain_path(scope.path, scratch) != scope.path) {
    return malformed("a prefix has no %, //, /. or /..");
  }
  if (!options.is_prefix) scope.query = cache::query_without(query, {});
  const Duration lifetime = parse_duration(options.expires_in).value_or(Duration(0));
  scope.expires_s = std::time(nullptr) + std::chrono::duration_cast<std::chrono::seconds>(lifetime).count();
  return scope;
}

int sign(const SignOptions& options) {
  const Result<node::SignedScope> scope = scope_of(options);
  if (!scope) return print_misuse(scope.error());
  const Result<crypto::SigningKey> key = node::read_signing_key(options.key_file);
  if (!key) return print_misuse(key.error());
  const Result<std::string> parameters = node::signature_parameters(*scope, options.key_id, *key);
  if (!parameters) return print_failure(parameters.error());
  const std::string before = options.url.substr(0, options.url.find('#'));
  const std::string url = options.is_prefix ? "" : before + (before.contains('?') ? "&" : "?") + *parameters;
  const std::string cookie = options.is_prefix ? fmt::format("{}={}", cache::SignatureCheck::kCookie, *parameters) : "";
  if (options.json) {
    fmt::print("{{\"url\":{},\"cookie\":{},\"parameters\":{},\"expires\":{}}}\n",
               url.empty() ? "null" : json_string(url), cookie.empty() ? "null" : json_string(cookie),
               json_string(*parameters), scope->expires_s);
  } else {
    fmt::print("{}\n", options.is_prefix ? cookie : url);
  }
  return kSuccess;
}

// A file that was not there before.
Result<void> write_new(const std::string& path, std::string_view text, unsigned mode) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  const bool is_whole =
      file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  const int problem = errno;
  if (file >= 0) ::close(file);
  if (is_whole) return {};
  return fail("cache.key-file", fmt::format("cannot make {}: {}", path, std::strerror(problem)),
              "name a file that is not there yet, in a directory that may be written");
}

int make_key(const SignOptions& options) {
  using Kind = crypto::SigningKey::Kind;
  const bool has_halves = options.algorithm == "ed25519";
  const crypto::SigningKey key = crypto::SigningKey::generate(has_halves ? Kind::kEd25519 : Kind::kHmacSha256);
  const std::string public_file = has_halves ? options.output + ".pub" : "";
  if (has_halves) {
    const Result<crypto::SigningKey> half = key.public_half();
    if (!half) return print_failure(half.error());
    if (const auto written = write_new(public_file, half->text() + "\n", 0644); !written) {
      return print_failure(written.error());
    }
  }
  if (const auto written = write_new(options.output, key.text() + "\n", 0600); !written) {
    return print_failure(written.error());
  }
  if (options.json) {
    fmt::print("{{\"file\":{},\"public_file\":{}}}\n", json_string(options.output),
               has_halves ? json_string(public_file) : "null");
  } else if (has_halves) {
    fmt::print("sign with {}; nodes need {} only\n", options.output, public_file);
  } else {
    fmt::print("the key is in {}: nodes and whoever signs need it\n", options.output);
  }
  return kSuccess;
}

}  // namespace

void add_cache_sign(Command& cache, Outcome& outcome) {
  const auto options = std::make_shared<SignOptions>();
  Command* signing = cache.add_command("sign", "Sign a URL, or with --prefix make a cookie for all paths below it");
  signing->add_option("URL", options->url, "With scheme and host, as clients will ask for it")->required();
  signing->add_option("--key-file", options->key_file, "The key, as sign-key makes it")->required()->type_name("FILE");
  signing->add_option("--key-id", options->key_id, "Its id in the site's signing_keys")->required()->type_name("ID");
  signing->add_option("--expires-in", options->expires_in, "How long it is good for")
      ->type_name("DURATION")
      ->check([](const std::string& text) {
        const std::optional<Duration> lifetime = parse_duration(text);
        return lifetime && *lifetime >= std::chrono::seconds(1) ? "" : "write 10min, 1h or 7d";
      })
      ->capture_default_str();
  signing->add_flag("--prefix", options->is_prefix, "For all paths that begin as the URL's, whatever their query");
  signing->add_flag("--json", options->json, "For machines: one JSON object");
  set_examples(*signing,
               "  verge cache sign https://www.example.com/paid/1.mp4 --key-file sign.key --key-id 2026a\n"
               "  verge cache sign https://www.example.com/paid/ --prefix --key-file sign.key --key-id 2026a "
               "--expires-in 7d\n");
  signing->callback([&outcome, options] { outcome.run = [options] { return sign(*options); }; });

  const auto fresh = std::make_shared<SignOptions>();
  Command* making = cache.add_command("sign-key", "Make a key for signed URLs, in a new file that only you can read");
  making->add_option("--out", fresh->output, "The file; with ed25519 the public half is in FILE.pub")
      ->required()
      ->type_name("FILE");
  making->add_option("--algorithm", fresh->algorithm, "hmac-sha256 or ed25519")
      ->check(one_of({"hmac-sha256", "ed25519"}))
      ->capture_default_str();
  making->add_flag("--json", fresh->json, "JSON on stdout: the files, never the key");
  set_examples(*making, "  verge cache sign-key --algorithm ed25519 --out /etc/verge/sign.key\n");
  making->callback([&outcome, fresh] { outcome.run = [fresh] { return make_key(*fresh); }; });
}

}  // namespace verge::cli
