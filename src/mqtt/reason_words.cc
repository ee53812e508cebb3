#include "mqtt/reason_words.h"

namespace verge::mqtt {

std::string_view words_of(Reason reason) {
  switch (reason) {
    case Reason::kSuccess:
    case Reason::kGrantedQos1:
      return "success";
    case Reason::kDisconnectWithWill:
      return "disconnected with the will";
    case Reason::kNoMatchingSubscribers:
      return "nobody subscribes";
    case Reason::kNoSubscriptionExisted:
      return "there was no subscription";
    case Reason::kContinueAuthentication:
      return "the authentication goes on";
    case Reason::kReauthenticate:
      return "authenticate again";
    case Reason::kMalformedPacket:
      return "malformed packet";
    case Reason::kProtocolError:
      return "protocol error";
    case Reason::kImplementationSpecific:
      return "refused for a reason of its own";
    case Reason::kUnsupportedProtocolVersion:
      return "unsupported protocol version";
    case Reason::kClientIdentifierNotValid:
      return "client identifier not valid";
    case Reason::kBadUserNameOrPassword:
      return "bad user name or password";
    case Reason::kNotAuthorized:
      return "not authorized";
    case Reason::kServerUnavailable:
      return "server unavailable";
    case Reason::kServerBusy:
      return "server busy";
    case Reason::kServerShuttingDown:
      return "server shutting down";
    case Reason::kBadAuthenticationMethod:
      return "bad authentication method";
    case Reason::kKeepAliveTimeout:
      return "keep-alive timeout";
    case Reason::kSessionTakenOver:
      return "session taken over";
    case Reason::kTopicFilterInvalid:
      return "topic filter invalid";
    case Reason::kTopicNameInvalid:
      return "topic name invalid";
    case Reason::kPacketIdentifierInUse:
      return "packet identifier in use";
    case Reason::kPacketIdentifierNotFound:
      return "packet identifier not found";
    case Reason::kReceiveMaximumExceeded:
      return "receive maximum exceeded";
    case Reason::kTopicAliasInvalid:
      return "topic alias invalid";
    case Reason::kPacketTooLarge:
      return "packet too large";
    case Reason::kMessageRateTooHigh:
      return "message rate too high";
    case Reason::kQuotaExceeded:
      return "quota exceeded";
    case Reason::kAdministrativeAction:
      return "administrative action";
    case Reason::kPayloadFormatInvalid:
      return "payload format invalid";
    case Reason::kSharedSubscriptionsNotSupported:
      return "shared subscriptions not supported";
    case Reason::kUnspecified:
      break;
  }
  return "unspecified";
}

}  // namespace verge::mqtt
