// ProxiedStream: a connection that a trusted proxy passes on: it begins with a PROXY header, and its peer is whom that
// names. From then on it is the stream beneath.
//
// What does not begin so is closed without a word: nobody knows what to answer in.
#pragma once

#include <memory>
#include <string>

#include "net/stream.h"

namespace verge::net {

class ProxiedStream final : public Stream, private StreamObserver {
 public:
  // `loop` and `observer` outlive the stream.
  ProxiedStream(runtime::Loop& loop, Socket socket, StreamObserver& observer);
  // The header was read already, and names `client`.
  ProxiedStream(runtime::Loop& loop, Socket socket, StreamObserver& observer, const Address& client);

  std::string& output() override { return inner_.output(); }
  using Stream::write;
  void write(const Payload& bytes, size_t offset, size_t size) override { inner_.write(bytes, offset, size); }
  void observe(StreamObserver& observer) override { observer_ = &observer; }
  [[nodiscard]] size_t queued_bytes() const override { return inner_.queued_bytes(); }
  void close() override { inner_.close(); }
  void cut() override { inner_.cut(); }
  void close_when_drained() override { inner_.close_when_drained(); }
  void pause_reading() override { inner_.pause_reading(); }
  void resume_reading() override { inner_.resume_reading(); }
  [[nodiscard]] bool is_open() const override { return inner_.is_open(); }
  [[nodiscard]] const Address& peer() const override { return peer_; }
  [[nodiscard]] bool is_secure() const override { return inner_.is_secure(); }
  [[nodiscard]] bool peer_is_verified() const override { return inner_.peer_is_verified(); }

 private:
  void on_bytes(std::string_view bytes) override;
  void on_closed(std::string_view reason) override { observer_->on_closed(reason); }
  void on_drained() override { observer_->on_drained(); }

  StreamObserver* observer_;
  TcpStream inner_;
  Address peer_;
  std::string begun_;  // of the header
  bool has_header_ = false;
};

}  // namespace verge::net
