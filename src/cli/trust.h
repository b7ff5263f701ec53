/* trust: the options of every command that speaks https. */
#ifndef MOED_CLI_TRUST_H
#define MOED_CLI_TRUST_H

#include "src/client/client.h"

#include "options.h"

/* Rows of an option table; `at` is the offset of a struct moed_trust_options. */
#define TRUST_OPTIONS(at_trust)                                                                \
    {"ca",                                                                                     \
     OPTION_TEXT,                                                                              \
     (at_trust) + offsetof(struct moed_trust_options, ca),                                     \
     "FILE",                                                                                   \
     .help = "PEM: authorities that https is checked by",                                      \
     .unset = "the system's"},                                                                 \
        {"cert",                                                                               \
         OPTION_TEXT,                                                                          \
         (at_trust) + offsetof(struct moed_trust_options, cert),                               \
         "FILE",                                                                               \
         .help = "PEM: our certificate, for servers that ask",                                 \
         .unset = "none"},                                                                     \
        {"key",                                                                                \
         OPTION_TEXT,                                                                          \
         (at_trust) + offsetof(struct moed_trust_options, key),                                \
         "FILE",                                                                               \
         .help = "PEM: its key",                                                               \
         .unset = "none",                                                                      \
         .secret = true},                                                                      \
    {                                                                                          \
        "insecure", OPTION_SWITCH, (at_trust) + offsetof(struct moed_trust_options, insecure), \
            NULL, .help = "do not check who speaks https"                                      \
    }

#endif
