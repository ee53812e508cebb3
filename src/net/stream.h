// Stream: a byte connection that lives on one loop. TcpStream is TCP, plain or with TLS, WebSocket or both, as the
// socket that it is given; others look the same to whoever speaks through them.
//
// Output is gathered during a turn of the loop and written with one send(2) at its end, or one sendmsg(2) where shared
// payloads stand in it, which are kept by reference. An idle connection holds no buffer: input is read into the loop's
// scratch memory and handed over, and the observer keeps what it cannot use yet.
//
// TLS and WebSocket are branches here and not classes beside TcpStream, so that plain connections pay one comparison a
// read or write and no virtual call, and a connection can move between loops as before. Input is decrypted where it was
// received; output is encrypted in pieces of 64 KiB, as the kernel takes them, so that no more than one is ever held
// twice. The handshake is done before (see TlsHandshake). Both ends say that they end (close_notify, RFC 8446
// section 6.1): what ends without was cut.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/payload.h"
#include "net/address.h"
#include "net/output_queue.h"
#include "net/socket.h"
#include "runtime/loop.h"

namespace verge::net {

class StreamObserver {
 public:
  virtual ~StreamObserver() = default;
  // `bytes` is good until return. The observer may close or release the stream, not destroy it.
  virtual void on_bytes(std::string_view bytes) = 0;
  // The peer closed or the connection broke; `reason` for people. Called at most once, never after close(). The
  // observer may destroy the stream.
  virtual void on_closed(std::string_view reason) = 0;
  // Output that had piled up above the kernel's buffer is gone.
  virtual void on_drained() {}
};

class Stream {
 public:
  virtual ~Stream() = default;
  // The buffer of this turn's output: append to it, keep no reference. What is appended to a closed stream is lost.
  virtual std::string& output() = 0;
  void write(std::string_view bytes) { output().append(bytes); }
  // Writes `size` bytes of `bytes` from `offset` on, which are within it, behind all that was written before. Large
  // pieces are not copied: the payload is held until the kernel has them.
  virtual void write(const Payload& bytes, size_t offset, size_t size) {
    output().append(bytes.view().substr(offset, size));
  }
  // From now on `observer`, which outlives the stream, is told. May be called from within a callback.
  virtual void observe(StreamObserver& observer) = 0;
  // Bytes written but not yet taken by the kernel.
  [[nodiscard]] virtual size_t queued_bytes() const = 0;
  // Writes out what it can without waiting and closes. No callback follows.
  virtual void close() = 0;
  // Closes so that the peer can tell it from an end: TCP is reset, TLS ends without saying so. What is not sent yet is
  // lost. No callback follows.
  virtual void cut() { close(); }
  // As close(), but first waits until all output is written or the peer is gone; input is discarded.
  virtual void close_when_drained() = 0;
  virtual void pause_reading() = 0;
  virtual void resume_reading() = 0;
  [[nodiscard]] virtual bool is_open() const = 0;
  [[nodiscard]] virtual const Address& peer() const = 0;
  // It speaks TLS.
  [[nodiscard]] virtual bool is_secure() const { return false; }
  // The peer showed a certificate and it was verified.
  [[nodiscard]] virtual bool peer_is_verified() const { return false; }
};

class TcpStream final : public Stream, private runtime::Watcher, private runtime::TurnEnd {
 public:
  // A connected socket, its TLS handshake, if any, done; reading starts at once. `loop` and `observer` outlive the
  // stream.
  TcpStream(runtime::Loop& loop, Socket socket, StreamObserver& observer);
  ~TcpStream() override;

  std::string& output() override;
  void observe(StreamObserver& observer) override { observer_ = &observer; }
  using Stream::write;
  void write(const Payload& bytes, size_t offset, size_t size) override;
  [[nodiscard]] size_t queued_bytes() const override {
    return output_.size() + (socket_.tls() == nullptr ? 0 : socket_.tls()->output().size()) +
           (socket_.websocket() == nullptr ? 0 : socket_.websocket()->output().size());
  }
  void close() override;
  void cut() override;
  void close_when_drained() override;
  // As close_when_drained(), and then says only that this is the end, and reads and discards until the peer has ended
  // too: what a peer goes on sending would otherwise make its kernel throw away what it was told last (RFC 9112 section
  // 9.6 describes the same). It has no end of its own: who calls it closes when it takes too long (is_lingering()).
  void close_when_heard();
  void pause_reading() override;
  void resume_reading() override;
  [[nodiscard]] bool is_open() const override { return static_cast<bool>(socket_) && !draining_; }
  [[nodiscard]] const Address& peer() const override { return peer_; }
  [[nodiscard]] bool is_secure() const override { return socket_.tls() != nullptr; }
  [[nodiscard]] bool peer_is_verified() const override {
    return socket_.tls() != nullptr && socket_.tls()->peer_is_verified();
  }
  // The connection broke, or spoke TLS and ended without close_notify: the end of what the peer sent may be missing.
  [[nodiscard]] bool was_cut() const { return was_cut_; }

  // Closing, but not yet all written.
  [[nodiscard]] bool is_draining() const { return static_cast<bool>(socket_) && draining_; }

  // All is written, and the end of what the peer sends is awaited.
  [[nodiscard]] bool is_lingering() const { return static_cast<bool>(socket_) && ended_; }

  // Takes the socket off this loop so that another can own it. Output must be empty; the stream is closed afterwards.
  Socket release();
  // Total bytes that went into the kernel.
  [[nodiscard]] uint64_t sent_bytes() const { return sent_bytes_; }

 private:
  void on_ready(uint32_t events) override;
  void on_turn_end() override;
  void read();
  void discard();
  // Hands over what the `bytes` bytes decrypt to that stand in the loop's read buffer. False as for flush().
  bool decrypt(size_t bytes);
  // The peer ended TLS, in whichever way; told when reading is not paused.
  bool take_tls_end();
  // What the peer sent, TLS taken off, to the observer, WebSocket taken off too. It may be changed. False as for
  // flush().
  bool hand_over(char* bytes, size_t size);
  // As take_tls_end(), of WebSocket.
  bool take_websocket_end();
  // Wraps what a WebSocket is to send; `last`: with its end.
  void wrap_output(bool last);
  // False when the connection broke and the observer was told: it may have destroyed this stream.
  bool flush();
  bool keep_reading_after(int problem);
  enum class Sent { kAll, kBlocked, kBroken };
  Sent send_plain();
  Sent send_encrypted();
  // The queue, where something was written to it: seen to at the end of the turn.
  OutputQueue& queue();
  void say_goodbye();
  void update_interest();
  void broken(std::string_view reason);

  runtime::Loop& loop_;
  Socket socket_;
  StreamObserver* observer_;
  Address peer_;
  OutputQueue output_;
  uint64_t sent_bytes_ = 0;
  uint32_t interest_ = 0;
  bool reading_ = true;
  bool blocked_ = false;   // the kernel's buffer is full
  bool draining_ = false;  // close_when_drained() was called
  bool lingers_ = false;   // close_when_heard() was called
  bool ended_ = false;     // nothing will be sent any more, and the peer was told so
  bool was_cut_ = false;
  int send_problem_ = 0;  // the errno: the peer takes nothing any more; what it sent before is still read
};

}  // namespace verge::net
