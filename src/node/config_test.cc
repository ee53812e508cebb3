#include "node/config.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/config_document.h"

namespace verge::node {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::vector<std::string> lines_of(const std::expected<Config, ConfigProblems>& result) {
  std::vector<std::string> lines;
  if (!result) {
    for (const ConfigProblem& problem : result.error()) lines.push_back(problem.line());
  }
  return lines;
}

std::vector<std::string> problems(std::string_view text, const std::vector<std::string>& overrides = {}) {
  return lines_of(parse_config(text, "f.toml", overrides));
}

Config accepted(std::string_view text, const std::vector<std::string>& overrides = {}) {
  std::expected<Config, ConfigProblems> result = parse_config(text, "f.toml", overrides);
  EXPECT_THAT(lines_of(result), IsEmpty()) << text;
  return result ? *std::move(result) : Config{};
}

TEST(Config, DefaultsWithoutAFile) {
  const auto config = load_config(std::nullopt, {});
  ASSERT_TRUE(config);
  EXPECT_FALSE(config->node.name.empty());
  EXPECT_EQ(config->mqtt, MqttConfig{});
  EXPECT_EQ(config->spool.bytes_max, 4ULL << 30);
  EXPECT_TRUE(config->rules.empty());
  EXPECT_EQ(config->place_of("mqtt.listen"), "");
}

TEST(Config, APipeThatNobodyWritesIntoIsNoFile) {
  std::string directory = testing::TempDir() + "config.XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const auto config = load_config(path, {});
  std::filesystem::remove_all(directory);
  EXPECT_THAT(lines_of(config), ElementsAre(AllOf(HasSubstr("nobody writes into it"), EndsWith("[config.file]"))));
}

TEST(Config, EveryKindOfValue) {
  const Config c = accepted(R"(
[node]
name = "press-7"
tier = "fog"
[mqtt]
listen = ["0.0.0.0:1883", "[::1]:1884"]
packet_bytes_max = "2 MiB"
queue_bytes_max = 65536
session_expiry_max = "2d"
[http]
listen = ""
ingest = false
[admin]
listen = []
[parent]
url = "http://fog.example:8080/"
batch_age_max = "150ms"
[runtime]
loops = 4
[log]
level = "warning"
format = "json"
[[rule]]
name = "hot"
sql = "SELECT * FROM 'a/#'"
report = "none"
do = [ { publish = "alarm/${device}", payload = "x", qos = 1, retain = true }, { upload = "high", topic = "t" },
       { drop = true } ]
)");
  EXPECT_EQ(c.node.name, "press-7");
  EXPECT_EQ(c.node.tier, Tier::kFog);
  EXPECT_THAT(c.mqtt.listen, ElementsAre("0.0.0.0:1883", "[::1]:1884"));
  EXPECT_EQ(c.mqtt.packet_bytes_max, 2U << 20);
  EXPECT_EQ(c.mqtt.queue_bytes_max, 65536U);
  EXPECT_EQ(c.mqtt.session_expiry_max, std::chrono::hours(48));
  EXPECT_THAT(c.http.listen, IsEmpty());
  EXPECT_THAT(c.admin.listen, IsEmpty());
  EXPECT_FALSE(c.http.ingest);
  EXPECT_EQ(c.parent.url, "http://fog.example:8080/");
  EXPECT_EQ(c.parent.batch_age_max, std::chrono::milliseconds(150));
  EXPECT_EQ(c.runtime.loops, 4U);
  EXPECT_EQ(c.log.level, LogLevel::kWarning);
  EXPECT_EQ(c.log.format, LogFormat::kJson);
  ASSERT_EQ(c.rules.size(), 1U);
  EXPECT_EQ(c.rules[0].name, "hot");
  EXPECT_EQ(c.rules[0].report, std::nullopt);
  ASSERT_EQ(c.rules[0].actions.size(), 3U);
  const auto& publish = std::get<rules::PublishSource>(c.rules[0].actions[0]);
  EXPECT_EQ(publish.topic, "alarm/${device}");
  EXPECT_EQ(publish.payload, "x");
  EXPECT_EQ(publish.qos, 1);
  EXPECT_TRUE(publish.retain);
  const auto& upload = std::get<rules::UploadSource>(c.rules[0].actions[1]);
  EXPECT_EQ(upload.priority, Priority::kHigh);
  EXPECT_EQ(upload.topic, "t");
  EXPECT_TRUE(std::holds_alternative<rules::DropSource>(c.rules[0].actions[2]));
  EXPECT_EQ(c.place_of("mqtt.listen"), "f.toml:6:10");
  EXPECT_EQ(c.place_of("rule.0.do.1.topic"), "f.toml:27:107");
  EXPECT_EQ(c.place_of("mqtt.inflight_max"), "f.toml:5:1");
}

TEST(Config, SecretsAreNamedAndNeverShown) {
  const Config c = accepted(R"(
[http]
uplink_tokens = [{ file = "/run/a" }, { env = "B" }]
[parent]
token = { env = "TOKEN" }
)");
  EXPECT_EQ(c.parent.token, (SecretSource{SecretSource::Kind::kEnvironment, "TOKEN"}));
  EXPECT_THAT(c.http.uplink_tokens, ElementsAre(SecretSource{SecretSource::Kind::kFile, "/run/a"},
                                                SecretSource{SecretSource::Kind::kEnvironment, "B"}));
  EXPECT_THAT(print_config(c), HasSubstr(R"(token = { env = "TOKEN" })"));
  EXPECT_TRUE(same_settings(accepted(print_config(c)), c));
  EXPECT_FALSE(same_settings(accepted(""), c));
  for (const char* wrong : {"'hunter2'", "{ value = 'hunter2' }", "['hunter2']", "{ file = '' }", "{}", "7",
                            "{ env = 'A=hunter2' }", "{ file = 'a', env = 'hunter2' }"}) {
    const std::vector<std::string> found = problems(fmt::format("[parent]\ntoken = {}\n", wrong));
    ASSERT_EQ(found.size(), 1U) << wrong;
    EXPECT_THAT(found[0], StartsWith("f.toml:2:9: parent.token ")) << wrong;
    EXPECT_THAT(found[0], HasSubstr("[config.type]")) << wrong;
    EXPECT_THAT(found[0], testing::Not(HasSubstr("hunter2"))) << wrong;
  }
  for (const char* set : {"parent.token=hunter2", "parent.token={ env = 'A' }", "http.uplink_tokens=[]",
                          "parent={ token = 'hunter2' }"}) {
    const std::vector<std::string> found = problems("", {set});
    ASSERT_EQ(found.size(), 1U) << set;
    EXPECT_THAT(found[0], HasSubstr("is a secret")) << set;
    EXPECT_THAT(found[0], HasSubstr("[config.override]")) << set;
    EXPECT_THAT(found[0], testing::Not(HasSubstr("hunter2"))) << set;
  }
}

TEST(ConfigProblems, TlsKeysThatDoNotGoTogether) {
  EXPECT_THAT(problems("[node]\nsite = 'Halle \u2028'\n"),
              ElementsAre(HasSubstr("node.site has characters that cannot be shown: Halle \\u{2028}")));
  EXPECT_THAT(problems("[tls]\nkey = 'k'\n"), ElementsAre(HasSubstr("go only together; give both [config.value]")));
  EXPECT_THAT(problems("[tls]\nclient_ca = 'c'\n"),
              ElementsAre(HasSubstr("f.toml:2:13: tls.client_ca goes only with")));
  EXPECT_THAT(problems("[parent]\nurl = 'http://a:1'\nca = 'c'\n"),
              ElementsAre(HasSubstr("f.toml:3:6: parent.ca goes only with a parent.url that begins with https://")));
  EXPECT_THAT(problems("[parent]\nurl = 'https://a:1'\nkey = 'c'\n"), ElementsAre(HasSubstr("go only together")));
  accepted("[parent]\nurl = 'https://a:1'\nca = 'x'\ncertificate = 'c'\nkey = 'k'\n");
  accepted("[parent]\nurl = 'http://a:1'\ntoken = { env = 'A' }\n");
}

TEST(Config, PathsToTheParent) {
  const Config c = accepted(R"(
[parent]
url = "http://a:1"
paths = ["wwan0", "192.168.7.2", "http://b:2", { bind = "eth0" }, { url = "https://c:3", bind = "fd00::1" }]
redundant = 3
)");
  EXPECT_EQ(c.parent.all_paths(), (std::vector<PathConfig>{{"http://a:1", "wwan0"},
                                                           {"http://a:1", "192.168.7.2"},
                                                           {"http://b:2", ""},
                                                           {"http://a:1", "eth0"},
                                                           {"https://c:3", "fd00::1"}}));
  EXPECT_TRUE(same_settings(c, accepted(print_config(c)))) << print_config(c);
  EXPECT_EQ(accepted("[parent]\nurl = 'http://a:1'\n").parent.all_paths(),
            (std::vector<PathConfig>{{"http://a:1", ""}}));
  EXPECT_TRUE(accepted("").parent.all_paths().empty());
  accepted("[parent]\nurl = 'http://a:1'\npaths = ['https://b:2', 'eth0']\nca = 'c'\n");
}

TEST(ConfigProblems, PathsToTheParent) {
  const auto refused = [](const std::string& paths, const std::string& what) {
    EXPECT_THAT(problems("[parent]\nurl = 'http://a:1'\npaths = " + paths + "\n"), ElementsAre(HasSubstr(what)))
        << paths;
  };
  refused("'eth0'", "parent.paths must be an array of paths");
  refused("[7]", "f.toml:3:10: parent.paths must be a path such as");
  refused("['']", "a path such as");
  refused("[{}]", "a path such as");
  refused("[{ url = '' }]", "a path such as");
  refused("[{ bind = 'eth0', weight = 2 }]", "only url and bind in a path");
  refused("['http://b']\nredundant = 2", "f.toml:4:13: parent.redundant = 2 is more than there are parent.paths");
  refused("['b:8080']", "'b:8080' is neither an IP address nor the name of a network interface");
  refused("['ftp://b']", "begins with neither http:// nor https://");
  refused("['eth0', { bind = 'eth0' }]", "another path than those before");
  refused("['a','b','c','d','e','f','g','h','i']", "8 paths at most");
  refused("['a']\nredundant = 4", "1..3");
  EXPECT_THAT(problems("[parent]\npaths = ['eth0']\n"), ElementsAre(HasSubstr("goes only with parent.url")));
}

TEST(ConfigProblems, UnknownKeysAndTablesWithTheNearest) {
  EXPECT_THAT(
      problems("[mqtt]\n  lisen = \"127.0.0.1:0\"\n"),
      ElementsAre("f.toml:2:3: unknown key \"lisen\" in [mqtt]; did you mean \"listen\"? [config.unknown-key]"));
  EXPECT_THAT(problems("[mqqt]\nlisten = 3\n"),
              ElementsAre("f.toml:1:2: unknown table \"mqqt\"; did you mean \"mqtt\"? [config.unknown-key]"));
  EXPECT_THAT(
      problems("[runtime]\nzzzzzzzzzz = 1\n"),
      ElementsAre(
          "f.toml:2:1: unknown key \"zzzzzzzzzz\" in [runtime]; there are loops, scheduling [config.unknown-key]"));
  EXPECT_THAT(problems("[[rule]]\nname='a'\nsql='b'\ndo = [{drop = true}, {publsh = 'x'}]\n"),
              ElementsAre("f.toml:4:23: unknown key \"publsh\" in rule.0.do.1; did you mean \"publish\"? "
                          "[config.unknown-key]"));
}

TEST(ConfigProblems, TypesRangesAndWords) {
  EXPECT_THAT(problems("[mqtt]\nlisten = 1883\n"),
              ElementsAre("f.toml:2:10: mqtt.listen must be an address such as \"127.0.0.1:1883\" or an array of "
                          "addresses, not the integer 1883 [config.type]"));
  EXPECT_THAT(problems("[mqtt]\nlisten = ['127.0.0.1:1', true]\n"),
              ElementsAre("f.toml:2:26: mqtt.listen must be an address such as \"127.0.0.1:1883\", not true "
                          "[config.type]"));
  EXPECT_THAT(problems("[mqtt]\ninflight_max = 70000\n"),
              ElementsAre("f.toml:2:16: mqtt.inflight_max must be an integer 1..65535, not the integer 70000 "
                          "[config.range]"));
  EXPECT_THAT(problems("[mqtt]\ninflight_max = -1\n"), ElementsAre(HasSubstr("[config.range]")));
  EXPECT_THAT(problems("[mqtt]\npacket_bytes_max = '1 lightyear'\n"),
              ElementsAre("f.toml:2:20: mqtt.packet_bytes_max must be a size such as \"64KiB\", \"1 MiB\" or 512, not "
                          "the string \"1 lightyear\" [config.type]"));
  EXPECT_THAT(problems("[mqtt]\npacket_bytes_max = '1TiB'\n"),
              ElementsAre("f.toml:2:20: mqtt.packet_bytes_max must be a size 128..16MiB, not the string \"1TiB\" "
                          "[config.range]"));
  EXPECT_THAT(problems("[parent]\ntimeout = 10\n"),
              ElementsAre(StartsWith("f.toml:2:11: parent.timeout must be a duration with its unit such as")));
  EXPECT_THAT(problems("[parent]\ntimeout = '0s'\n"),
              ElementsAre("f.toml:2:11: parent.timeout must be a duration 1ms..1h, not the string \"0s\" "
                          "[config.range]"));
  EXPECT_THAT(problems("[http]\ningest = 'yes'\n"),
              ElementsAre("f.toml:2:10: http.ingest must be true or false, not the string \"yes\" [config.type]"));
  EXPECT_THAT(problems("[log]\nlevel = 'warn'\n"),
              ElementsAre("f.toml:2:9: log.level must be one of \"debug\", \"info\", \"warning\", \"error\", not the "
                          "string \"warn\"; did you mean \"warning\"? [config.value]"));
  EXPECT_THAT(problems("[node]\nname = 'a b'\n"), ElementsAre(HasSubstr("2:8: node.name must be 1 to 63 letters")));
  EXPECT_THAT(problems("[node]\nname = 1979-05-27\n"), ElementsAre(HasSubstr("not a date or time [config.type]")));
}

TEST(ConfigProblems, TablesAndArrays) {
  EXPECT_THAT(problems("mqtt = 3\n"),
              ElementsAre("f.toml:1:8: mqtt is the integer 3, not a table: write [mqtt] [config.type]"));
  EXPECT_THAT(problems("[rule]\nname = 'a'\n"),
              ElementsAre("f.toml:1:1: rule is a table, not an array of tables: write [[rule]] [config.type]"));
  EXPECT_THAT(problems("rule = [3]\n"),
              ElementsAre("f.toml:1:9: rule.0 must be a table, not the integer 3 [config.type]"));
  EXPECT_THAT(problems("[[rule]]\nname = 'a'\nsql = 'b'\ndo = {drop = true}\n"),
              ElementsAre("f.toml:4:6: rule.0.do is a table, not an array of tables: write do = [ {...}, {...} ] "
                          "[config.type]"));
  EXPECT_THAT(problems("\n[[rule]]\nname = 'a'\n"),
              ElementsAre("f.toml:2:1: rule.0 has no sql; give it one [config.missing]"));
}

TEST(ConfigProblems, NamesThatArePaths) {
  for (const std::string_view name : {".", ".."}) {
    EXPECT_THAT(problems(fmt::format("[[worker]]\nname = '{}'\nfile = 'a.js'\n", name)),
                ElementsAre(HasSubstr("worker.0.name must be 1 to 63 letters")));
  }
}

TEST(ConfigProblems, NamesOfNamespaces) {
  EXPECT_THAT(
      problems("[[worker]]\nname = 'a'\nfile = 'a.js'\nkv = { A = 'x/../y' }\n"),
      ElementsAre("f.toml:4:6: worker.0.kv must name namespaces of 1 to 64 letters, digits, '-', '_' and '.', not "
                  "\"x/../y\" [config.value]"));
}

TEST(ConfigProblems, Actions) {
  const auto action = [](std::string_view text) {
    return problems("[[rule]]\nname='a'\nsql='b'\ndo = [" + std::string(text) + "]\n");
  };
  EXPECT_THAT(action("{}"), ElementsAre(AllOf(StartsWith("f.toml:4:7: an action has exactly one of publish, upload,"),
                                              EndsWith("and drop; say which [config.value]"))));
  EXPECT_THAT(action("{publish='t', drop=true}"), ElementsAre(HasSubstr("exactly one of publish, upload")));
  EXPECT_THAT(action("{upload='high', retain=false}"),
              ElementsAre("f.toml:4:30: retain goes only with publish; leave it out [config.value]"));
  EXPECT_THAT(action("{publish='t', topic='u'}"),
              ElementsAre("f.toml:4:27: topic goes only with upload, store and insight; leave it out [config.value]"));
  EXPECT_THAT(action("{ask='q'}"), ElementsAre(HasSubstr("what is decided goes nowhere")));
  EXPECT_THAT(action("{ask='q', publish='t', level='fog', deadline='80ms', otherwise='{}', qos=1}"), IsEmpty());
  EXPECT_THAT(action("{publish='t', otherwise='{}'}"), ElementsAre(HasSubstr("otherwise goes only with ask")));
  EXPECT_THAT(action("{drop=false}"), ElementsAre(HasSubstr("4:13: drop = false does nothing")));
  EXPECT_THAT(action("{publish='t', qos=2}"), ElementsAre(HasSubstr("4:25: rule.0.do.0.qos must be an integer 0..1")));
  // The wrong type is said once; what follows from it is not.
  EXPECT_THAT(action("{publish=3}"), ElementsAre(HasSubstr("rule.0.do.0.publish must be a string")));
}

TEST(ConfigProblems, ValuesThatDoNotGoTogether) {
  EXPECT_THAT(
      problems("[spool]\nbytes_max = '1MiB'\nsegment_bytes = '2MiB'\n"),
      ElementsAre("f.toml:3:17: spool.segment_bytes is larger than spool.bytes_max; lower segment_bytes or raise "
                  "bytes_max [config.value]"));
}

TEST(ConfigProblems, AllAtOnceInTheOrderOfTheFile) {
  EXPECT_THAT(problems("[log]\nlevel = 'warn'\n[mqtt]\nlisen = ''\ninflight_max = 0\n[nod]\n", {"http.x=1"}),
              ElementsAre(StartsWith("f.toml:2:9: "), StartsWith("f.toml:4:1: "), StartsWith("f.toml:5:16: "),
                          StartsWith("f.toml:6:2: "), StartsWith("--set http.x: unknown key \"x\" in http")));
}

TEST(ConfigProblems, SyntaxAndDuplicates) {
  EXPECT_THAT(problems("[mqtt]\nlisten = \n"), ElementsAre(StartsWith("f.toml:2:")));
  EXPECT_THAT(problems("[mqtt]\nlisten = \n"), ElementsAre(HasSubstr("[config.syntax]")));
  EXPECT_THAT(problems("[log]\nlevel = 'info'\nlevel = 'info'\n"), ElementsAre(StartsWith("f.toml:3:")));
  EXPECT_THAT(problems("[log]\n[log]\n"), ElementsAre(StartsWith("f.toml:2:")));
  EXPECT_THAT(problems("x = \"\xff\"\n"), ElementsAre(StartsWith("f.toml:1:")));
}

TEST(ConfigProblems, TooDeep) {
  const auto repeated = [](std::string_view piece, size_t count) {
    std::string text;
    while (count-- > 0) text.append(piece);
    return text;
  };
  EXPECT_THAT(problems("[a" + repeated(".a", 100'000) + "]\n"),
              ElementsAre("f.toml:1:67: tables go deeper than 32 levels [config.syntax]"));
  EXPECT_THAT(problems(R"(x = """a"""")"
                       "\nx = " +
                       repeated("[", 100'000)),
              ElementsAre(HasSubstr("f.toml:2:37: tables go deeper")));
  EXPECT_THAT(problems("", {"mqtt.listen=" + repeated("[", 100'000)}), ElementsAre(HasSubstr("[config.address]")));
  // Strings and comments are not counted.
  const std::string dots = repeated(".[", 1000);
  accepted("# " + dots + "\n[node]\ndata_dir = \"\\\"" + dots + "\"\n[[rule]]\nname = 'a" + dots + "'\nsql = '''\n'" +
           dots + "'''''\ndo = [{drop = true}]");
}

TEST(ConfigProblems, LettersOfAllAlphabets) {
  EXPECT_THAT(problems("[node]\nname = \"n\" ü\n"), ElementsAre(StartsWith("f.toml:2:")));
  EXPECT_EQ(accepted("[node]\ndata_dir = \"\"\"\\\n  über\\\n  λ\"\"\"\n").node.data_dir, "überλ");
}

TEST(ConfigProblems, Files) {
  const auto path = std::filesystem::temp_directory_path() / ("verge-config-" + std::to_string(::getpid()) + ".toml");
  EXPECT_THAT(
      lines_of(load_config(path, {})),
      ElementsAre(path.string() + ": cannot read " + path.string() +
                  ": No such file or directory; give the path of a readable TOML file, or none for the defaults "
                  "[config.file]"));
  EXPECT_THAT(lines_of(load_config("/", {})), ElementsAre(HasSubstr("Is a directory")));
  EXPECT_THAT(lines_of(load_config("/dev/zero", {})), ElementsAre(HasSubstr("larger than 16MiB")));
  std::ofstream(path) << "[runtime]\nloops = 3\n";
  const auto config = load_config(path, {});
  std::filesystem::remove(path);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->runtime.loops, 3U);
  EXPECT_EQ(config->place_of("runtime.loops"), path.string() + ":2:9");
}

TEST(ConfigPrint, ReadsBackAsTheSame) {
  Config c = accepted(R"(
[node]
name = "n"
[mqtt]
listen = ["127.0.0.1:1", "[::]:2"]
session_expiry_max = "1500ms"
packet_bytes_max = 1000
[http]
listen = []
[[rule]]
name = "a \"quoted\" \\ name\t\u0000\u001f\u007f\r"
sql = """
SELECT "x"
  FROM 'a/#' -- ünï
"""
do = [ { publish = "t", payload = "{\"a\":\n1}" }, { upload = "low" }, { upload = "critical", topic = "u" } ]
[[rule]]
name = "b"
sql = ''
report = "none"
do = [ { drop = true } ]
)",
                      {"rule.1.sql=SELECT 1"});
  for (const Descriptions descriptions : {Descriptions::kOmit, Descriptions::kAsComments}) {
    const std::string printed = print_config(c, descriptions);
    const Config again = accepted(printed);
    EXPECT_TRUE(same_settings(c, again)) << printed;
    EXPECT_EQ(again.node, c.node);
    EXPECT_EQ(again.mqtt, c.mqtt);
    EXPECT_EQ(again.http, c.http);
    ASSERT_EQ(again.rules.size(), 2U);
    EXPECT_EQ(again.rules[0].name, c.rules[0].name);
    EXPECT_EQ(again.rules[0].sql, c.rules[0].sql);
    EXPECT_EQ(std::get<rules::PublishSource>(again.rules[0].actions[0]).payload, "{\"a\":\n1}");
    EXPECT_EQ(std::get<rules::UploadSource>(again.rules[0].actions[1]).topic, std::nullopt);
    EXPECT_EQ(again.rules[1].report, std::nullopt);
  }
  EXPECT_THAT(print_config(c, Descriptions::kAsComments), HasSubstr("# Where MQTT clients connect.\nlisten = ["));
  EXPECT_THAT(print_config(c), Not(HasSubstr("\n#")));
  c.runtime.loops = 7;
  EXPECT_FALSE(same_settings(c, accepted("")));
}

std::optional<std::filesystem::path> source_directory() {
  if (const char* given = std::getenv("VERGE_SOURCE_DIR")) return given;
  for (std::filesystem::path at = std::filesystem::current_path();; at = at.parent_path()) {
    if (std::filesystem::exists(at / "CMakePresets.json")) return at;
    if (at == at.parent_path()) return std::nullopt;
  }
}

// VERGE_WRITE_REFERENCE=1 build/dev/node_test --gtest_filter=ConfigReference.* writes the page.
TEST(ConfigReference, ThePageIsUpToDate) {
  const auto source = source_directory();
  if (!source) GTEST_SKIP() << "no source directory above the current one; set VERGE_SOURCE_DIR";
  const std::filesystem::path page = *source / "docs/configuration.md";
  if (std::getenv("VERGE_WRITE_REFERENCE") != nullptr) std::ofstream(page) << config_reference();
  std::ifstream file(page);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, config_reference()) << "run this test with VERGE_WRITE_REFERENCE=1 to write " << page;
}

}  // namespace
}  // namespace verge::node
