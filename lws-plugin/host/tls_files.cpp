// Reads a certificate and a key as OpenSSL will when the server starts.
#include "lws-plugin/host/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "base/handle.h"

namespace jobcast::host {
namespace {

void close_file(FILE* file) { (void)fclose(file); }
using File = Handle<FILE, close_file>;
using Certificate = Handle<X509, X509_free>;
using PrivateKey = Handle<EVP_PKEY, EVP_PKEY_free>;

int no_passphrase(char*, int, int, void*) { return -1; }

std::string date_of(const ASN1_TIME* time) {
  tm parts{};
  char text[32] = "";
  if (ASN1_TIME_to_tm(time, &parts) == 1) (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

}  // namespace

std::optional<TlsFault> look_at_tls_files(const std::string& cert, const std::string& key, int64_t unix_s) {
  const File cert_file(fopen(cert.c_str(), "re"));
  if (!cert_file) return TlsFault{"host-ssl-cert", "cannot be read: " + cert + ": " + std::strerror(errno)};
  const File key_file(fopen(key.c_str(), "re"));
  if (!key_file) return TlsFault{"host-ssl-key", "cannot be read: " + key + ": " + std::strerror(errno)};
  const Certificate certificate(PEM_read_X509(cert_file.get(), nullptr, no_passphrase, nullptr));
  const PrivateKey private_key(PEM_read_PrivateKey(key_file.get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  if (!certificate) return TlsFault{"host-ssl-cert", "is no PEM certificate (-----BEGIN CERTIFICATE-----): " + cert};
  if (!private_key)
    return TlsFault{"host-ssl-key", "is no PEM private key that opens without a passphrase (-----BEGIN PRIVATE KEY-----): " + key};
  if (X509_check_private_key(certificate.get(), private_key.get()) != 1) {
    ERR_clear_error();
    return TlsFault{"host-ssl-key", "is not the key of the certificate in host-ssl-cert: the two must be made together"};
  }
  time_t at = unix_s;
  if (X509_cmp_time(X509_get0_notAfter(certificate.get()), &at) < 0)
    return TlsFault{"host-ssl-cert", "has expired at " + date_of(X509_get0_notAfter(certificate.get())) + ": renew it", Severity::error};
  if (X509_cmp_time(X509_get0_notBefore(certificate.get()), &at) > 0)
    return TlsFault{"host-ssl-cert",
                    "is valid only from " + date_of(X509_get0_notBefore(certificate.get())) + " on: is this machine's clock right?",
                    Severity::error};
  return std::nullopt;
}

}  // namespace jobcast::host
