// What a server knows of its connections, whichever HTTP they speak. Only HttpServer and its connections include this.
#pragma once

#include <cstddef>
#include <string_view>

namespace verge::net {

class HttpServerConnection {
 public:
  // `at`: where the server keeps it.
  explicit HttpServerConnection(size_t at) : index(at) {}
  virtual ~HttpServerConnection() = default;
  HttpServerConnection(const HttpServerConnection&) = delete;
  HttpServerConnection& operator=(const HttpServerConnection&) = delete;

  // Serves no request, says so, and closes after a while.
  virtual void refuse(int status, std::string_view reason) = 0;
  // The server drains: closes where no request is under way, hurries one that is not whole yet.
  virtual void close_soon() = 0;
  virtual void end() = 0;

  size_t index;
};

}  // namespace verge::net
