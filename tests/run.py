#!/usr/bin/env python3
"""Runs every suite and adds up the counts. Usage: run.py [--fast] [--list] [SUITE ...]
Builds and logs go to build-tests/. Called by tests/run.sh, which installs what is needed."""
import argparse
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import schedule
import tally
from schedule import ASIDE, COMPILING, TESTING

ROOT = pathlib.Path(__file__).resolve().parents[1]
WORK = ROOT / "build-tests"
HAS_GPU = os.path.exists("/dev/nvidiactl")

# No suite takes nearly so long, on the slowest machine either: one that does hangs, and would take the
# others' results with it when whoever started this run loses patience.
HANGS_AFTER_S = 2400

# A sanitizer's finding must end the program that has it, with a status that no test expects.
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:abort_on_error=1",
}


@dataclasses.dataclass
class Suite:
    name: str
    commands: list  # run in order; the first that fails ends the suite
    count: object  # (log, status) -> Tally
    fast: bool = False  # part of --fast
    needs: str = ""  # the suite that builds what this one tests
    only_if_named: str = ""  # why it is run only when it is named
    lane: str = TESTING  # tests/schedule.py
    environment: dict = dataclasses.field(default_factory=dict)


def build(name, *options, compiler="gcc", fast=False):
    """Warnings are errors in every build."""
    folder = str(WORK / name)
    # nvcc takes its time, and compiles the same whatever compiles the rest: once is enough, and where
    # there is no GPU to run it on, nobody need wait for it (the suite `cuda`).
    if name != "cuda":
        options = ["-Dgpu_archs=80,90a" if name == "gcc" and HAS_GPU else "-Dcuda=disabled", *options]
    setup = ["meson", "setup", folder, "-Dwerror=true", *options]
    if pathlib.Path(folder, "build.ninja").exists():
        setup = ["meson", "setup", "--reconfigure", folder, "-Dwerror=true", *options]
    return Suite(f"build-{name}", [setup, ["ninja", "-C", folder]], tally.by_status, fast=fast,
                 lane=COMPILING, environment={"CC": compiler})


def unit(name, *rooms, fast=False, wrap=()):
    """The cmocka programs of a build; of some rooms only, if named."""
    folder = str(WORK / name)
    chosen = [word for room in rooms for word in ("--suite", room)]
    command = [*wrap, "meson", "test", "-C", folder, "--no-rebuild", "--timeout-multiplier", "20",
               "--print-errorlogs", *chosen]
    stale = ["rm", "-f", f"{folder}/meson-logs/testlog.json"]
    return Suite(f"unit-{name}", [stale, command], tally.by_meson(folder), fast=fast,
                 needs=f"build-{name}", environment=SANITIZERS)


def binary(kind, name, fast=False, wrap=()):
    """A Python suite (tests/KIND) over the moed of a build."""
    command = [*wrap, sys.executable, f"tests/{kind}/run.py", "--moed", str(WORK / name / "src/cli/moed")]
    return Suite(f"{kind}-{name}", [command], tally.by_last_line, fast=fast, needs=f"build-{name}",
                 environment=SANITIZERS)


def cuda(*rooms):
    """The CUDA backend where there is no GPU: that it compiles, and what of it can be tested without.
    For one architecture: each takes as long as the other, and most of the code is the same."""
    made = build("cuda", "-Dcuda=enabled", "-Dgpu_archs=90a", "-Dserver=disabled", "-Dtests=enabled")
    tested = unit("cuda", *rooms)
    stale, test = tested.commands
    skip = ("command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ] || "
            "{ echo 'skip  cuda: nvcc is not installed'; exit 77; }")
    if HAS_GPU:
        skip = "echo 'skip  cuda: there is a GPU, for which build-gcc compiles it'; exit 77"
    return Suite("cuda", [["sh", "-c", skip], stale, *made.commands, test], tally.unless_skipped(tested.count),
                 lane=COMPILING)


