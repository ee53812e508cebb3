#include "cli/mosquitto_import.h"

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
                         .list =
                             [&](const std::string& directory) {
                               std::vector<std::string> paths;
                               for (const auto& [path, text] : files) {
                                 if (path.starts_with(directory + "/")) paths.push_back(path);
                               }
                               return paths;
                             }};
  return import_mosquitto("m.conf", from);
}

std::string toml(const Files& files) { return import(files)->toml; }
bool notes(const MosquittoImport& made, std::string_view words) {
  for (const std::string& note : made.notes) {
    if (note.find(words) != std::string::npos) return true;
  }
  return false;
}

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
            "[\"/run/m.sock\"]\n\n[tls]\ncertificate = \"/c.pem\"\n"
            "key = \"/k.pem\"\nclient_ca = \"/a.pem\"\n");
  EXPECT_TRUE(notes(*made, "m.conf:8: by WebSocket"));
}

TEST(MosquittoImport, WhatIsOpenToOthersMustBeAskedFor) {
  const auto made = import({{"m.conf", "port 1884\nallow_anonymous true\n"}});
  EXPECT_NE(made->toml.find("# allow_anonymous = true\n\n[mqtt]\nlisten = [\"0.0.0.0:1884\"]\n"), std::string::npos);
  EXPECT_TRUE(notes(*made, "open to other machines"));
  EXPECT_TRUE(notes(*import({{"m.conf", "listener 1884 127.0.0.1\n"}}), "lets nobody in without allow_anonymous"));
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
                  {"d/2.conf", "listener 1885 127.0.0.1\n"}}),
            "# From a configuration of mosquitto.\n\n[mqtt]\nlisten = [\"127.0.0.1:1885\"]\n"
            "\n[[mqtt.bridge]]\nname = \"cloud\"\naddress = \"example.com:1883\"\n"
            "\n[[mqtt.bridge.topic]]\ntopic = \"#\"\ndirection = \"out\"\nqos = 1\n");
}

TEST(MosquittoImport, WhatCannotBeOneIsAnError) {
  for (const std::string text : {"listener none\n", "port x\n", "require_certificate maybe\n", "max_keepalive ten\n",
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
