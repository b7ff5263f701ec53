/* Files whose tensors are wrong: each is refused by name, found and expected. */
#include "malformed.h"

#define DIMS(...) ((const uint64_t[]){__VA_ARGS__})

/* One tensor 't' of the given description before 4 KiB of data. */
static void one(struct build *b, uint32_t n_dims, const uint64_t *dims, uint32_t type,
                uint64_t offset)
{
    build_head(b, 3, 1, 0);
    build_tensor(b, "blk.0.t", n_dims, dims, type, offset);
    build_align(b, 32);
    build_zeros(b, 4096);
}

static void name_empty(struct build *b)
{
    build_head(b, 3, 1, 0);
    build_vector(b, "", 8, 0);
    build_zeros(b, 64);
}

static void name_of_64(struct build *b)
{
    char name[65] = {0};

    memset(name, 'n', 64);
    build_head(b, 3, 1, 0);
    build_vector(b, name, 8, 0);
    build_zeros(b, 64);
}

static void name_with_nul(struct build *b)
{
    build_head(b, 3, 1, 0);
    build_u64(b, 3);
    build_bytes(b, "a\0b", 3);
    build_zeros(b, 64);
}

static void name_with_newline(struct build *b)
{
    build_head(b, 3, 1, 0);
    build_vector(b, "a\nb", 8, 0);
    build_zeros(b, 64);
}

static void name_twice(struct build *b)
{
    build_head(b, 3, 3, 0);
    build_vector(b, "same", 8, 0);
    build_vector(b, "other", 8, 32);
    build_vector(b, "same", 8, 64);
    build_align(b, 32);
    build_zeros(b, 96);
}

static void name_past_end(struct build *b)
{
    build_head(b, 3, 1, 0);
    build_u64(b, 60);
    build_zeros(b, 59);
}

static void dims_5(struct build *b)
{
    one(b, 5, DIMS(1, 1, 1, 1, 1), TYPE_F32, 0);
}

static void dims_2_32(struct build *b)
{
    build_head(b, 3, 1, 0);
    build_string(b, "blk.0.t");
    build_u32(b, UINT32_MAX);
    build_zeros(b, 64);
}

static void dim_too_big(struct build *b)
{
    one(b, 1, DIMS((UINT64_C(1) << 40) + 1), TYPE_F32, 0);
}

static void dim_negative(struct build *b)
{
    one(b, 2, DIMS(32, UINT64_MAX), TYPE_F32, 0);
}

/* The product wraps to exactly 0, which a test of the product itself would miss. */
static void elements_wrap(struct build *b)
{
    one(b, 4, DIMS(UINT64_C(1) << 32, UINT64_C(1) << 32, 1, 1), TYPE_F32, 0);
}

static void bytes_wrap(struct build *b)
{
    one(b, 3, DIMS(UINT64_C(1) << 40, UINT64_C(1) << 22, 1), TYPE_F32, 0);
}

static void offset_unaligned(struct build *b)
{
    one(b, 1, DIMS(8), TYPE_F32, 16);
}

static void offset_past_end(struct build *b)
{
    one(b, 1, DIMS(8), TYPE_F32, 1U << 20);
}

static void offset_wraps(struct build *b)
{
    one(b, 1, DIMS(8), TYPE_F32, UINT64_MAX - 31);
}

static void end_wraps(struct build *b)
{
    one(b, 2, DIMS(UINT64_C(1) << 40, UINT64_C(1) << 21), TYPE_F32, UINT64_C(1) << 63);
}

static void data_past_end(struct build *b)
{
    one(b, 1, DIMS(1025), TYPE_F32, 0);
}

static void data_absent(struct build *b)
{
    build_head(b, 3, 1, 0);
    build_vector(b, "blk.0.t", 8, 0);
}

static void same_place(struct build *b)
{
    build_head(b, 3, 2, 0);
    build_vector(b, "first", 8, 0);
    build_vector(b, "second", 8, 0);
    build_align(b, 32);
    build_zeros(b, 64);
}

static void overlap_out_of_order(struct build *b)
{
    build_head(b, 3, 3, 0);
    build_vector(b, "last", 8, 96);
    build_vector(b, "inner", 8, 32);
    build_vector(b, "outer", 24, 0);
    build_align(b, 32);
    build_zeros(b, 128);
}

static void info_past_end(struct build *b)
{
    build_head(b, 3, 2, 0);
    build_vector(b, "first", 8, 0);
    build_string(b, "second");
    build_u32(b, 4);
    build_zeros(b, 24);
}

int main(void)
{
    static const struct malformed cases[] = {
        {"name empty", name_empty, MOED_E_BAD_FILE, {"tensor 1 of 1", "0 bytes"}},
        {"name of 64 bytes", name_of_64, MOED_E_BAD_FILE, {"tensor 1 of 1", "64 bytes", "63"}},
        {"name with a NUL", name_with_nul, MOED_E_BAD_FILE, {"tensor 1 of 1", "ASCII"}},
        {"name with a newline", name_with_newline, MOED_E_BAD_FILE, {"tensor 1 of 1", "ASCII"}},
        {"name twice", name_twice, MOED_E_BAD_FILE, {"'same'", "twice", "duplicate"}},
        {"name past the end", name_past_end, MOED_E_BAD_FILE, {"tensor 1 of 1", "cut short"}},
        {"5 dimensions", dims_5, MOED_E_BAD_FILE, {"'blk.0.t'", "5 dimensions", "1 to 4"}},
        {"2^32-1 dimensions", dims_2_32, MOED_E_BAD_FILE, {"'blk.0.t'", "4294967295"}},
        {"dimension over 2^40", dim_too_big, MOED_E_BAD_FILE, {"1099511627777", "1099511627776"}},
        {"dimension of -1", dim_negative, MOED_E_BAD_FILE, {"18446744073709551615", "1 of"}},
        {"elements wrap to 0", elements_wrap, MOED_E_BAD_FILE, {"'blk.0.t'", "product overflows"}},
        {"bytes wrap", bytes_wrap, MOED_E_BAD_FILE, {"'blk.0.t'", "bytes that overflows"}},
        {"offset not aligned",
         offset_unaligned,
         MOED_E_BAD_FILE,
         {"'blk.0.t'", "16", "alignment, 32"}},
        {"offset past the end", offset_past_end, MOED_E_BAD_FILE, {"'blk.0.t'", "1048672", "4160"}},
        {"offset wraps", offset_wraps, MOED_E_BAD_FILE, {"'blk.0.t'", "offset that overflows"}},
        {"end wraps", end_wraps, MOED_E_BAD_FILE, {"'blk.0.t'", "overflows"}},
        {"data past the end", data_past_end, MOED_E_BAD_FILE, {"'blk.0.t'", "4164", "4160 bytes"}},
        {"no data at all", data_absent, MOED_E_BAD_FILE, {"'blk.0.t'", "within the file's"}},
        {"two in one place", same_place, MOED_E_BAD_FILE, {"'first'", "'second'", "behind"}},
        {"overlap, any order", overlap_out_of_order, MOED_E_BAD_FILE, {"'inner'", "'outer'"}},
        {"description cut short", info_past_end, MOED_E_BAD_FILE, {"tensor 2 of 2", "'second'"}},
    };

    return run_malformed("malformed tensors", cases, MOED_ARRAY_LEN(cases));
}
