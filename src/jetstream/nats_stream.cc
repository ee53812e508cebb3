#include "jetstream/nats_stream.h"

#include <thread>
#include <utility>

#include <fmt/format.h>

#include "jetstream/nats_connection.h"
#include "jetstream/nats_overflow.h"
#include "jetstream/nats_setup.h"

namespace verge::jetstream {
namespace {

constexpr const char* kKnownHeader = "Verge-Known";
constexpr const char* kAttemptHeader = "Verge-Attempt";
constexpr const char* kAfterHeader = "Verge-After";
// What children send waits meanwhile.
constexpr Duration kOverflowMakeWait = std::chrono::seconds(1);

// `get` asks for a message.
template <class Get>
Result<std::optional<StoredMessage>> look_up(const NatsConnection& connection, const std::string& stream, Duration wait,
                                             const Get& get) {
  if (!connection.connected()) {
    return fail("jetstream.unreachable", "there is no connection to a NATS server", "start the NATS servers");
  }
  const NatsLibrary& nats = connection.library();
  jsOptions options;
  nats.jsOptions_Init(&options);
  options.Wait = milliseconds(wait);
  natsMsg* found = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status = get(nats, &found, &options, &code);
  if (status == NATS_NOT_FOUND && code == JSNoMessageFoundErr) return std::nullopt;
  if (status != NATS_OK) return no_answer(connection, stream, status);
  const auto header = [&](const char* name) {
    const char* value = nullptr;
    return nats.natsMsgHeader_Get(found, name, &value) == NATS_OK && value != nullptr ? std::string(value)
                                                                                      : std::string();
  };
  StoredMessage message{
      .sequence = nats.natsMsg_GetSequence(found), .known = header(kKnownHeader), .attempt = header(kAttemptHeader)};
  nats.natsMsg_Destroy(found);
  return message;
}

}  // namespace

NatsStream::NatsStream(const NatsOptions& options, std::shared_ptr<NatsConnection> connection)
    : options_(options), connection_(std::move(connection)) {}

Result<std::unique_ptr<NatsStream>> NatsStream::open(const NatsOptions& options) {
  Result<std::shared_ptr<NatsConnection>> connection = NatsConnection::open(options);
  if (!connection) return std::unexpected(connection.error());
  return std::unique_ptr<NatsStream>(new NatsStream(options, *std::move(connection)));
}

std::unique_ptr<OverflowStream> NatsStream::overflow(const std::string& name, uint64_t bytes_max) const {
  return std::make_unique<NatsOverflow>(connection_,
                                        StreamSetup{.name = name,
                                                    .replicas = options_.replicas,
                                                    .bytes_max = static_cast<int64_t>(bytes_max),
                                                    .make_wait = kOverflowMakeWait},
                                        options_.stream);
}

size_t NatsStream::message_bytes_max() const { return connection_->message_bytes_max(); }

void NatsStream::pause(Duration duration) { std::this_thread::sleep_for(duration); }

Result<void> NatsStream::prepare(Duration wait) {
  if (!connection_->connected()) {
    checked_ = false;
    if (const Result<void> established = connection_->establish(); !established) return established;
  }
  if (checked_) return {};
  Result<void> prepared = prepare_stream(*connection_, {.name = options_.stream, .replicas = options_.replicas}, wait);
  checked_ = prepared.has_value();
  return prepared;
}

Result<std::optional<StoredMessage>> NatsStream::last(const std::string& subject, Duration wait) {
  return judged(look_up(*connection_, options_.stream, wait,
                        [&](const NatsLibrary& nats, natsMsg** found, jsOptions* options, jsErrCode* code) {
                          return nats.js_GetLastMsg(found, connection_->context(), options_.stream.c_str(),
                                                    subject.c_str(), options, code);
                        }));
}

Result<std::optional<StoredMessage>> NatsStream::at(uint64_t sequence, Duration wait) {
  return judged(look_up(*connection_, options_.stream, wait,
                        [&](const NatsLibrary& nats, natsMsg** found, jsOptions* options, jsErrCode* code) {
                          return nats.js_GetMsg(found, connection_->context(), options_.stream.c_str(), sequence,
                                                options, code);
                        }));
}

Result<std::optional<StoredMessage>> NatsStream::judged(Result<std::optional<StoredMessage>> found) {
  if (!found) checked_ = false;
  return found;
}

Publication NatsStream::judged(Publication publication) {
  using Outcome = Publication::Outcome;
  if (publication.outcome == Outcome::kUncertain || publication.outcome == Outcome::kUnheard ||
      publication.error.code == "jetstream.stream") {
    checked_ = false;
  }
  return publication;
}

Publication NatsStream::publish(const Message& message, Duration wait) {
  if (!connection_->connected()) {
    return judged(failed_publication(options_.stream, NATS_NO_RESPONDERS, {}, "no connection to a server"));
  }
  const NatsLibrary& nats = connection_->library();
  natsMsg* sent = nullptr;
  natsStatus status = nats.natsMsg_Create(&sent, message.subject.c_str(), nullptr, message.body.data(),
                                          static_cast<int>(message.body.size()));
  if (status == NATS_OK) status = nats.natsMsgHeader_Set(sent, kKnownHeader, message.known.c_str());
  if (status == NATS_OK) status = nats.natsMsgHeader_Set(sent, kAttemptHeader, message.attempt.c_str());
  if (status == NATS_OK && !message.after_attempt.empty()) {
    status = nats.natsMsgHeader_Set(sent, kAfterHeader, message.after_attempt.c_str());
  }
  const std::string id = fmt::format("{}/{}", message.subject, message.after);
  jsPubOptions publish_options;
  nats.jsPubOptions_Init(&publish_options);
  publish_options.MaxWait = milliseconds(wait);
  publish_options.MsgId = id.c_str();
  publish_options.ExpectStream = options_.stream.c_str();
  publish_options.ExpectLastSubjectSeq = message.after;
  publish_options.ExpectNoMessage = message.after == 0;
  jsPubAck* acknowledgement = nullptr;
  auto code = static_cast<jsErrCode>(0);
  if (status == NATS_OK) {
    status = nats.js_PublishMsg(&acknowledgement, connection_->context(), sent, &publish_options, &code);
  }
  const std::string why = status == NATS_OK ? "" : nats.reason(status);
  nats.natsMsg_Destroy(sent);
  if (status != NATS_OK) return judged(failed_publication(options_.stream, status, code, why));
  const uint64_t sequence = acknowledgement->Sequence;
  const bool duplicate = acknowledgement->Duplicate;
  nats.jsPubAck_Destroy(acknowledgement);
  if (!duplicate) return {Publication::Outcome::kStored, sequence, {}};
  return failed_publication(options_.stream, status, JSStreamWrongLastSequenceErr, "another follows the same one");
}

}  // namespace verge::jetstream
