/* tls.c: GnuTLS's side of a port. libmicrohttpd would take a certificate once, at start, and would
 * ask clients for theirs without looking at it; so every session gets its credentials from here
 * when its connection opens, before the handshake. */
#include "tls.h"

#include "src/base/file.h"

#include <gnutls/x509.h>

#include <stdlib.h>

struct tls {
    gnutls_certificate_credentials_t credentials;
    bool asks_clients; /* for a certificate of --tls-client-ca */
    uint32_t held;
};

int tls_check_options(const struct moed_server_options *options, bool *wanted,
                      struct moed_error *err)
{
    bool cert = options->tls_cert != NULL, key = options->tls_key != NULL;

    *wanted = cert && key;
    if (cert != key)
        return moed_fail(err, MOED_E_USAGE, "found %s alone, expected --tls-cert and --tls-key",
                         cert ? "--tls-cert" : "--tls-key");
    if (options->tls_client_ca != NULL && !cert)
        return moed_fail(err, MOED_E_USAGE, "--tls-client-ca: expected --tls-cert beside it");
    return 0;
}

enum { FILE_MAX = 1 << 20 };

static gnutls_datum_t datum(const struct moed_text *text)
{
    return (gnutls_datum_t){(unsigned char *)text->text, (unsigned)text->size};
}

static int add_certificate(struct tls *tls, const struct moed_server_options *options,
                           struct moed_error *err)
{
    static const struct moed_file_rule cert_rule = {"--tls-cert", FILE_MAX, .secret = false};
    static const struct moed_file_rule key_rule = {"--tls-key", FILE_MAX, .secret = true};
    struct moed_text cert, key = {0};
    int rc = moed_file_read(&cert_rule, options->tls_cert, &cert, err);

    if (rc == 0)
        rc = moed_file_read(&key_rule, options->tls_key, &key, err);
    if (rc == 0) {
        const gnutls_datum_t chain = datum(&cert), text = datum(&key);

        rc = gnutls_certificate_set_x509_key_mem(tls->credentials, &chain, &text,
                                                 GNUTLS_X509_FMT_PEM);
        if (rc < 0)
            rc = moed_fail(err, MOED_E_USAGE, "--tls-cert %s with --tls-key %s: %s",
                           options->tls_cert, options->tls_key, gnutls_strerror(rc));
    }
    moed_text_wipe(&key);
    moed_text_wipe(&cert);
    return rc < 0 ? rc : 0;
}

static int add_client_ca(struct tls *tls, const char *path, struct moed_error *err)
{
    static const struct moed_file_rule rule = {"--tls-client-ca", FILE_MAX, .secret = false};
    struct moed_text file;
    gnutls_datum_t ca;
    int n, rc = moed_file_read(&rule, path, &file, err);

    if (rc != 0)
        return rc;
    ca = datum(&file);
    n = gnutls_certificate_set_x509_trust_mem(tls->credentials, &ca, GNUTLS_X509_FMT_PEM);
    moed_text_wipe(&file);
    if (n <= 0)
        return moed_fail(err, MOED_E_USAGE, "%s %s: %s", rule.flag, path,
                         n < 0 ? gnutls_strerror(n) : "found no certificate");
    tls->asks_clients = true;
    return 0;
}

int tls_read(const struct moed_server_options *options, struct tls **out, struct moed_error *err)
{
    struct tls *tls = moed_calloc(1, sizeof *tls);
    int rc;

    if (tls == NULL || gnutls_certificate_allocate_credentials(&tls->credentials) != 0) {
        free(tls);
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for TLS credentials");
    }
    tls->held = 1;
    rc = add_certificate(tls, options, err);
    if (rc == 0 && options->tls_client_ca != NULL)
        rc = add_client_ca(tls, options->tls_client_ca, err);
    if (rc != 0) {
        tls_release(tls);
        return rc;
    }
    *out = tls;
    return 0;
}

struct tls *tls_hold(struct tls *tls)
{
    tls->held++;
    return tls;
}

void tls_release(struct tls *tls)
{
    if (tls == NULL || --tls->held > 0)
        return;
    gnutls_certificate_free_credentials(tls->credentials);
    free(tls);
}

int tls_attach(struct tls *tls, gnutls_session_t session)
{
    static char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT; /* GnuTLS only reads it, until the end */
    static gnutls_typed_vdata_st expected = {GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)purpose,
                                             0};

    if (tls->asks_clients) {
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_cert2(session, &expected, 1, 0);
    }
    return gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->credentials);
}
