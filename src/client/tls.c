/* tls.c: the client's side of TLS, by GnuTLS. */
#include "stream.h"

#include "src/base/file.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trust {
    struct moed_trust door;
    gnutls_certificate_credentials_t credentials;
    bool insecure;
};

struct session {
    struct moed_secure door;
    gnutls_session_t gnutls;
    bool shaken;
    char fault[256];
};

static void say_why(struct session *s, int code)
{
    const unsigned status = gnutls_session_get_verify_cert_status(s->gnutls);
    gnutls_datum_t text = {0};

    if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR &&
        gnutls_certificate_verification_status_print(status, gnutls_certificate_type_get(s->gnutls),
                                                     &text, 0) == 0)
        snprintf(s->fault, sizeof s->fault, "%s", (const char *)text.data);
    else if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
        snprintf(s->fault, sizeof s->fault, "the server says: %s",
                 gnutls_alert_get_name(gnutls_alert_get(s->gnutls)));
    else
        snprintf(s->fault, sizeof s->fault, "%s", gnutls_strerror(code));
    gnutls_free(text.data);
}

/* A result of GnuTLS as one of a system call. */
static ssize_t as_call(struct session *s, ssize_t result)
{
    if (result >= 0)
        return result;
    if (result == GNUTLS_E_AGAIN || result == GNUTLS_E_INTERRUPTED) {
        errno = EAGAIN;
        return -1;
    }
    say_why(s, (int)result);
    errno = EPROTO;
    return -1;
}

static int shake(struct moed_secure *secure)
{
    struct session *s = (struct session *)secure;

    if (!s->shaken)
        s->shaken = as_call(s, gnutls_handshake(s->gnutls)) == 0;
    return s->shaken ? 0 : -1;
}

static ssize_t send_some(struct moed_secure *secure, const void *data, size_t size)
{
    struct session *s = (struct session *)secure;

    return shake(secure) == 0 ? as_call(s, gnutls_record_send(s->gnutls, data, size)) : -1;
}

/* A server that closes its socket without a farewell has ended its stream all the same: whether the
 * answer is whole its framing tells. */
static ssize_t receive(struct moed_secure *secure, void *data, size_t size)
{
    struct session *s = (struct session *)secure;
    ssize_t n;

    if (shake(secure) != 0)
        return -1;
    /* "Again" is said of a session ticket too, when there may be more in the socket. */
    do {
        errno = 0;
        n = gnutls_record_recv(s->gnutls, data, size);
    } while (n == GNUTLS_E_AGAIN && errno != EAGAIN);
    return n == GNUTLS_E_PREMATURE_TERMINATION ? 0 : as_call(s, n);
}

static bool writes(const struct moed_secure *secure)
{
    return gnutls_record_get_direction(((const struct session *)secure)->gnutls) == 1;
}

static const char *fault(const struct moed_secure *secure)
{
    return ((const struct session *)secure)->fault;
}

static void close_session(struct moed_secure *secure)
{
    struct session *s = (struct session *)secure;

    if (s->shaken)
        gnutls_bye(s->gnutls, GNUTLS_SHUT_WR);
    gnutls_deinit(s->gnutls);
    free(s);
}

static const struct secure_ops ops = {send_some, receive, shake, writes, fault, close_session};

static bool is_number(const char *host)
{
    return strchr(host, ':') != NULL || host[strspn(host, "0123456789.")] == '\0';
}

static int set_up(const struct trust *trust, struct session *s, int fd, const char *host)
{
    int rc = gnutls_set_default_priority(s->gnutls);

    if (rc == 0)
        rc = gnutls_credentials_set(s->gnutls, GNUTLS_CRD_CERTIFICATE, trust->credentials);
    if (rc == 0 && !is_number(host)) /* only names go into the greeting */
        rc = gnutls_server_name_set(s->gnutls, GNUTLS_NAME_DNS, host, strlen(host));
    if (!trust->insecure)
        gnutls_session_set_verify_cert(s->gnutls, host, 0);
    gnutls_transport_set_int(s->gnutls, fd);
    gnutls_handshake_set_timeout(s->gnutls, GNUTLS_INDEFINITE_TIMEOUT); /* streams have their own */
    return rc;
}

