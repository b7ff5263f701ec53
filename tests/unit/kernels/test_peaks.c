/* Peaks: every unit that this CPU has runs and takes longer for more rounds; every product has the
 * unit that it is measured against, and never one that the CPU lacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "kernels/cpu/amx_permit.h"
#include "kernels/cpu/peak.h"

static void units_are_those_of_the_cpu(void **state)
{
    (void)state;
    assert_true(moed_peak_supported(moed_peak_at(0)));
    for (size_t i = 0; moed_peak_at(i); i++) {
        const struct moed_peak *peak = moed_peak_at(i);
        const struct moed_isa *isa = moed_isa_by_name(peak->isa);

        assert_non_null(isa);
        assert_int_equal(moed_peak_supported(peak), isa->supported());
        assert_true(peak->ops >= 64);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(peak->name, moed_peak_at(j)->name);
    }
}

/* A loop that the compiler saw through would give the same number for any count of rounds. */
static void rounds_do_something(void **state)
{
    (void)state;
    for (size_t i = 0; moed_peak_at(i); i++) {
        const struct moed_peak *peak = moed_peak_at(i);

        if (!moed_peak_supported(peak))
            print_message("skipped: this CPU has no %s\n", peak->name);
        else
            assert_int_not_equal(peak->run(1), peak->run(2));
    }
}

static void every_product_has_a_unit(void **state)
{
    (void)state;
    for (size_t i = 0; moed_isa_at(i); i++) {
        const struct moed_isa *isa = moed_isa_at(i);

        assert_non_null(moed_peak_of(isa, MOED_ROWS_F32));
        for (const struct moed_product *p = isa->products; p->format; p++) {
            const struct moed_peak *peak = moed_peak_of(isa, p->rows);

            if (peak == NULL)
                fail_msg("%s: %s rows have no unit", isa->name, p->format);
            if (isa->supported())
                assert_true(moed_peak_supported(peak));
        }
    }
}

static void permission_is_asked_once(void **state)
{
    (void)state;
    assert_int_equal(moed_amx_permit(), moed_amx_permit());
    if (moed_amx_permit())
        assert_true(moed_isa_by_name("avx512")->supported()); /* no CPU has tiles without it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_are_those_of_the_cpu),
        cmocka_unit_test(rounds_do_something),
        cmocka_unit_test(every_product_has_a_unit),
        cmocka_unit_test(permission_is_asked_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
