// Outbox: the frames that an isolate process has yet to send, and the memory of bodies that goes between them uncopied.
// Written out at once, as a turn ends or when much has gathered.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "workers/realm.h"

namespace verge::workers {

class Outbox {
 public:
  // Smaller pieces are copied: a reference costs more than they do.
  static constexpr size_t kShareBytesMin = 4096;
  // Above it waiting for the end of the turn gains nothing.
  static constexpr size_t kMuch = 256U << 10;

  // `socket` blocks.
  explicit Outbox(int socket) : socket_(socket) {}

  // Append only, and keep no reference.
  [[nodiscard]] std::string& text() { return text_; }
  // `bytes` are within `chunk`, which is held until they are sent.
  void share(const Chunk& chunk, std::string_view bytes);
  [[nodiscard]] bool has_much() const { return text_.size() + shared_bytes_ > kMuch; }
  [[nodiscard]] bool empty() const { return text_.empty() && shared_.empty(); }
  // False: nobody takes it any more.
  [[nodiscard]] bool send();

 private:
  struct Shared {
    size_t place;  // in text_, before which it stands
    std::string_view bytes;
    std::shared_ptr<const void> keeper;
  };
  const int socket_;
  std::string text_;
  std::vector<Shared> shared_;
  size_t shared_bytes_ = 0;
};

}  // namespace verge::workers
