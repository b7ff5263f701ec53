/* The layout of the installed structs on 64-bit machines, as programs were compiled with it: fields
 * are only ever appended. What fails here is a new major soname. */
#include <moed/moed.h>

#include <stddef.h>

#define AT(type, field, offset) \
    _Static_assert(offsetof(struct type, field) == (offset), #type "." #field " has moved")

AT(moed_error, code, 0);
AT(moed_error, message, 4);
_Static_assert(sizeof(struct moed_error) == 1020, "moed_error is the caller's, and must not grow");

AT(moed_options, size, 0);
AT(moed_options, layers, 8);
AT(moed_options, arch_file, 16);
AT(moed_options, backend, 24);
AT(moed_options, isa, 32);
AT(moed_options, threads, 40);
AT(moed_options, max_rows, 44);
AT(moed_options, f32_rows, 48);
AT(moed_options, map, 52);

AT(moed_layer_info, size, 0);
AT(moed_layer_info, layer, 8);
AT(moed_layer_info, hidden, 12);
AT(moed_layer_info, experts, 16);
AT(moed_layer_info, used, 20);
AT(moed_layer_info, width, 24);
AT(moed_layer_info, bytes, 32);

AT(moed_routing, size, 0);
AT(moed_routing, supplied, 8);
AT(moed_routing, slots, 12);
AT(moed_routing, ids, 16);
AT(moed_routing, weights, 24);
AT(moed_routing, logits, 32);

AT(moed_timing, size, 0);
AT(moed_timing, total_ns, 8);
AT(moed_timing, compute_ns, 16);
AT(moed_timing, device_ns, 24);
AT(moed_timing, weight_bytes, 32);
AT(moed_timing, steps, 40);

AT(moed_call, size, 0);
AT(moed_call, layer, 8);
AT(moed_call, rows, 16);
AT(moed_call, hidden, 24);
AT(moed_call, output, 32);
AT(moed_call, routing, 40);
AT(moed_call, deadline_ns, 48);
AT(moed_call, cancelled, 56);
AT(moed_call, cancelled_context, 64);
AT(moed_call, timing, 72);
