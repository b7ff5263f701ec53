/* cmocka wants these before its own header. */
#ifndef MOED_TEST_CMOCKA_ALL_H
#define MOED_TEST_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
