#include "node/posted_event_line.h"

#include <fmt/format.h>

#include "base/text.h"
#include "node/event_query.h"
#include "node/ingest.h"

namespace verge::node {

Result<std::string> posted_event_line(const EventView& event, Priority priority) {
  const std::string head = fmt::format(R"({{"topic":{},"device":{},"priority":"{}",)", json_string(event.topic),
                                       json_string(event.device), name_of(priority));
  std::vector<std::string> forms;
  if (const std::optional<std::string> json = payload_json(event.payload)) {
    forms.push_back(R"("payload":)" + *json);
    forms.push_back(R"("payload":)" + json_string(event.payload));
  }
  forms.push_back(fmt::format(R"("payload_base64":"{}")", base64(event.payload)));
  // Whoever takes the line decides what it means.
  Error problem;
  for (const std::string& form : forms) {
    std::string line = head + form + "}";
    const Result<std::vector<PostedEvent>> posted = parse_posted_events(Payload(line), {});
    if (!posted) {
      problem = posted.error();
      continue;
    }
    const PostedEvent& made = posted->front();
    const bool is_same = made.topic == event.topic && made.device == event.device && made.priority == priority &&
                         made.payload.view() == event.payload;
    if (is_same) return line;
    problem = {"ingest.shape", "its device or topic is not UTF-8", {}};
  }
  return std::unexpected(std::move(problem));
}

}  // namespace verge::node
