/* no_tls.c: in place of tls.c in builds without GnuTLS. */
#include "src/client/client.h"

int moed_trust_create(const struct moed_trust_options *options, struct moed_trust **out,
                      struct moed_error *err)
{
    (void)options;
    (void)out;
    return moed_fail(err, MOED_E_UNSUPPORTED, "https: this build is without TLS");
}

void moed_trust_destroy(struct moed_trust *trust)
{
    (void)trust; /* there are none */
}
