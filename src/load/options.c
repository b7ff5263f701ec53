/* options.c: what a run is by default. */
#include "src/load/load.h"

void moed_load_options_init(struct moed_load_options *options)
{
    *options = (struct moed_load_options){
        .clients = 1,
        .in_flight = 1,
        .seconds = 10,
        .timeout_ms = 30000,
        .rows = {1},
        .n_rows = 1,
        .dtypes = {MOED_F32},
        .n_dtypes = 1,
        .formats = {MOED_LOAD_RAW},
        .n_formats = 1,
    };
}
