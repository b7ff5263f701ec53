#!/usr/bin/env python3
"""How many machines a model needs: shards, replicas, memory and network. deploy/SCALING.md has the
formulas. What a machine can do comes from `moed bench`, what the model is from `moed inspect`:

    moed inspect MODEL.gguf --json > model.json
    moed bench MODEL.gguf --rows 1,8,64,512 --json > machine.jsonl
    deploy/scaling.py model.json machine.jsonl --memory 64 --tokens 2000 --rows 32
"""
import argparse
import dataclasses
import json
import math
import sys

GIB = 1 << 30
BYTES = {"f32": 4, "f16": 2, "bf16": 2}


@dataclasses.dataclass
class Model:
    layers: int
    hidden: int
    bytes: int  # of the MoE layers

    @classmethod
    def read(cls, text):
        """From `moed inspect --json`."""
        info = json.loads(text)
        return cls(len(info["layers"]), info["layers"][0]["hidden"],
                   sum(layer["bytes"] for layer in info["layers"]))


class Machine:
    """Milliseconds that one layer takes for so many rows together."""

    def __init__(self, points):
        if not points:
            raise ValueError("no measurement of the machine: expected lines of `moed bench --json`")
        self.points = sorted(points)

    @classmethod
    def read(cls, text):
        """From `moed bench --json`, a line a batch size; what is no batch size is left out."""
        rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return cls([(row["rows"], row["ms"]) for row in rows if "rows" in row and "ms" in row])

    def ms(self, rows):
        """Between measured batch sizes along a straight line; past the largest, in proportion."""
        first, last = self.points[0], self.points[-1]
        if rows <= first[0]:
            return first[1]
        if rows >= last[0]:
            return last[1] * rows / last[0]
        for (r0, t0), (r1, t1) in zip(self.points, self.points[1:]):
            if rows <= r1:
                return t0 + (t1 - t0) * (rows - r0) / (r1 - r0)
        raise AssertionError("the points ascend")


@dataclasses.dataclass
class Target:
    tokens: float  # a second, of all users together
    rows: int  # of a batch: sequences that are decoded together
    memory: float  # bytes of a machine
    headroom: float = 2 * GIB  # of it not for weights: workspace, queues, the system
    busy: float = 0.7  # share of the time that a machine may compute
    spare: int = 1  # replicas of a shard that may be away
    hop_us: float = 150  # what a call takes beyond computing: SCALING.md measures it
    dtype: str = "bf16"  # of rows on the wire


@dataclasses.dataclass
class Plan:
    shards: int
    layers: int  # of the largest shard
    replicas: int
    weights: float  # bytes of the largest shard
    network: float  # bytes a second of a replica, in and out together
    token_ms: float  # of one token through all layers

    @property
    def machines(self):
        return self.shards * self.replicas


def replicas_for(model, machine, target, layers):
    """Enough that those that are left may compute everything in their share of the time."""
    seconds = target.tokens / target.rows * layers * machine.ms(target.rows) / 1000
    return max(math.ceil(seconds / target.busy - 1e-9), 1) + target.spare


def plan(model, machine, target):
    """The fewest machines; among those, the fewest shards."""
    room = target.memory - target.headroom
    layer = model.bytes / model.layers
    if layer > room:
        raise ValueError(f"a layer of {layer / GIB:.1f} GiB does not fit into {room / GIB:.1f} GiB: "
                         "split its experts (moed serve --experts)")
    best = None
    for shards in range(math.ceil(model.layers / (room // layer)), model.layers + 1):
        layers = math.ceil(model.layers / shards)
        replicas = replicas_for(model, machine, target, layers)
        calls = target.tokens * layers / max(replicas - target.spare, 1)
        found = Plan(shards, layers, replicas, layers * layer,
                     calls * model.hidden * 2 * BYTES[target.dtype],
                     model.layers * (machine.ms(target.rows) + target.hop_us / 1000))
        if best is None or found.machines < best.machines:
            best = found
    return best


def report(model, target, found):
    return "\n".join([
        f"model      {model.layers} MoE layers, rows of {model.hidden}, {model.bytes / GIB:.1f} GiB",
        f"target     {target.tokens:g} tokens/s in batches of {target.rows}, "
        f"{target.memory / GIB:g} GiB a machine, {target.spare} spare",
        f"shards     {found.shards} of up to {found.layers} layers",
        f"replicas   {found.replicas} of each: {found.machines} machines",
        f"memory     {found.weights / GIB:.1f} GiB of weights a machine, and "
        f"{target.headroom / GIB:g} GiB of headroom",
        f"network    {found.network * 8 / 1e9:.2f} Gbit/s a machine, in and out together ({target.dtype})",
        f"a token    {found.token_ms:.1f} ms through all layers, "
        f"{1000 / found.token_ms:.1f} tokens/s of one sequence at most",
    ])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="what `moed inspect --json` printed")
    parser.add_argument("machine", help="what `moed bench --json` printed, on such a machine")
    parser.add_argument("--memory", type=float, required=True, help="GiB of a machine")
    parser.add_argument("--tokens", type=float, required=True, help="a second, of all users together")
    parser.add_argument("--rows", type=int, default=1, help="sequences that are decoded together [1]")
    parser.add_argument("--headroom", type=float, default=2, help="GiB that are not for weights [2]")
    parser.add_argument("--busy", type=float, default=0.7, help="share of the time to compute in [0.7]")
    parser.add_argument("--spare", type=int, default=1, help="replicas that may be away [1]")
    parser.add_argument("--hop-us", type=float, default=150, help="of a call beyond computing [150]")
    parser.add_argument("--dtype", choices=BYTES, default="bf16", help="of rows on the wire [bf16]")
    words = parser.parse_args()
    target = Target(words.tokens, words.rows, words.memory * GIB, words.headroom * GIB, words.busy,
                    words.spare, words.hop_us, words.dtype)
    try:
        with open(words.model, encoding="utf-8") as file:
            model = Model.read(file.read())
        with open(words.machine, encoding="utf-8") as file:
            machine = Machine.read(file.read())
        print(report(model, target, plan(model, machine, target)))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"scaling.py: {error}")


if __name__ == "__main__":
    main()
