/* Files whose head or keys are wrong: each is refused by name, found and expected. */
#include "malformed.h"

static void empty(struct build *b)
{
    build_zeros(b, 0);
}

static void magic(struct build *b)
{
    build_bytes(b, "GGML", 4);
    build_zeros(b, 60);
}

static void version_0(struct build *b)
{
    build_small(b, 0);
}

static void version_1(struct build *b)
{
    build_small(b, 1);
}

static void version_4(struct build *b)
{
    build_small(b, 4);
}

static void version_swapped(struct build *b)
{
    build_small(b, 0x03000000);
}

static void head_only(struct build *b)
{
    build_bytes(b, "GGUF\3\0\0\0\0\0", 10);
}

static void tensors_over_limit(struct build *b)
{
    build_head(b, 3, UINT64_MAX, 0);
}

static void tensors_over_file(struct build *b)
{
    build_head(b, 3, 100, 0);
    build_zeros(b, 1000);
}

static void keys_over_limit(struct build *b)
{
    build_head(b, 3, 0, UINT64_C(1) << 63);
}

static void keys_over_file(struct build *b)
{
    build_head(b, 3, 0, 100);
    build_zeros(b, 1000);
}

/* A file of one key; tail bytes keep the count of keys plausible. */
static void one_key(struct build *b)
{
    build_head(b, 3, 0, 1);
}

static void key_empty(struct build *b)
{
    one_key(b);
    build_key_u32(b, "", 1);
    build_zeros(b, 32);
}

static void key_too_long(struct build *b)
{
    one_key(b);
    build_u64(b, 65536);
    build_zeros(b, 70000);
}

static void key_length_wraps(struct build *b)
{
    one_key(b);
    build_u64(b, UINT64_MAX);
    build_zeros(b, 32);
}

static void key_with_nul(struct build *b)
{
    one_key(b);
    build_u64(b, 3);
    build_bytes(b, "a\0b", 3);
    build_u32(b, MOED_GGUF_U8);
    build_zeros(b, 32);
}

static void key_not_ascii(struct build *b)
{
    one_key(b);
    build_key_u32(b, "caf\xc3\xa9", 1);
}

static void key_twice(struct build *b)
{
    build_head(b, 3, 0, 3);
    build_key_u32(b, "same.key", 1);
    build_key_u32(b, "other.key", 1);
    build_key_u32(b, "same.key", 2);
}

static void key_unknown_type(struct build *b)
{
    one_key(b);
    build_key(b, "some.key", 13);
    build_zeros(b, 32);
}

static void key_missing_value(struct build *b)
{
    one_key(b);
    build_key(b, "some.key", MOED_GGUF_U64);
    build_u32(b, 0);
}

static void string_too_long(struct build *b)
{
    one_key(b);
    build_key(b, "some.text", MOED_GGUF_STRING);
    build_u64(b, (16U << 20) + 1);
}

static void string_past_end(struct build *b)
{
    one_key(b);
    build_key(b, "some.text", MOED_GGUF_STRING);
    build_u64(b, 1000);
    build_zeros(b, 999);
}

static void array_nested(struct build *b)
{
    one_key(b);
    build_array(b, "some.list", MOED_GGUF_ARRAY, 1);
    for (int i = 0; i < 8; i++) {
        build_u32(b, MOED_GGUF_ARRAY);
        build_u64(b, 1);
    }
    build_zeros(b, 64);
}

static void array_nested_past_end(struct build *b)
{
    one_key(b);
    build_array(b, "some.list", MOED_GGUF_ARRAY, 2);
    build_u32(b, MOED_GGUF_U8);
    build_u64(b, 20);
    build_zeros(b, 20);
}

static void array_unknown_type(struct build *b)
{
    one_key(b);
    build_array(b, "some.list", 99, 1);
    build_zeros(b, 32);
}

static void array_over_file(struct build *b)
{
    one_key(b);
    build_array(b, "some.list", MOED_GGUF_U16, 17);
    build_zeros(b, 32);
}

static void array_bytes_wrap(struct build *b)
{
    one_key(b);
    build_array(b, "some.list", MOED_GGUF_U64, (UINT64_C(1) << 61) + 1);
    build_zeros(b, 32);
}

static void array_of_strings_endless(struct build *b)
{
    one_key(b);
    build_array(b, "some.list", MOED_GGUF_STRING, UINT64_C(1) << 63);
    build_zeros(b, 32);
}

static void array_string_past_end(struct build *b)
{
    one_key(b);
    build_array(b, "some.list", MOED_GGUF_STRING, 2);
    build_string(b, "first");
    build_u64(b, 100);
}

static void array_string_too_long(struct build *b)
{
    one_key(b);
    build_array(b, "some.list", MOED_GGUF_STRING, 1);
    build_u64(b, UINT64_MAX);
}

