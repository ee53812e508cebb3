#include "net/tls_session.h"

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/test_certificates.h"
#include "net/tls_context.h"

namespace verge::net {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using State = TlsSession::State;

class TlsSessionTest : public ::testing::Test {
 protected:
  std::shared_ptr<const TlsContext> make_server(const TlsContext::Server& options) {
    Result<std::shared_ptr<const TlsContext>> made = TlsContext::server(options);
    EXPECT_TRUE(made.has_value()) << made.error().line();
    return *made;
  }
  std::shared_ptr<const TlsContext> make_client(const TlsContext::Client& options) {
    Result<std::shared_ptr<const TlsContext>> made = TlsContext::client(options);
    EXPECT_TRUE(made.has_value()) << made.error().line();
    return *made;
  }
  std::shared_ptr<const TlsContext> good_server() { return make_server({.identity = certificates.issue()}); }
  std::shared_ptr<const TlsContext> good_client(const std::string& name = "localhost") {
    return make_client({.server_name = name, .ca = certificates.ca()});
  }
  void begin(const std::shared_ptr<const TlsContext>& server_context,
             const std::shared_ptr<const TlsContext>& client_context) {
    server = server_context->make_session();
    client = client_context->make_session();
  }
  // Shakes hands, `piece` bytes at a time.
  void agree(size_t piece = SIZE_MAX) {
    client->handshake({});
    for (int round = 0; round < 20 && (client->output().size() + server->output().size()) > 0; ++round) {
      carry(*client, *server, piece);
      carry(*server, *client, piece);
    }
  }
  static void carry(TlsSession& from, TlsSession& to, size_t piece) {
    const std::string bytes = std::exchange(from.output(), {});
    for (size_t at = 0; at < bytes.size(); at += piece) {
      const std::string_view part = std::string_view(bytes).substr(at, piece);
      if (to.state() == State::kHandshake) {
        to.handshake(part);
      } else if (to.state() == State::kOpen) {
        receive(to, part);
      }
    }
  }
  static std::string receive(TlsSession& session, std::string_view bytes) {
    std::string room(TlsSession::kRoomAhead, '\0');
    room.append(bytes);
    room.resize(session.receive(room.data(), bytes.size()));
    return room;
  }
  // What becomes of `text` on its way, cut to pieces.
  static std::string through(TlsSession& from, TlsSession& to, std::string_view text, size_t piece) {
    for (size_t at = 0; at < text.size(); at += TlsSession::kSendBytesMax) {
      from.send(text.substr(at, TlsSession::kSendBytesMax));
    }
    const std::string wire = std::exchange(from.output(), {});
    std::string came;
    for (size_t at = 0; at < wire.size(); at += piece) {
      came += receive(to, std::string_view(wire).substr(at, piece));
    }
    return came;
  }
  void expect_refused(const TlsIdentity& shown, const std::string& name, std::string_view why) {
    begin(make_server({.identity = shown}), good_client(name));
    agree();
    EXPECT_EQ(client->state(), State::kFailed);
    EXPECT_EQ(client->failure().code, "net.tls-untrusted");
    EXPECT_THAT(client->failure().line(), HasSubstr(why));
    EXPECT_EQ(server->state(), State::kFailed) << "the alert came";
  }

  TestCertificates certificates;
  std::unique_ptr<TlsSession> server;
  std::unique_ptr<TlsSession> client;
};

TEST_F(TlsSessionTest, AgreesHoweverTheBytesAreCut) {
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{1000}, SIZE_MAX}) {
    begin(good_server(), good_client());
    agree(piece);
    EXPECT_EQ(client->state(), State::kOpen);
    EXPECT_EQ(server->state(), State::kOpen);
    EXPECT_EQ(client->version(), "TLSv1.3");
    EXPECT_TRUE(client->peer_is_verified());
    EXPECT_FALSE(server->peer_is_verified()) << "the client showed nothing";
  }
}

