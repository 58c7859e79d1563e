// Reads a certificate and a key as OpenSSL will when the server starts.
#include "lws-plugin/host/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
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
using Settings = Handle<SSL_CTX, SSL_CTX_free>;

int no_passphrase(char*, int, int, void*) { return -1; }

std::string date_of(const ASN1_TIME* time) {
  tm parts{};
  char text[32] = "";
  if (ASN1_TIME_to_tm(time, &parts) == 1) (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

bool holds_private_key(const std::string& path) {
  const File file(fopen(path.c_str(), "re"));
  const PrivateKey key(file ? PEM_read_PrivateKey(file.get(), nullptr, no_passphrase, nullptr) : nullptr);
  ERR_clear_error();
  return static_cast<bool>(key);
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
  if (!certificate && holds_private_key(cert))
    return TlsFault{"host-ssl-cert", "holds a private key: this file belongs into host-ssl-key, and the certificate here: " + cert,
                    Severity::fatal, true};
  if (!certificate) return TlsFault{"host-ssl-cert", "is no PEM certificate (-----BEGIN CERTIFICATE-----): " + cert};
  if (!private_key)
    return TlsFault{"host-ssl-key", "is no PEM private key that opens without a passphrase (-----BEGIN PRIVATE KEY-----): " + key +
                                        " (openssl pkey -in FILE -out NEW writes one without)"};
  if (X509_check_private_key(certificate.get(), private_key.get()) != 1) {
    ERR_clear_error();
    return TlsFault{"host-ssl-key", "is not the key of the certificate in host-ssl-cert: the two must be made together"};
  }
  time_t at = unix_s;
  if (X509_cmp_time(X509_get0_notAfter(certificate.get()), &at) < 0)
    return TlsFault{"host-ssl-cert", "has expired at " + date_of(X509_get0_notAfter(certificate.get())) + ": renew it", Severity::warning};
  if (X509_cmp_time(X509_get0_notBefore(certificate.get()), &at) > 0)
    return TlsFault{"host-ssl-cert",
                    "is valid only from " + date_of(X509_get0_notBefore(certificate.get())) + " on: is this machine's clock right?",
                    Severity::warning};
  return std::nullopt;
}

std::vector<TlsFault> look_at_tls_settings(const std::string& ca, const std::string& ciphers, const std::string& tls13_ciphers) {
  std::vector<TlsFault> faults;
  const Settings settings(SSL_CTX_new(TLS_server_method()));
  if (!settings) return faults;
  if (!ca.empty() && SSL_CTX_load_verify_locations(settings.get(), ca.c_str(), nullptr) != 1)
    faults.push_back({"host-ssl-ca", "cannot be read as PEM certificates: " + ca});
  if (!ciphers.empty() && SSL_CTX_set_cipher_list(settings.get(), ciphers.c_str()) != 1)
    faults.push_back({"ciphers", "holds no cipher that OpenSSL knows: " + ciphers + " (openssl ciphers -s -tls1_2 lists them)"});
  if (!tls13_ciphers.empty() && SSL_CTX_set_ciphersuites(settings.get(), tls13_ciphers.c_str()) != 1)
    faults.push_back(
        {"tls13-ciphers", "holds what is no cipher of TLS 1.3: " + tls13_ciphers + " (openssl ciphers -s -tls1_3 lists them)"});
  ERR_clear_error();
  return faults;
}

}  // namespace jobcast::host