def cross(*rooms):
    """AArch64, built by the cross compiler; the unit tests of some rooms under qemu."""
    machine = (str(WORK / "cross-sysroot/sysroot.ini"), "tests/cross/aarch64.ini")
    made = build("cross", *(f"--cross-file={file}" for file in machine), "-Dserver=disabled", "-Dtests=enabled")
    tested = unit("cross", *rooms)
    stale, test = tested.commands
    commands = [["tests/cross/sysroot.sh"], stale, *made.commands, test]
    return Suite("cross", commands, tally.unless_skipped(tested.count), lane=COMPILING)


# ThreadSanitizer's shadow has no room for the widest address randomisation of newer kernels.
FIXED_ADDRESSES = ("setarch", "-R")
DEBUG = "-Dbuildtype=debugoptimized"

# Builds in the order in which they are made: those come early whose tests take long.
SUITES = [
    build("gcc", "-Dserver=enabled", "-Dtests=enabled", fast=True),
    build("tsan", "-Db_sanitize=thread", "-Dopenmp=disabled", DEBUG),
    build("asan", "-Db_sanitize=address,undefined", DEBUG),
    build("clang", "-Dserver=enabled", "-Dtests=enabled", compiler="clang"),
    Suite("clang-tidy", [["run-clang-tidy", "-quiet", "-p", str(WORK / "clang"), "/(src|kernels)/"]],
          tally.by_status, needs="build-clang", lane=COMPILING),
    build("no-server", "-Dserver=disabled", "-Dtests=disabled"),
    build("debug", "-Dtests=disabled", "-Dbuildtype=debug"),  # -O0 warns of other things than -O3
    build("minsize", "-Dtests=disabled", "-Dbuildtype=minsize"),
    cross("cross", "kernels", "backend"),
    cuda("kernels", "backend"),
    Suite("container", [["tests/container/run.sh"]], tally.by_last_line, lane=ASIDE),
    Suite("tally", [[sys.executable, f"tests/{name}_test.py", "-v"] for name in ("tally", "schedule", "run")],
          tally.by_unittest, fast=True),
    Suite("lint-self", [[sys.executable, "tests/lint/lint_test.py", "-v"]], tally.by_unittest, fast=True),
    Suite("lint", [[sys.executable, "tests/lint/lint.py"]], tally.by_last_line, fast=True),
    Suite("commits", [[sys.executable, "tests/lint/commits.py"]], tally.by_last_line, fast=True),
    unit("gcc", fast=True),
    binary("cli", "gcc", fast=True),
    binary("e2e", "gcc", fast=True),
    Suite("python", [[sys.executable, "tests/python/run.py", "--moed", str(WORK / "gcc/src/cli/moed")]],
          tally.by_last_line, needs="build-gcc"),
    Suite("page", [[sys.executable, "tests/page/run.py", "--moed", str(WORK / "gcc/src/cli/moed")]],
          tally.by_last_line, needs="build-gcc", lane=ASIDE),
    Suite("clients", [[sys.executable, "tests/clients/run.py", "--moed", str(WORK / "gcc/src/cli/moed")]],
          tally.by_last_line, needs="build-gcc"),
    Suite("transformers", [[sys.executable, "tests/transformers/run.py", "--moed",
                            str(WORK / "gcc/src/cli/moed")]], tally.by_last_line, needs="build-gcc",
          only_if_named="installs torch, 1.3 GB; tests/run.sh build-gcc transformers runs it"),
    Suite("deploy", [[sys.executable, "tests/deploy/run.py", "--moed", str(WORK / "gcc/src/cli/moed")]],
          tally.by_last_line, needs="build-gcc", lane=ASIDE),
    Suite("fleet", [[sys.executable, "tests/fleet/run.py", "--moed", str(WORK / "gcc/src/cli/moed")]],
          tally.by_last_line, needs="build-gcc"),
    Suite("install", [["tests/install/run.sh", str(WORK / "gcc")]], tally.by_last_line, fast=True,
          needs="build-gcc"),
    Suite("readme", [[sys.executable, "tests/lint/readme_test.py", "-v"]], tally.by_unittest),
    binary("e2e", "tsan", wrap=FIXED_ADDRESSES),
    unit("tsan", "batch", "server", "metrics", "backend", wrap=FIXED_ADDRESSES),
    binary("e2e", "asan"),
    unit("asan"),
    binary("cli", "asan"),
    unit("clang"),
    binary("cli", "no-server"),
]


