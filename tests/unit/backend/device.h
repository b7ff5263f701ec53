/* device: whether tests may ask for the cuda backend here. */
#ifndef MOED_TEST_DEVICE_H
#define MOED_TEST_DEVICE_H

#include <stdbool.h>

#ifdef MOED_WITH_CUDA
#include "src/backend/cuda/cuda.h"

static inline bool has_device(void)
{
    struct cuda_devices devices;

    return cuda_devices_open(NULL, &devices, NULL) == MOED_OK;
}
#else
static inline bool has_device(void)
{
    return false;
}
#endif

#endif
