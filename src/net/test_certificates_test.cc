#include "net/test_certificates.h"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "base/assert.h"

namespace verge::net {
namespace {

EVP_PKEY* make_key() { return EVP_EC_gen("P-256"); }

std::string text_of(BIO* bio) {
  char* start = nullptr;
  const long size = BIO_get_mem_data(bio, &start);
  std::string text(start, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

std::string pem_of(X509* certificate) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  return text_of(bio);
}

std::string pem_of(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(bio);
}

void extend(X509* certificate, X509* issuer, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str());
  VERGE_ASSERT(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

X509* make_certificate(const std::string& name, EVP_PKEY* key, long serial, int64_t ends_in_s) {
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -86'400);
  X509_gmtime_adj(X509_getm_notAfter(certificate), ends_in_s);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate;
}

}  // namespace

struct TestCertificates::Authority {
  ~Authority() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  X509* certificate = nullptr;
  EVP_PKEY* key = nullptr;
};

std::unique_ptr<TestCertificates::Authority> TestCertificates::make_authority(const char* name) {
  auto made = std::make_unique<Authority>();
  made->key = make_key();
  made->certificate = make_certificate(name, made->key, 1, 86'400);
  X509_set_issuer_name(made->certificate, X509_get_subject_name(made->certificate));
  extend(made->certificate, made->certificate, NID_basic_constraints, "critical,CA:TRUE");
  extend(made->certificate, made->certificate, NID_subject_key_identifier, "hash");
  X509_sign(made->certificate, made->key, EVP_sha256());
  return made;
}

TestCertificates::TestCertificates() {
  std::string pattern = (std::filesystem::temp_directory_path() / "verge-tls-XXXXXX").string();
  VERGE_ASSERT(::mkdtemp(pattern.data()) != nullptr);
  directory_ = pattern;
  authority_ = make_authority("authority");
  stranger_ = make_authority("stranger");
  ca_ = write("ca.pem", pem_of(authority_->certificate));
}

TestCertificates::~TestCertificates() { std::filesystem::remove_all(directory_); }

std::string TestCertificates::write(const std::string& name, const std::string& text) const {
  const std::string path = directory_ + "/" + name;
  std::ofstream(path) << text;
  return path;
}

TlsIdentity TestCertificates::issue(const Wanted& wanted) {
  const Authority& issuer = wanted.by_stranger ? *stranger_ : *authority_;
  const int number = ++issued_;
  EVP_PKEY* key = make_key();
  X509* certificate = make_certificate(fmt::format("subject {}", number), key, 100 + number, wanted.ends_in_s);
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate));
  extend(certificate, issuer.certificate, NID_subject_alt_name, wanted.names);
  X509_sign(certificate, issuer.key, EVP_sha256());
  TlsIdentity identity{.certificate = write(fmt::format("{}.pem", number), pem_of(certificate)),
                       .key = write(fmt::format("{}.key", number), pem_of(key))};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return identity;
}

}  // namespace verge::net
