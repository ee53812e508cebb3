#include "jetstream/nats_overflow.h"

#include <fmt/format.h>

#include "base/log.h"

namespace verge::jetstream {
namespace {

jsOptions options_with(const NatsLibrary& nats, Duration wait) {
  jsOptions options;
  nats.jsOptions_Init(&options);
  options.Wait = milliseconds(wait);
  return options;
}

}  // namespace

Result<void> NatsOverflow::check_connection() const {
  if (connection_->connected()) return {};
  return fail("jetstream.unreachable", "there is no connection to a NATS server", "start the NATS servers");
}

Result<void> NatsOverflow::prepare(Duration wait) {
  if (const Result<void> there = check_connection(); !there) {
    checked_ = false;
    return there;
  }
  if (checked_) return {};
  Result<void> prepared = prepare_stream(*connection_, setup_, wait);
  checked_ = prepared.has_value();
  return prepared;
}

Publication NatsOverflow::add(const std::string& subject, const std::string& body, Duration wait) {
  const NatsLibrary& nats = connection_->library();
  if (!connection_->connected()) {
    checked_ = false;
    return failed_publication(setup_.name, NATS_NO_RESPONDERS, {}, "no connection to a server");
  }
  natsMsg* sent = nullptr;
  natsStatus status = nats.natsMsg_Create(&sent, subject.c_str(), nullptr, body.data(), static_cast<int>(body.size()));
  jsPubOptions publish_options;
  nats.jsPubOptions_Init(&publish_options);
  publish_options.MaxWait = milliseconds(wait);
  publish_options.ExpectStream = setup_.name.c_str();
  jsPubAck* acknowledgement = nullptr;
  auto code = static_cast<jsErrCode>(0);
  if (status == NATS_OK) {
    status = nats.js_PublishMsg(&acknowledgement, connection_->context(), sent, &publish_options, &code);
  }
  const std::string why = status == NATS_OK ? "" : nats.reason(status);
  nats.natsMsg_Destroy(sent);
  if (status != NATS_OK) {
    checked_ = false;
    return failed_publication(setup_.name, status, code, why);
  }
  const uint64_t sequence = acknowledgement->Sequence;
  nats.jsPubAck_Destroy(acknowledgement);
  return {Publication::Outcome::kStored, sequence, {}};
}

Result<NatsOverflow::Seen> NatsOverflow::look_at(const std::string& stream, Duration wait) const {
  if (const Result<void> there = check_connection(); !there) return std::unexpected(there.error());
  const NatsLibrary& nats = connection_->library();
  jsOptions options = options_with(nats, wait);
  jsStreamInfo* info = nullptr;
  const natsStatus status = nats.js_GetStreamInfo(&info, connection_->context(), stream.c_str(), &options, nullptr);
  if (status != NATS_OK) return no_answer(*connection_, stream, status);
  Seen seen{.state = {.first = info->State.FirstSeq, .last = info->State.LastSeq, .messages = info->State.Msgs},
            .leader = {}};
  if (info->Cluster != nullptr && info->Cluster->Leader != nullptr) seen.leader = info->Cluster->Leader;
  nats.jsStreamInfo_Destroy(info);
  return seen;
}

Result<OverflowState> NatsOverflow::state(Duration wait) {
  const Result<Seen> seen = look_at(setup_.name, wait);
  if (!seen) {
    checked_ = false;
    return std::unexpected(seen.error());
  }
  return seen->state;
}

Result<bool> NatsOverflow::holds(const std::string& subject, Duration wait) {
  if (const Result<void> there = check_connection(); !there) return std::unexpected(there.error());
  const NatsLibrary& nats = connection_->library();
  jsOptions options = options_with(nats, wait);
  natsMsg* found = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status =
      nats.js_GetLastMsg(&found, connection_->context(), setup_.name.c_str(), subject.c_str(), &options, &code);
  if (status == NATS_NOT_FOUND && code == JSNoMessageFoundErr) return false;
  if (status != NATS_OK) return no_answer(*connection_, setup_.name, status);
  nats.natsMsg_Destroy(found);
  return true;
}

Result<std::optional<std::string>> NatsOverflow::get(uint64_t sequence, Duration wait) {
  if (const Result<void> there = check_connection(); !there) return std::unexpected(there.error());
  const NatsLibrary& nats = connection_->library();
  jsOptions options = options_with(nats, wait);
  natsMsg* found = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status =
      nats.js_GetMsg(&found, connection_->context(), setup_.name.c_str(), sequence, &options, &code);
  if (status == NATS_NOT_FOUND && code == JSNoMessageFoundErr) return std::nullopt;
  if (status != NATS_OK) return no_answer(*connection_, setup_.name, status);
  std::string body(nats.natsMsg_GetData(found), static_cast<size_t>(nats.natsMsg_GetDataLength(found)));
  nats.natsMsg_Destroy(found);
  return body;
}

Result<void> NatsOverflow::remove(uint64_t sequence, Duration wait) {
  if (const Result<void> there = check_connection(); !there) return std::unexpected(there.error());
  const NatsLibrary& nats = connection_->library();
  jsOptions options = options_with(nats, wait);
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status = nats.js_DeleteMsg(connection_->context(), setup_.name.c_str(), sequence, &options, &code);
  // Another was faster: then the server says that the sequence is not found, or that the deletion failed for it.
  if (status == NATS_OK || code == JSNoMessageFoundErr || code == JSSequenceNotFoundErr) return {};
  return no_answer(*connection_, setup_.name, status);
}

Result<bool> NatsOverflow::keep_apart(Duration wait) {
  const Result<Seen> of_stream = look_at(stream_, wait);
  const Result<Seen> own = of_stream ? look_at(setup_.name, wait) : of_stream;
  if (!own) return std::unexpected(own.error());
  if (own->leader.empty() || of_stream->leader.empty()) return false;
  if (own->leader != of_stream->leader) return true;
  log_info("jetstream", "{} leads the streams {} and {}: it is asked to leave the second to another", own->leader,
           stream_, setup_.name);
  const std::string subject = fmt::format("$JS.API.STREAM.LEADER.STEPDOWN.{}", setup_.name);
  natsMsg* answer = nullptr;
  const NatsLibrary& nats = connection_->library();
  const natsStatus status =
      nats.natsConnection_RequestString(&answer, connection_->connection(), subject.c_str(), "", milliseconds(wait));
  if (status != NATS_OK) return no_answer(*connection_, setup_.name, status);
  nats.natsMsg_Destroy(answer);
  return false;
}

}  // namespace verge::jetstream