static struct moed_secure *open_session(const struct moed_trust *door, int fd, const char *host)
{
    struct session *s = moed_calloc(1, sizeof *s);

    if (s == NULL ||
        gnutls_init(&s->gnutls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
        free(s);
        return NULL;
    }
    s->door.ops = &ops;
    if (set_up((const struct trust *)door, s, fd, host) < 0) {
        close_session(&s->door);
        return NULL;
    }
    return &s->door;
}

/* ---- trust ---- */
enum { FILE_MAX = 16 << 20 }; /* the authorities of a whole system are a fiftieth of it */

static gnutls_datum_t datum(const struct moed_text *text)
{
    return (gnutls_datum_t){(unsigned char *)text->text, (unsigned)text->size};
}

static int read_authorities(struct trust *trust, const char *ca, struct moed_error *err)
{
    static const struct moed_file_rule rule = {"--ca", FILE_MAX, .secret = false};
    struct moed_text file;
    gnutls_datum_t text;
    int n, rc;

    if (ca == NULL) {
        gnutls_certificate_set_x509_system_trust(trust->credentials);
        return 0;
    }
    rc = moed_file_read(&rule, ca, &file, err);
    if (rc != 0)
        return rc;
    text = datum(&file);
    n = gnutls_certificate_set_x509_trust_mem(trust->credentials, &text, GNUTLS_X509_FMT_PEM);
    moed_text_wipe(&file);
    if (n > 0)
        return 0;
    return moed_fail(err, n < 0 ? MOED_E_IO : MOED_E_USAGE, "--ca %s: %s", ca,
                     n < 0 ? gnutls_strerror(n) : "found no certificate");
}

static int read_identity(struct trust *trust, const struct moed_trust_options *options,
                         struct moed_error *err)
{
    static const struct moed_file_rule cert_rule = {"--cert", FILE_MAX, .secret = false};
    static const struct moed_file_rule key_rule = {"--key", FILE_MAX, .secret = false};
    struct moed_text cert, key = {0};
    int rc;

    if (options->cert == NULL && options->key == NULL)
        return 0;
    if (options->cert == NULL || options->key == NULL)
        return moed_fail(err, MOED_E_USAGE, "found %s alone, expected --cert and --key",
                         options->cert != NULL ? "--cert" : "--key");
    rc = moed_file_read(&cert_rule, options->cert, &cert, err);
    if (rc == 0)
        rc = moed_file_read(&key_rule, options->key, &key, err);
    if (rc == 0) {
        const gnutls_datum_t chain = datum(&cert), text = datum(&key);

        rc = gnutls_certificate_set_x509_key_mem(trust->credentials, &chain, &text,
                                                 GNUTLS_X509_FMT_PEM);
        if (rc < 0)
            rc = moed_fail(err, MOED_E_IO, "--cert %s with --key %s: %s", options->cert,
                           options->key, gnutls_strerror(rc));
    }
    moed_text_wipe(&key);
    moed_text_wipe(&cert);
    return rc < 0 ? rc : 0;
}

int moed_trust_create(const struct moed_trust_options *options, struct moed_trust **out,
                      struct moed_error *err)
{
    struct trust *trust = moed_calloc(1, sizeof *trust);
    int rc;

    if (trust == NULL || gnutls_certificate_allocate_credentials(&trust->credentials) < 0) {
        free(trust);
        return moed_fail(err, MOED_E_NO_MEMORY, "no memory for TLS credentials");
    }
    trust->door.open = open_session;
    trust->insecure = options->insecure;
    rc = options->insecure ? 0 : read_authorities(trust, options->ca, err);
    if (rc == 0)
        rc = read_identity(trust, options, err);
    if (rc != 0) {
        moed_trust_destroy(&trust->door);
        return rc;
    }
    *out = &trust->door;
    return 0;
}

void moed_trust_destroy(struct moed_trust *door)
{
    struct trust *trust = (struct trust *)door;

    if (trust == NULL)
        return;
    gnutls_certificate_free_credentials(trust->credentials);
    free(trust);
}
