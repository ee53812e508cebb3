// What a reason code says, for people (MQTT 5.0 section 2.4).
#pragma once

#include <string_view>

#include "mqtt/packet.h"

namespace verge::mqtt {

// "not authorized"; "unspecified" for codes that the standard does not have.
std::string_view words_of(Reason reason);

}  // namespace verge::mqtt