TEST_F(TlsSessionTest, CarriesBytesHoweverTheyAreCut) {
  begin(good_server(), good_client("127.0.0.1"));
  agree();
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += fmt::format("{} ", i);
  for (const size_t piece : {size_t{1}, size_t{13}, size_t{5000}, size_t{16'400}, size_t{80'000}}) {
    const std::string_view part = std::string_view(text).substr(0, piece < 100 ? 40'000 : text.size());
    EXPECT_EQ(through(*client, *server, part, piece), part) << piece;
    EXPECT_EQ(through(*server, *client, part, piece), part) << piece;
  }
}

TEST_F(TlsSessionTest, WhatCameWithTheEndOfTheHandshakeWaits) {
  begin(good_server(), good_client());
  client->handshake({});
  server->handshake(std::exchange(client->output(), {}));
  client->handshake(std::exchange(server->output(), {}));
  ASSERT_EQ(client->state(), State::kOpen);
  client->send("early");
  ASSERT_EQ(server->handshake(std::exchange(client->output(), {})), State::kOpen);
  const std::string early = std::exchange(server->early_input(), {});
  EXPECT_EQ(receive(*server, early), "early");
}

TEST_F(TlsSessionTest, AnEndIsSaidAndUnderstood) {
  begin(good_server(), good_client());
  agree();
  client->send("last");
  client->close();
  client->close();
  EXPECT_EQ(receive(*server, std::exchange(client->output(), {})), "last");
  EXPECT_EQ(server->state(), State::kEnded);
  server->close();
  receive(*client, server->output());
  EXPECT_EQ(client->state(), State::kEnded);
}

TEST_F(TlsSessionTest, AChangedByteIsNoticed) {
  begin(good_server(), good_client());
  agree();
  client->send("seventeen euros");
  std::string wire = std::exchange(client->output(), {});
  wire.back() ^= 1;
  EXPECT_EQ(receive(*server, wire), "");
  EXPECT_EQ(server->state(), State::kFailed);
  EXPECT_EQ(server->failure().code, "net.tls-broken");
  EXPECT_FALSE(server->output().empty()) << "the other side is told";
}

TEST_F(TlsSessionTest, GarbageIsNoHandshake) {
  for (const std::string_view garbage :
       {std::string_view("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), std::string_view("\x10\x0c\0\x04MQTT\x04\x02\0\x3c", 12),
        std::string_view("\x16\x03\x01\xff\xff zzzzzzzzzzz"), std::string_view("\0\0\0\0\0\0\0\0\0\0\0", 11)}) {
    server = good_server()->make_session();
    EXPECT_EQ(server->handshake(garbage), State::kFailed);
    EXPECT_EQ(server->failure().code, "net.tls-handshake");
    EXPECT_THAT(server->failure().line(), testing::Not(HasSubstr("; ;")));
  }
}

TEST_F(TlsSessionTest, ServersAreVerified) {
  expect_refused(certificates.issue({.ends_in_s = -60}), "localhost", "expired; renew");
  expect_refused(certificates.issue({.names = "DNS:other.example"}), "localhost", "mismatch; connect by a name");
  expect_refused(certificates.issue({.names = "DNS:localhost"}), "127.0.0.1", "IP address mismatch");
  expect_refused(certificates.issue({.by_stranger = true}), "localhost", "trust the authority that issued it");
}

TEST_F(TlsSessionTest, ClientsAreVerified) {
  const auto demanding = make_server({.identity = certificates.issue(), .client_ca = certificates.ca()});
  const auto client_with = [&](const TlsIdentity& identity) {
    return make_client({.server_name = "localhost", .ca = certificates.ca(), .identity = identity});
  };
  begin(demanding, client_with(certificates.issue()));
  agree();
  EXPECT_EQ(server->state(), State::kOpen);
  EXPECT_TRUE(server->peer_is_verified());
  EXPECT_THAT(server->peer_name(), StartsWith("CN=subject"));
  begin(demanding, good_client());
  agree();
  EXPECT_EQ(server->failure().what, "the other side showed no certificate");
  EXPECT_FALSE(server->peer_is_verified());
  EXPECT_EQ(client->failure().what, "the other side demands a certificate");
  for (const TestCertificates::Wanted& wanted :
       {TestCertificates::Wanted{.by_stranger = true}, TestCertificates::Wanted{.ends_in_s = -60}}) {
    begin(demanding, client_with(certificates.issue(wanted)));
    agree();
    EXPECT_EQ(server->state(), State::kFailed);
    EXPECT_EQ(server->failure().code, "net.tls-untrusted");
    EXPECT_FALSE(server->peer_is_verified());
  }
}

TEST_F(TlsSessionTest, IsResumedByTicketUntilTheContextChanges) {
  const TlsIdentity identity = certificates.issue();
  const auto make = [&] { return make_server({.identity = identity, .client_ca = certificates.ca()}); };
  const auto first = make();
  const auto known =
      make_client({.server_name = "localhost", .ca = certificates.ca(), .identity = certificates.issue()});
  begin(first, known);
  agree();
  EXPECT_FALSE(server->is_resumed());
  begin(first, known);
  agree();
  EXPECT_TRUE(server->is_resumed());
  EXPECT_TRUE(server->peer_is_verified()) << "the certificate is in the ticket";
  begin(make(), known);
  agree();
  EXPECT_EQ(server->state(), State::kOpen);
  EXPECT_FALSE(server->is_resumed());
}

TEST_F(TlsSessionTest, ProtocolsAreChosenOrRefused) {
  const auto client_offering = [&](const std::string& protocol) {
    TlsContext::Client options{.server_name = "localhost", .ca = certificates.ca()};
    if (!protocol.empty()) options.protocols = {protocol};
    return make_client(options);
  };
  const TlsIdentity identity = certificates.issue();
  const auto http = make_server({.identity = identity, .protocols = {"http/1.1"}, .protocol_required = true});
  const auto mqtt = make_server({.identity = identity, .protocols = {"mqtt"}});
  begin(http, client_offering("http/1.1"));
  agree();
  EXPECT_EQ(client->protocol(), "http/1.1");
  begin(http, client_offering(""));
  agree();
  EXPECT_EQ(server->state(), State::kOpen) << "who offers none is taken";
  begin(http, client_offering("h2"));
  agree();
  EXPECT_EQ(server->state(), State::kFailed);
  begin(mqtt, client_offering("x-amzn-mqtt-ca"));
  agree();
  EXPECT_EQ(server->state(), State::kOpen);
  EXPECT_EQ(client->protocol(), "");
}

TEST_F(TlsSessionTest, TheServersFirstProtocolIsChosen) {
  const auto both = make_server({.identity = certificates.issue(), .protocols = {"h2", "http/1.1"}});
  for (const auto& [offered, chosen] :
       {std::pair(std::vector<std::string>{"http/1.1", "h2"}, "h2"), {{"http/1.1", "h3"}, "http/1.1"}}) {
    begin(both, make_client({.server_name = "localhost", .ca = certificates.ca(), .protocols = offered}));
    agree();
    EXPECT_EQ(client->protocol(), chosen);
    EXPECT_EQ(server->protocol(), chosen);
  }
}

TEST_F(TlsSessionTest, TheCertificateIsThatOfTheName) {
  const auto issue = [&](const std::string& names) { return certificates.issue({.names = names}); };
  const auto exact = make_server({.identity = issue("DNS:www.example.com"), .client_ca = certificates.ca()});
  const auto wild = make_server({.identity = issue("DNS:*.example.com"), .client_ca = certificates.ca()});
  const auto all = make_server({.identity = issue("DNS:localhost,IP:127.0.0.1"),
                                .client_ca = certificates.ca(),
                                .named = {{.names = {"www.example.com", "*.a.test"}, .context = exact},
                                          {.names = {"*.example.com", "www.example.com"}, .context = wild}}});
  const auto ask = [&](const std::string& name, const TlsIdentity& shown = {}) {
    begin(all, make_client({.server_name = name, .ca = certificates.ca(), .identity = shown}));
    agree();
    return client->state() == State::kOpen ? std::string("accepted") : client->failure().line();
  };
  const TlsIdentity known = certificates.issue();
  for (const char* name : {"www.example.com", "WWW.Example.com", "x.example.com", "localhost", "127.0.0.1"}) {
    EXPECT_EQ(ask(name, known), "accepted") << name;
    EXPECT_TRUE(server->peer_is_verified()) << name;
  }
  EXPECT_THAT(ask("x.a.test", known), HasSubstr("mismatch")) << "shown as configured, whatever is in it";
  EXPECT_THAT(ask("other.example", known), HasSubstr("mismatch"));
  ask("www.example.com");
  EXPECT_EQ(server->state(), State::kFailed) << "whoever has no certificate is refused under each name";
}

class TlsFiles : public TlsSessionTest {
 protected:
  std::string refusal(const TlsContext::Server& options) {
    const auto made = TlsContext::server(options);
    return made ? "accepted" : made.error().line();
  }
};

TEST_F(TlsFiles, WhatIsWrongWithThemIsSaid) {
  const TlsIdentity good = certificates.issue();
  const TlsIdentity other = certificates.issue();
  const std::string empty = certificates.write("empty.pem", "");
  const std::string cut = certificates.write("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
  const std::string locked = certificates.write(
      "locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n");
  EXPECT_THAT(refusal({.identity = {"/nowhere.pem", good.key}}),
              testing::AllOf(StartsWith("the certificate /nowhere.pem cannot be read: No such file or directory"),
                             HasSubstr("[net.certificate]")));
  EXPECT_THAT(
      refusal({.identity = {good.certificate, "/nowhere.pem"}}),
      testing::AllOf(StartsWith("the private key /nowhere.pem cannot be read"), HasSubstr("[net.private-key]")));
  EXPECT_THAT(refusal({.identity = {"/", good.key}}), HasSubstr("cannot be read: Is a directory"));
  EXPECT_THAT(refusal({.identity = {empty, good.key}}), HasSubstr("holds no certificate"));
  EXPECT_THAT(refusal({.identity = {good.key, good.key}}), HasSubstr("holds no certificate"));
  EXPECT_THAT(refusal({.identity = {cut, good.key}}), HasSubstr("is damaged"));
  EXPECT_THAT(refusal({.identity = {good.certificate, good.certificate}}), HasSubstr("holds no private key"));
  EXPECT_THAT(refusal({.identity = {good.certificate, locked}}), HasSubstr("needs a passphrase"));
  EXPECT_THAT(refusal({.identity = {good.certificate, other.key}}),
              HasSubstr("does not belong to the certificate " + good.certificate));
  EXPECT_THAT(
      refusal({.identity = good, .client_ca = empty}),
      testing::AllOf(HasSubstr("the file of certificate authorities"), HasSubstr("[net.certificate-authority]")));
  EXPECT_EQ(refusal({.identity = good, .client_ca = certificates.ca()}), "accepted");
}

TEST_F(TlsFiles, TheEndOfACertificateIsKnown) {
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
  const auto context = make_server({.identity = certificates.issue({.ends_in_s = 5000})});
  EXPECT_NEAR(static_cast<double>(context->certificate_ends()), static_cast<double>(now.count() + 5000), 10);
}

}  // namespace
}  // namespace verge::net