static void alignment(struct build *b, uint32_t value)
{
    build_head(b, 3, 1, 1);
    build_key_u32(b, "general.alignment", value);
    build_vector(b, "x", 8, 0);
    build_zeros(b, 64);
}

static void alignment_0(struct build *b)
{
    alignment(b, 0);
}

static void alignment_24(struct build *b)
{
    alignment(b, 24);
}

static void alignment_2_mib(struct build *b)
{
    alignment(b, 2U << 20);
}

static void alignment_u64(struct build *b)
{
    one_key(b);
    build_key(b, "general.alignment", MOED_GGUF_U64);
    build_u64(b, 32);
}

int main(void)
{
    static const struct malformed cases[] = {
        {"empty file", empty, MOED_E_BAD_FILE, {"0 bytes", "header"}},
        {"wrong magic", magic, MOED_E_BAD_FILE, {"not a GGUF", "47 47 4d 4c", "47 47 55 46"}},
        {"version 0", version_0, MOED_E_BAD_FILE, {"version 0", "2 or 3"}},
        {"version 1", version_1, MOED_E_UNSUPPORTED, {"version 1", "obsolete", "2 or 3"}},
        {"future version", version_4, MOED_E_UNSUPPORTED, {"version 4", "newer", "2 or 3"}},
        {"byte-swapped", version_swapped, MOED_E_UNSUPPORTED, {"big-endian", "0x03000000"}},
        {"head cut short", head_only, MOED_E_BAD_FILE, {"10 bytes", "24", "cut short"}},
        {"2^64 tensors", tensors_over_limit, MOED_E_BAD_FILE, {"18446744073709551615 tensors"}},
        {"more tensors than fit", tensors_over_file, MOED_E_BAD_FILE, {"100 tensors", "the 40"}},
        {"2^63 keys", keys_over_limit, MOED_E_BAD_FILE, {"9223372036854775808 keys", "65536"}},
        {"more keys than fit", keys_over_file, MOED_E_BAD_FILE, {"100 keys", "the 71"}},
        {"key without a name", key_empty, MOED_E_BAD_FILE, {"key 1 of 1", "0 bytes"}},
        {"key of 65536 bytes", key_too_long, MOED_E_BAD_FILE, {"key 1 of 1", "65536", "65535"}},
        {"key of 2^64 bytes", key_length_wraps, MOED_E_BAD_FILE, {"key 1 of 1", "65535"}},
        {"key with a NUL", key_with_nul, MOED_E_BAD_FILE, {"key 1 of 1", "printable ASCII"}},
        {"key not ASCII", key_not_ascii, MOED_E_BAD_FILE, {"key 1 of 1", "printable ASCII"}},
        {"key twice", key_twice, MOED_E_BAD_FILE, {"'same.key'", "twice", "duplicate"}},
        {"value type 13", key_unknown_type, MOED_E_BAD_FILE, {"'some.key'", "type 13"}},
        {"value cut short", key_missing_value, MOED_E_BAD_FILE, {"'some.key'", "cut short"}},
        {"string over 16 MiB", string_too_long, MOED_E_BAD_FILE, {"'some.text'", "16777217"}},
        {"string past the end", string_past_end, MOED_E_BAD_FILE, {"'some.text'", "cut short"}},
        {"arrays in arrays", array_nested, MOED_E_UNSUPPORTED, {"'some.list'", "more than 8"}},
        {"nested past the end", array_nested_past_end, MOED_E_BAD_FILE, {"cut short", "list'"}},
        {"array of type 99", array_unknown_type, MOED_E_BAD_FILE, {"'some.list'", "type 99"}},
        {"array past the end",
         array_over_file,
         MOED_E_BAD_FILE,
         {"'some.list'", "17", "u16", "16"}},
        {"array bytes wrap", array_bytes_wrap, MOED_E_BAD_FILE, {"2305843009213693953 u64", "4"}},
        {"2^63 strings", array_of_strings_endless, MOED_E_BAD_FILE, {"9223372036854775808 string"}},
        {"array string past end", array_string_past_end, MOED_E_BAD_FILE, {"cut short", "list'"}},
        {"array string of 2^64", array_string_too_long, MOED_E_BAD_FILE, {"element 0", "list'"}},
        {"alignment 0", alignment_0, MOED_E_BAD_FILE, {"'general.alignment'", "found 0", "power"}},
        {"alignment 24", alignment_24, MOED_E_BAD_FILE, {"'general.alignment'", "24", "power"}},
        {"alignment 2 MiB", alignment_2_mib, MOED_E_BAD_FILE, {"2097152", "1048576"}},
        {"alignment of type u64", alignment_u64, MOED_E_BAD_FILE, {"alignment'", "u64", "u32"}},
    };

    return run_malformed("malformed keys", cases, MOED_ARRAY_LEN(cases));
}
