"""Writes a GGUF file with the shape that people look at, many layers of many experts, and none of
the weight: Qwen3-30B-A3B's 48 x 128, eight used, with rows of 32 numbers."""
import array
import random
import struct

HIDDEN, WIDTH, EXPERTS, USED, LAYERS = 32, 16, 128, 8, 48
ALIGN = 32
F32, UINT32, FLOAT32, STRING = 0, 4, 6, 8


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def key(name, kind, value):
    form = {UINT32: "<I", FLOAT32: "<f"}
    return text(name) + struct.pack("<I", kind) + (text(value) if kind == STRING else struct.pack(form[kind], value))


def keys(layers):
    arch = "qwen3moe"
    numbers = {"block_count": layers, "embedding_length": HIDDEN, "expert_count": EXPERTS,
               "expert_used_count": USED, "expert_feed_forward_length": WIDTH, "feed_forward_length": WIDTH}
    return [key("general.architecture", STRING, arch), key("general.name", STRING, "Qwen3-30B-A3B in miniature"),
            *(key(f"{arch}.{name}", UINT32, value) for name, value in numbers.items()),
            key(f"{arch}.attention.layer_norm_rms_epsilon", FLOAT32, 1e-6)]


def normal(rng, count, sigma):
    return array.array("f", (rng.gauss(0, sigma) for _ in range(count)))


def router(rng):
    """Some experts are liked better than others: their logits spread wider."""
    weights = array.array("f")
    for _ in range(EXPERTS):
        weights += normal(rng, HIDDEN, rng.lognormvariate(-1.4, 0.45))
    return weights


def tensors(layers, rng):
    """(name, dimensions, data); all experts' weights are the same numbers, which is quick to make."""
    one = normal(rng, HIDDEN * WIDTH, HIDDEN ** -0.5)
    experts = (one * EXPERTS).tobytes()
    for layer in range(layers):
        yield f"blk.{layer}.ffn_gate_inp.weight", (HIDDEN, EXPERTS), router(rng).tobytes()
        for name, dims in (("gate", (HIDDEN, WIDTH, EXPERTS)), ("up", (HIDDEN, WIDTH, EXPERTS)),
                           ("down", (WIDTH, HIDDEN, EXPERTS))):
            yield f"blk.{layer}.ffn_{name}_exps.weight", dims, experts


def write(path, layers=LAYERS):
    entries = list(tensors(layers, random.Random(7)))
    pairs = keys(layers)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(entries), len(pairs)) + b"".join(pairs)
    at = 0
    for name, dims, data in entries:
        head += text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        head += struct.pack("<IQ", F32, at)
        at += len(data)  # a multiple of ALIGN
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % ALIGN))
        for _, _, data in entries:
            file.write(data)
