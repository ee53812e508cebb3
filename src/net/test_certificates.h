// Certificates for tests: an authority, a stranger, and what they issue, as files of a directory that goes away.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "net/tls_context.h"

struct evp_pkey_st;
struct x509_st;

namespace verge::net {

class TestCertificates {
 public:
  TestCertificates();
  ~TestCertificates();

  struct Wanted {
    std::string names = "DNS:localhost,IP:127.0.0.1";
    int64_t ends_in_s = 3600;
    bool by_stranger = false;
  };
  [[nodiscard]] TlsIdentity issue(const Wanted& wanted);
  [[nodiscard]] TlsIdentity issue() { return issue(Wanted{}); }
  [[nodiscard]] const std::string& ca() const { return ca_; }
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const;

 private:
  struct Authority;
  static std::unique_ptr<Authority> make_authority(const char* name);

  std::string directory_;
  std::string ca_;
  std::unique_ptr<Authority> authority_;
  std::unique_ptr<Authority> stranger_;
  int issued_ = 0;
};

}  // namespace verge::net
