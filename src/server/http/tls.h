/* tls.h: the server's certificate, its key, and whose clients it trusts. */
#ifndef MOED_SERVER_TLS_H
#define MOED_SERVER_TLS_H

#include "src/server/server.h"
#include <gnutls/gnutls.h>

/* Credentials as they were read; sessions keep what they began with when they are read again. */
struct tls;

/* Whether --tls-cert is given; MOED_E_USAGE where the three options do not go together. */
int tls_check_options(const struct moed_server_options *options, bool *wanted,
                      struct moed_error *err);
/* Reads --tls-cert, --tls-key and --tls-client-ca. MOED_E_USAGE where a file does not hold what it
 * should, or the key is not the certificate's; MOED_E_IO, MOED_E_NO_MEMORY. */
int tls_read(const struct moed_server_options *options, struct tls **out, struct moed_error *err);
struct tls *tls_hold(struct tls *tls);
/* The last one frees them; NULL is fine. */
void tls_release(struct tls *tls);

/* Makes a session that has just been opened use these credentials, which it must hold until it is
 * closed. 0 or a GnuTLS error, after which the session cannot be used. */
int tls_attach(struct tls *tls, gnutls_session_t session);

#endif
