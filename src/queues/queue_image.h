// QueueImage: what is in the queues of a node, as the records of their journal make it (docs/formats/queues.md). No
// I/O.
//
// A message is in one queue until it is settled: acknowledged, or moved to the queue of its dead letters, or dropped
// where there is none. Until then it is due at some time, and has been delivered so often.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace verge::queues {

enum class ContentKind : uint8_t { kJson, kText, kBytes };

struct Message {
  uint64_t id = 0;      // of this node, never used again
  int64_t sent_ms = 0;  // since 1970
  int64_t due_ms = 0;
  uint32_t attempts = 0;  // deliveries that failed
  ContentKind kind = ContentKind::kJson;
  // Shared by the image and those who are delivering it.
  std::shared_ptr<const std::string> body;
};

// Records of a journal; they are applied in order.
void append_sent(std::string& records, std::string_view queue, const Message& message);
// It comes again at `due_ms`, after so many failed deliveries.
void append_delayed(std::string& records, std::string_view queue, uint64_t id, int64_t due_ms, uint32_t attempts);
void append_settled(std::string& records, std::string_view queue, uint64_t id);

class QueueImage {
 public:
  // What a message counts beside its body.
  static constexpr uint64_t kMessageBytes = 128;

  struct Queue {
    std::map<uint64_t, Message> messages;
    std::set<std::pair<int64_t, uint64_t>> due;  // those that are not being delivered: when, id
    uint64_t bytes = 0;
  };

  // False: the records cannot be read; those before the one that cannot are applied.
  bool apply(std::string_view records);
  // All messages as records, in batches of about so many bytes, until `take` gives false.
  void snapshot(size_t batch_bytes, const std::function<bool(std::string_view)>& take) const;

  [[nodiscard]] const Queue* find(std::string_view queue) const;
  [[nodiscard]] const std::map<std::string, Queue, std::less<>>& queues() const { return queues_; }
  [[nodiscard]] uint64_t last_id() const { return last_id_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }

  // Takes the first that is due out of those that are; it is there still. Nothing: none is.
  const Message* begin_delivery(std::string_view queue, int64_t now_ms);
  // Its delivery came to nothing, and nothing was recorded of it: it is due again.
  void end_delivery(std::string_view queue, uint64_t id);

 private:
  std::map<std::string, Queue, std::less<>> queues_;
  uint64_t last_id_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace verge::queues