RUNNING = set()  # process groups


def end_all(number, _):
    """A signal to this program does not reach the groups that it made."""
    for group in RUNNING.copy():
        os.killpg(group, signal.SIGKILL)
    os._exit(128 + number)


def end_group(group, log):
    """Ends what a command that hangs has started; the log says what that was."""
    log.write(f"\nended, because it had not ended by itself after {HANGS_AFTER_S} s; what was running:\n")
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(entry.name)) == group:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                log.write(f"  {entry.name} {words.decode(errors='replace')}\n")
        except OSError:
            pass  # gone meanwhile
    log.flush()
    os.killpg(group, signal.SIGABRT)  # at which Python says where each of its threads is
    time.sleep(2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def execute(command, suite, log):
    """(exit status, processor seconds)."""
    environment = {**os.environ, **suite.environment, "MOED_TEST_BUILDS": str(WORK),
                   "PYTHONFAULTHANDLER": "1"}
    if suite.lane == COMPILING:
        command = ["nice", *command]  # a test beside it goes first
    try:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT, env=environment, process_group=0)
    except OSError as error:
        log.write(f"{command[0]}: {error}\n")
        return 127, 0
    bound = threading.Timer(HANGS_AFTER_S, end_group, (process.pid, log))
    bound.start()
    RUNNING.add(process.pid)
    _, status, used = os.wait4(process.pid, 0)
    RUNNING.discard(process.pid)
    bound.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_utime + used.ru_stime


def run(suite):
    """Runs a suite into its log; prints one line, and the log's end if something failed."""
    path = WORK / "log" / f"{suite.name}.log"
    begin = time.monotonic()
    status, worked = 0, 0
    with path.open("w") as log:
        for command in suite.commands:
            status, seconds = execute(command, suite, log)
            worked += seconds
            if status != 0:
                break
    text = path.read_text(errors="replace")
    result = suite.count(text, status)
    lines = [f"{suite.name:16} {result}  ({time.monotonic() - begin:.0f} s, processors {worked:.0f} s)"]
    if result.failed:
        lines += [f"    {line}" for line in text.splitlines()[-40:]]
        lines.append(f"    all of it: {path.relative_to(ROOT)}")
    print("\n".join(lines), flush=True)
    return result


def run_unless(suite, built, named):
    """The result of a suite, run or not; `built` is that of the suite that it needs."""
    if suite.only_if_named and suite.name not in named:
        result = tally.Tally(skipped=1, reasons=[suite.only_if_named])
        print(f"{suite.name:16} {result}", flush=True)
        return result
    if built and built.failed:
        # What an earlier build left behind must not pass in its place.
        print(f"{suite.name:16} 0 passed, 1 failed  (not run: {suite.needs} failed)", flush=True)
        return tally.Tally(failed=1)
    return run(suite)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fast", action="store_true", help="the suites of one build: one compiler, no sanitizers, no network")
    parser.add_argument("--list", action="store_true", help="names of the suites")
    parser.add_argument("suites", nargs="*")
    arguments = parser.parse_args()
    known = {suite.name for suite in SUITES}
    unknown = set(arguments.suites) - known
    if unknown:
        parser.error(f"unknown suites {', '.join(sorted(unknown))}; see --list")
    chosen = [suite for suite in SUITES
              if (suite.name in arguments.suites if arguments.suites else suite.fast or not arguments.fast)]
    if arguments.list:
        print("\n".join(suite.name for suite in chosen))
        return 0
    (WORK / "log").mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, end_all)
    begin = time.monotonic()
    total = tally.Tally()
    plan = schedule.Schedule(chosen, lambda suite, built: run_unless(suite, built, arguments.suites))
    for name, result in plan.finish().items():
        result.reasons = [f"{name}: {reason}" for reason in result.reasons]
        total.add(result)
    for reason in total.reasons:
        print(f"skipped {reason}")
    print(f"{time.monotonic() - begin:.0f} s on {os.cpu_count()} processors")
    if total.passed == 0 and total.failed == 0:
        print("no check has run")
    print(total)
    return total.failed > 0 or total.passed == 0


if __name__ == "__main__":
    sys.exit(main())
