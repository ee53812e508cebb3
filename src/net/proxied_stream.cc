#include "net/proxied_stream.h"

#include <utility>

#include "base/log.h"
#include "net/proxy_header.h"

namespace verge::net {

ProxiedStream::ProxiedStream(runtime::Loop& loop, Socket socket, StreamObserver& observer)
    : observer_(&observer), inner_(loop, std::move(socket), *this), peer_(inner_.peer()) {}

ProxiedStream::ProxiedStream(runtime::Loop& loop, Socket socket, StreamObserver& observer, const Address& client)
    : observer_(&observer), inner_(loop, std::move(socket), *this), peer_(client), has_header_(true) {}

void ProxiedStream::on_bytes(std::string_view bytes) {
  if (has_header_) return observer_->on_bytes(bytes);
  const size_t before = begun_.size();
  begun_.append(bytes);
  const ProxyHeader header = ProxyHeader::parse(begun_);
  if (header.progress == ProxyHeader::Progress::kNeedMore) return;
  if (header.progress == ProxyHeader::Progress::kRefused) {
    log_debug("net", "{} is a trusted proxy, and its connection does not begin with a PROXY header", peer_.text());
    inner_.close();
    return observer_->on_closed("no PROXY header");
  }
  has_header_ = true;
  std::string().swap(begun_);
  if (header.client) peer_ = *header.client;
  // What was kept before did not make a whole header: it ends within these bytes.
  if (bytes = bytes.substr(header.bytes - before); !bytes.empty()) observer_->on_bytes(bytes);
}

}  // namespace verge::net
