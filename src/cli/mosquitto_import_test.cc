#include "cli/mosquitto_import.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

namespace verge::cli {
namespace {

using Files = std::map<std::string, std::string>;

Result<MosquittoImport> import(const Files& files) {
  const ImportFiles from{.read = [&](const std::string& path) -> Result<std::string> {
                           const auto found = files.find(path);
                           if (found == files.end()) return fail("cli.input", path + " is not there", "");
                           return found->second;
                         },
                         .list = [&](const std::string& directory) -> Result<std::vector<std::string>> {
                           std::vector<std::string> paths;
                           for (const auto& [path, text] : files) {
                             if (path.starts_with(directory + "/")) paths.push_back(path);
                           }
                           if (paths.empty()) return fail("cli.input", directory + " cannot be listed", "");
                           return paths;
                         }};
  return import_mosquitto("m.conf", from);
}

std::string toml(const Files& files) { return import(files)->toml; }
bool has(const std::vector<std::string>& lines, std::string_view words) {
  return std::ranges::any_of(lines, [&](const std::string& line) { return line.find(words) != std::string::npos; });
}
bool notes(const MosquittoImport& made, std::string_view words) { return has(made.notes, words); }
bool loses(const MosquittoImport& made, std::string_view words) { return has(made.losses, words); }

TEST(MosquittoImport, NothingIsForThisMachine) {
  EXPECT_EQ(toml({{"m.conf", "# nothing\n\n"}}),
            "# From a configuration of mosquitto.\n\n[mqtt]\nlisten = [\"127.0.0.1:1883\"]\n");
}

TEST(MosquittoImport, ListenersWithTheirProtocolsAndCertificates) {
  const auto made =
      import({{"m.conf",
               "listener 1883 localhost\nlistener 8883 ::\ncertfile /c.pem\nkeyfile /k.pem\ncafile /a.pem\n"
               "require_certificate true\nlistener 8084\nprotocol websockets\ncertfile /c.pem\n"
               "keyfile /k.pem\ncafile /a.pem\nlistener 0 /run/m.sock\n"}});
  EXPECT_EQ(made->toml,
            "# From a configuration of mosquitto.\n\n[mqtt]\nlisten = [\"127.0.0.1:1883\"]\n"
            "tls_listen = [\"[::]:8883\"]\nws_tls_listen = [\"0.0.0.0:8084\"]\nunix_listen = "
            "[\"/run/m.sock\"]\npassword_file = \"passwords\"\n\n[tls]\ncertificate = \"/c.pem\"\n"
            "key = \"/k.pem\"\nclient_ca = \"/a.pem\"\n");
  EXPECT_TRUE(notes(*made, "m.conf:8: by WebSocket"));
}

TEST(MosquittoImport, WhatIsOpenToOthersMustBeAskedFor) {
  const auto made = import({{"m.conf", "port 1884\nallow_anonymous true\n"}});
  EXPECT_NE(made->toml.find("# allow_anonymous = true\n\n[mqtt]\nlisten = [\"0.0.0.0:1884\"]\n"), std::string::npos);
  EXPECT_TRUE(notes(*made, "open to other machines"));
}

// As mosquitto does: until there are users.
TEST(MosquittoImport, NobodyIsLetInWithoutAllowAnonymous) {
  for (const std::string text :
       {"listener 1884 127.0.0.1\n", "listener 1884 127.0.0.1\nallow_anonymous false\n", "bind_address 127.0.0.1\n",
        "allow_anonymous false\n",
        "listener 8883 127.0.0.1\ncertfile c\nkeyfile k\ncafile a\nrequire_certificate true\n"}) {
    const auto made = import({{"m.conf", text}});
    EXPECT_NE(made->toml.find("password_file = \"passwords\"\n"), std::string::npos) << text;
    EXPECT_TRUE(notes(*made, "lets nobody in without allow_anonymous")) << text;
    EXPECT_TRUE(made->losses.empty()) << text;
  }
  const std::string known =
      "listener 8883\ncertfile c\nkeyfile k\ncafile a\nrequire_certificate true\nuse_identity_as_username true\n";
  EXPECT_EQ(toml({{"m.conf", known}}).find("password_file"), std::string::npos);
  EXPECT_NE(toml({{"m.conf", known + "listener 1883 127.0.0.1\n"}}).find("password_file"), std::string::npos);
}

TEST(MosquittoImport, AnEmptyAccessFileAllowsNothing) {
  EXPECT_NE(
      toml({{"m.conf", "acl_file a\n"}, {"a", "# nobody\n"}}).find("[[mqtt.acl]]\ntopics = \"#\"\nallow = false\n"),
      std::string::npos);
}

TEST(MosquittoImport, SettingsHaveTheirNamesHere) {
  const auto made = import({{"m.conf",
                             "persistence false\nmax_inflight_messages 0\nmax_packet_size 100\nmax_keepalive 600\n"
                             "persistent_client_expiration 2w\nretain_available false\nmax_connections -1\n"
                             "autosave_interval 5\nbogus_key 1\n"}});
  EXPECT_EQ(made->toml,
            "# From a configuration of mosquitto.\n\n[mqtt]\nlisten = [\"127.0.0.1:1883\"]\ninflight_max = 65535\n"
            "keep_alive_max = \"600s\"\npacket_bytes_max = 128\nretained_max = 0\nsession_expiry_max = \"14d\"\n"
            "durable_sessions = false\ndurable_retained = false\n");
  EXPECT_TRUE(notes(*made, "m.conf:3: packet_bytes_max is 128 here"));
  EXPECT_TRUE(notes(*made, "m.conf:8: autosave_interval has no counterpart"));
  EXPECT_TRUE(notes(*made, "m.conf:9: bogus_key is not carried over"));
}

TEST(MosquittoImport, UsersAndAccess) {
  const auto made = import({{"m.conf", "password_file p\nacl_file a\nallow_anonymous true\n"},
                            {"p", "ann:$7$101$x$y\nbob:$6$x$y\n"},
                            {"a",
                             "topic read news/#\n\nuser ann\ntopic write a/b c\ntopic deny a/secret\ntopic all/#\n"
                             "pattern readwrite device/%c/#\n"}});
  EXPECT_EQ(made->toml,
            "# From a configuration of mosquitto.\n\n[mqtt]\nlisten = [\"127.0.0.1:1883\"]\n"
            "password_file = \"passwords\"\nanonymous = true\n"
            "\n[[mqtt.acl]]\nusers = [\"ann\"]\ntopics = \"a/secret\"\nallow = false\n"
            "\n[[mqtt.acl]]\nusers = [\"\"]\ntopics = \"news/#\"\nactions = \"subscribe\"\n"
            "\n[[mqtt.acl]]\nusers = [\"ann\"]\ntopics = \"a/b c\"\nactions = \"publish\"\n"
            "\n[[mqtt.acl]]\nusers = [\"ann\"]\ntopics = \"all/#\"\n"
            "\n[[mqtt.acl]]\ntopics = \"device/%c/#\"\n");
  EXPECT_TRUE(notes(*made, "for: ann, bob"));
  EXPECT_TRUE(notes(*made, "wider than what a client may read"));
}

TEST(MosquittoImport, ABridgeEndsWhereAListenerBegins) {
  EXPECT_EQ(toml({{"m.conf", "include_dir d\n"},
                  {"d/1.conf", "connection cloud\naddress example.com\ntopic # out 1\n"},
                  {"d/2.conf", "listener 1885 127.0.0.1\nallow_anonymous true\n"}}),
            "# From a configuration of mosquitto.\n\n[mqtt]\nlisten = [\"127.0.0.1:1885\"]\n"
            "\n[[mqtt.bridge]]\nname = \"cloud\"\naddress = \"example.com:1883\"\n"
            "\n[[mqtt.bridge.topic]]\ntopic = \"#\"\ndirection = \"out\"\nqos = 1\n");
}

TEST(MosquittoImport, BelowAConnectionOnlySettingsOfBridgesAreItsOwn) {
  const auto made = import({{"m.conf",
                             "listener 1883 127.0.0.1\nconnection b\naddress h:1883\npassword_file p\nacl_file a\n"
                             "allow_anonymous false\ninclude_dir d\ntopic x out\nmax_keepalive 60\ncertfile c\n"
                             "listener 1884 127.0.0.1\ntopic y out\n"},
                            {"d/1.conf", "max_inflight_messages 7\n"},
                            {"p", "ann:$7$x\n"},
                            {"a", "user ann\ntopic read t/#\n"}});
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(made->toml,
            "# From a configuration of mosquitto.\n\n[mqtt]\nlisten = [\"127.0.0.1:1884\"]\n"
            "tls_listen = [\"127.0.0.1:1883\"]\ninflight_max = 7\nkeep_alive_max = \"60s\"\n"
            "password_file = \"passwords\"\n\n[tls]\ncertificate = \"c\"\nkey = \"\"\n"
            "\n[[mqtt.acl]]\nusers = [\"ann\"]\ntopics = \"t/#\"\nactions = \"subscribe\"\n"
            "\n[[mqtt.bridge]]\nname = \"b\"\naddress = \"h:1883\"\n"
            "\n[[mqtt.bridge.topic]]\ntopic = \"x\"\ndirection = \"out\"\nqos = 0\n"
            "\n[[mqtt.bridge.topic]]\ntopic = \"y\"\ndirection = \"out\"\nqos = 0\n");
  EXPECT_TRUE(made->losses.empty());
}

TEST(MosquittoImport, AnIncludedFileBeginsWithTheDefaultListener) {
  const auto made = import({{"m.conf", "listener 1884 127.0.0.1\ninclude_dir d\ncertfile c\n"},
                            {"d/1.conf", "bind_address ::1\nprotocol websockets\ninclude_dir e\n"}});
  EXPECT_NE(made->toml.find("ws_listen = [\"[::1]:1883\"]\n"), std::string::npos) << made->toml;
  EXPECT_NE(made->toml.find("tls_listen = [\"127.0.0.1:1884\"]\n"), std::string::npos) << made->toml;
  EXPECT_TRUE(notes(*made, "d/1.conf:3: include_dir has no effect"));
  EXPECT_EQ(import({{"m.conf", "include_dir missing\n"}}).error().code, "cli.input");
}

TEST(MosquittoImport, ListenersOfTheirOwnMustAgree) {
  const std::string apart = "per_listener_settings true\nlistener 1883 127.0.0.1\npassword_file p\n";
  const Files files = {{"p", "ann:$7$x\n"}};
  const auto with = [&](const std::string& text) {
    Files all = files;
    all["m.conf"] = text;
    return import(all);
  };
  const auto differing = with(apart + "connection b\naddress h\nlistener 1884 127.0.0.1\nallow_anonymous true\n");
  EXPECT_TRUE(loses(*differing, "differ between listeners"));
  EXPECT_NE(differing->toml.find("password_file = \"passwords\"\n"), std::string::npos);
  EXPECT_EQ(differing->toml.find("anonymous = true"), std::string::npos);
  EXPECT_TRUE(with(apart)->losses.empty());
  EXPECT_TRUE(with(apart + "listener 1884 127.0.0.1\npassword_file p\n")->losses.empty());
  EXPECT_EQ(with("allow_anonymous false\n" + apart).error().code, "import.syntax");
}

// Whatever would let in more than mosquitto does.
TEST(MosquittoImport, WhatConcernsSecurityIsALoss) {
  for (const std::string text :
       {"plugin /usr/lib/x.so\n", "auth_plugin x\n", "psk_file p\n", "listener 8883\npsk_hint h\n",
        "listener 1883\nmount_point a/\n", "listener 8883\ntls_version tlsv1.3\n", "listener 8883\ncrlfile c\n",
        "listener 8883\nciphers AES\n", "bind_interface eth0\n", "clientid_prefixes a-\n",
        "use_username_as_clientid true\n", "connection b\naddress h\nbridge_capath /etc/ssl\n",
        "connection b\naddress h\nbridge_psk 12\n",
        "listener 8883\ncertfile c\nkeyfile k\ncapath d\nrequire_certificate true\n",
        "listener 8883\ncertfile c\nkeyfile k\ncafile a\nrequire_certificate true\n"
        "listener 8884\ncertfile c\nkeyfile k\ncafile b\nrequire_certificate true\n",
        "listener 8883\ncertfile c\nkeyfile k\ncafile a\nrequire_certificate true\nuse_identity_as_username true\n"
        "listener 8884\ncertfile c\nkeyfile k\ncafile a\nrequire_certificate true\n"}) {
    const auto made = import({{"m.conf", text}});
    ASSERT_TRUE(made.has_value()) << text;
    ASSERT_EQ(made->losses.size(), 1U) << text;
    EXPECT_NE(made->toml.find("# NOT CARRIED OVER: " + made->losses[0] + "\n"), std::string::npos) << text;
  }
  EXPECT_TRUE(loses(*import({{"m.conf", "\npsk_file p\n"}}), "m.conf:2: psk_file is not carried over"));
  EXPECT_TRUE(
      import({{"m.conf", "listener 8883\ntls_version tlsv1.2\nuse_username_as_clientid false\n"}})->losses.empty());
}

// The second of two listeners with TLS asks for certificates, the first does not.
TEST(MosquittoImport, TheAuthorityIsThatOfTheListenerThatAsks) {
  EXPECT_NE(toml({{"m.conf",
                   "listener 8883\ncertfile c\nkeyfile k\nlistener 8884\ncertfile c\nkeyfile k\ncafile a\n"
                   "require_certificate true\n"}})
                .find("client_ca = \"a\"\n"),
            std::string::npos);
}

TEST(MosquittoImport, WhatCannotBeOneIsAnError) {
  for (const std::string text :
       {"listener none\n", "listener 70000\n", "listener 0\n", "port 0\n", "port 65536\n", "topic a/# out\n",
        "bridge_cafile a\n", "password_file\n", "port x\n", "require_certificate maybe\n", "max_keepalive ten\n",
        "persistent_client_expiration 2\n", "acl_file a\n", "allow_anonymous yes\n"}) {
    const auto made = import({{"m.conf", text}, {"a", "topic a/#/b\n"}});
    ASSERT_FALSE(made.has_value()) << text;
    EXPECT_EQ(made.error().code, "import.syntax") << text;
  }
  EXPECT_EQ(import({{"m.conf", "acl_file missing\n"}}).error().code, "cli.input");
}

TEST(MosquittoImport, BridgesAreCarriedOver) {
  const auto made = import({{"m.conf",
                             "connection site-1\naddress broker.example:8883 other:8883\nbridge_cafile ca.pem\n"
                             "remote_username u\nremote_password secret\nkeepalive_interval 30\ntry_private true\n"
                             "bridge_protocol_version mqttv311\nbridge_insecure true\n"
                             "topic oven/# out 1 plant/ site-1/\ntopic # in 2 \"\" commands/\ntopic one\n"}});
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(made->toml.substr(made->toml.find("[[mqtt.bridge]]")),
            "[[mqtt.bridge]]\nname = \"site-1\"\naddress = \"broker.example:8883\"\nversion = \"3.1.1\"\nuser = \"u\"\n"
            "password = { file = \"bridge-site-1.password\" }\ntls = true\nca = \"ca.pem\"\nkeep_alive = \"30s\"\n"
            "\n[[mqtt.bridge.topic]]\ntopic = \"oven/#\"\ndirection = \"out\"\nqos = 1\nlocal_prefix = \"plant/\"\n"
            "remote_prefix = \"site-1/\"\n"
            "\n[[mqtt.bridge.topic]]\ntopic = \"#\"\ndirection = \"in\"\nqos = 2\nremote_prefix = \"commands/\"\n"
            "\n[[mqtt.bridge.topic]]\ntopic = \"one\"\ndirection = \"out\"\nqos = 0\n");
  EXPECT_TRUE(notes(*made, "m.conf:2: the bridge site-1 goes to broker.example:8883 only"));
  EXPECT_TRUE(notes(*made, "m.conf:1: put the password of the bridge site-1 into the file bridge-site-1.password"));
  EXPECT_TRUE(notes(*made, "bridge_insecure is not carried over"));
  EXPECT_FALSE(import({{"m.conf", "connection a\naddress b\ntopic x sideways 1\n"}}).has_value());
  const auto both = import({{"m.conf", "connection a\naddress b\nbridge_protocol_version mqttv311\ntopic # both 0\n"}});
  EXPECT_TRUE(notes(*both, "speaks MQTT 5"));
  EXPECT_TRUE(notes(*import({{"m.conf", "connection a\n"}}), "has no address"));
}

}  // namespace
}  // namespace verge::cli
