// Twins: of each device two JSON objects that are kept for it, what is desired of it and what it reports, and what of
// the one is not the other yet (delta). This is what they say; who keeps them and tells whom is broker.h.
//
// A request changes one or both by a merge patch (RFC 7396): members that are null go, objects are merged, all else is
// replaced. It may name the version that it is about: where that is not the version that there is, nothing changes.
//
// Topics, DEVICE being one level:
//   $verge/twin/DEVICE/set       request {"desired":…,"reported":…,"version":N,"token":…}, at least one of the first
//   two $verge/twin/DEVICE/get       request; the payload may be {"token":…} $verge/twin/DEVICE/delete    request; the
//   payload may be {"version":N,"token":…} …/set/accepted, …/set/rejected, and so on: the answers
//   $verge/twin/DEVICE/document  retained: {"device":…,"version":N,"updated":MILLISECONDS,"desired":{…},"reported":{…}}
//   $verge/twin/DEVICE/delta     retained: {"version":N,"delta":{…}}; none where nothing differs
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace verge::mqtt {

inline constexpr std::string_view kTwinTopics = "$verge/twin/";

enum class TwinOperation { kSet, kGet, kDelete };
struct TwinRequest {
  TwinOperation operation = TwinOperation::kGet;
  std::string device;
};

// What a topic asks for; nothing where it is none of those above.
std::optional<TwinRequest> twin_request_of(std::string_view topic);
// Whether a device can have a twin: 1 to 256 bytes, one level of a topic without wildcards.
bool is_twin_device(std::string_view device);
std::string twin_topic(std::string_view device, std::string_view what);
// "$verge/twin/DEVICE" where the topic is of a twin, otherwise the whole.
std::string_view twin_of_topic(std::string_view topic);
inline bool is_twin_document(std::string_view topic) {
  return topic.starts_with(kTwinTopics) && topic.ends_with("/document");
}

struct TwinChange {
  std::string document;
  std::string delta;  // empty: nothing differs
  bool is_delta_new = false;
};

// `document`: as it is kept; empty: there is none yet. Errors: twin.request, twin.version, twin.too-large.
Result<TwinChange> changed_twin(std::string_view device, std::string_view document, std::string_view request,
                                int64_t wall_ms, size_t bytes_max);
// Whether there is a twin, of the version that the request names, if it does. Errors: twin.unknown, twin.request,
// twin.version.
Result<void> check_twin(std::string_view device, std::string_view document, std::string_view request);

// The answer to a request: the document, or the error, with the request's token, if it has one. `document` may be
// empty: {"device":…}.
std::string twin_accepted(std::string_view device, std::string_view document, std::string_view request);
std::string twin_rejected(const Error& error, std::string_view request);
// What HTTP says for an error.
int twin_status(std::string_view code);

}  // namespace verge::mqtt
