#!/usr/bin/env python3
"""The command line as a person or a script meets it: exit statuses, messages, forms of output.
Usage: run.py --moed PATH [-v]"""
import argparse
import contextlib
import http.server
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

PATIENCE = 300  # seconds; nothing here takes nearly so long on any machine
MOED = None  # path of the program, from --moed
BENCH_KEYS = ["rows", "ms", "rows_per_s", "gflops", "weight_gbps", "active_experts",
              "dram_read_gbps", "backend", "isa", "threads", "types"]
COMMANDS = ["inspect", "synth", "bench", "verify", "health"]


def moed(*words, **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MOED_ARG_")}
    return subprocess.run([MOED, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE,
                          stdin=subprocess.DEVNULL, env={**environment, **variables})


def has_server():
    return "  serve " in moed("--help").stdout


class Case(unittest.TestCase):
    def assert_ends(self, result, status, message=""):
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertIn(message, result.stderr)


class WithModel(Case):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.model = cls.folder / "tiny.gguf"
        result = moed("synth", cls.model, "--preset", "tiny", "--layers", 3, "--type", "q4_k_m")
        assert result.returncode == 0, result.stderr


class Help(Case):
    def test_version(self):
        result = moed("--version")
        self.assertEqual(result.returncode, 0)
        first, *lines = result.stdout.splitlines()
        self.assertRegex(first, r"^moed \d+\.\d+\.\d+$")
        told = dict(line.split(None, 1) for line in lines)
        self.assertEqual(set(told), {"backends", "isa", "libraries", "compiler"})
        self.assertIn("cpu reference", told["backends"])
        self.assertEqual(told["isa"].count("(chosen here)"), 1)
        self.assertRegex(told["libraries"], r"libuv \d+\.\d+.*GnuTLS \d" if has_server() else "none")
        for word in ("-V", "version"):
            self.assertEqual(moed(word).stdout, result.stdout)

    def test_overview_names_every_command(self):
        for words in (["--help"], ["-h"], ["help"]):
            result = moed(*words)
            self.assertEqual(result.returncode, 0)
            for command in COMMANDS:
                self.assertIn(f"  {command}", result.stdout)
            # Both or neither, by the libraries that the build has.
            self.assertEqual("  serve " in result.stdout, "  load " in result.stdout)

    def test_each_command_has_help_with_examples(self):
        for command in COMMANDS + (["serve", "load", "shards"] if "  load" in moed("--help").stdout else []):
            result = moed(command, "--help", MOED_ARG_ROWS="not read")
            self.assertEqual(result.returncode, 0)
            self.assertIn(f"Usage: moed {command}", result.stdout)
            self.assertIn(f"Examples:\n  moed {command}", result.stdout)
            self.assertLessEqual(max(map(len, result.stdout.splitlines())), 100)
            self.assertEqual(moed("help", command).stdout, result.stdout)
            self.assertNotIn("[]", result.stdout)  # every option says what it is without a flag


class Usage(Case):
    def test_nothing(self):
        self.assert_ends(moed(), 2, "Usage: moed COMMAND")

    def test_unknown_command(self):
        self.assert_ends(moed("sevre"), 2, 'moed: unknown command "sevre"')

    def test_unknown_option(self):
        self.assert_ends(moed("bench", "m.gguf", "--zebra", "1"), 2, "moed: unknown option --zebra\n")

    def test_the_right_word_for_a_wrong_one(self):
        """Slips, and what other programs call it."""
        for words, hint in ((("bench", "m.gguf", "--row", "1"), "unknown option --row: did you mean --rows?"),
                            (("inspect", "m.gguf", "--jsn"), "did you mean --json?"),
                            (("inspect", "m.gguf", "-json"), "did you mean --json?"),
                            (("inspect", "m.gguf", "--layrs=1"), "unknown option --layrs: did you mean --layers?"),
                            (("inspect", "m.gguf", "--hlep"), "did you mean --help?"),
                            (("inspect", "-m", "m.gguf"), "unknown option -m: the file is an operand"),
                            (("verify", "--model=m.gguf"), "unknown option --model: the file is an operand"),
                            (("synth", "-o", "m.gguf"), "the file is an operand"),
                            (("bench", "m.gguf", "-t", "4"), "did you mean --threads N?"),
                            (("bench", "m.gguf", "-ngl", "99"), "did you mean --backend cuda?"),
                            (("Inspect", "m.gguf"), "did you mean `moed inspect`?"),
                            (("insepct", "m.gguf"), "did you mean `moed inspect`?"),
                            (("m.gguf",), f"did you mean `moed {'serve' if has_server() else 'inspect'} m.gguf`?"),
                            (("-m", "m.gguf"), "a command comes first"),
                            (("help", "insepct"), "did you mean `moed inspect`?")):
            self.assert_ends(moed(*words), 2, hint)
        if has_server():
            for words, hint in ((("Serve", "m.gguf"), "did you mean `moed serve`?"),
                                (("serve", "m.gguf", "--host", "0.0.0.0"), "did you mean --listen HOST:PORT?"),
                                (("serve", "m.gguf", "--port", "80"), "did you mean --listen HOST:PORT?"),
                                (("serve", "m.gguf", "-m", "m.gguf"), "the file is an operand"),
                                (("serve", "m.gguf", "-t", "4"), "did you mean --threads N?"),
                                (("serve", "m.gguf", "-ngl", "99"), "did you mean --backend cuda?")):
                self.assert_ends(moed(*words), 2, hint)

    def test_wrong_value(self):
        self.assert_ends(moed("bench", "m.gguf", "--rows", "1,x"), 2, '--rows: expected a whole number')

    def test_wrong_variable(self):
        self.assert_ends(moed("bench", "m.gguf", MOED_ARG_THREADS="two"), 2, "MOED_ARG_THREADS: expected")

    def test_missing_operand(self):
        self.assert_ends(moed("inspect"), 2, "inspect: expected MODEL.gguf, found nothing")

    def test_hint(self):
        self.assert_ends(moed("verify", "--x"), 2, "Try `moed verify --help`.")


class Serve(Case):
    def setUp(self):
        if "  serve" not in moed("--help").stdout:
            self.skipTest("built with -Dserver=disabled")

    def config(self, *words, **variables):
        result = moed("serve", "model.gguf", "--print-config", *words, **variables)
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = (line.split(None, 1) for line in result.stdout.splitlines())
        return {name: tuple(rest.rsplit(None, 1)) for name, rest in lines}

    def test_defaults_are_those_of_the_contract(self):
        found = {name: value.strip() for name, (value, _) in self.config().items()}
        expected = {"listen": "127.0.0.1:8080", "layers": "all", "load": "resident",
                    "max-batch-rows": "4096", "max-batch-delay-us": "0", "max-batch-ms": "50",
                    "max-queue-rows": "16384",
                    "max-queue-requests": "512", "max-connections": "1024",
                    "max-request-rows": "8192", "max-body-bytes": "256MiB",
                    "body-timeout-ms": "30000", "default-deadline-ms": "none",
                    "drain-delay-ms": "0", "drain-timeout-ms": "30000",
                    "watchdog-ms": "120000", "log-format": "text",
                    "log-level": "info", "log-file": "stderr", "log-requests": "debug",
                    "metrics-per-expert": "no"}
        self.assertEqual({name: found[name] for name in expected}, expected)

    def test_flag_beats_variable_beats_default(self):
        variables = {"MOED_ARG_MAX_BATCH_ROWS": "7", "MOED_ARG_MAX_QUEUE_ROWS": "8"}
        found = self.config("--max-batch-rows", "9", **variables)
        self.assertEqual([tuple(map(str.strip, found[name])) for name in
                          ("max-batch-rows", "max-queue-rows", "max-connections")],
                         [("9", "flag"), ("8", "variable"), ("1024", "default")])

    def test_listen_is_repeatable(self):
        found = self.config("--listen", "[::1]:1", "--listen", "unix:/x", MOED_ARG_LISTEN="a:1,b:2")
        self.assertEqual(found["listen"][0].strip(), "[::1]:1,unix:/x")

    def test_a_name_is_text(self):
        for name in (b"a\xff", b"a\x1b[2J", b"two\nlines"):
            result = subprocess.run([MOED, "serve", "model.gguf", "--name", name], capture_output=True)
            self.assertEqual(result.returncode, 2)
            self.assertIn(b"--name: found", result.stderr)
            result.stderr.decode("utf-8")

    def test_a_model_that_is_not_there(self):
        result = moed("serve", "/nowhere/model.gguf", "--listen", "127.0.0.1:0")
        self.assert_ends(result, 1, "moed: /nowhere/model.gguf")
        self.assertNotIn("listening", result.stderr)

    def test_a_file_that_is_no_model(self):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            file.write(b"<!DOCTYPE html><html>")
            file.flush()
            result = moed("serve", file.name, "--listen", "127.0.0.1:0")
        self.assert_ends(result, 1, "found an HTML page")
        self.assertNotIn("listening", result.stderr)


class NoServer(Case):
    def test_serve_says_why_it_is_absent(self):
        if "  serve" in moed("--help").stdout:
            self.skipTest("this build has the server")
        for command in ("serve", "load", "shards"):
            self.assert_ends(moed(command, "model.gguf"), 2, f"no server (-Dserver=disabled): no `{command}`")
        self.assertIn("no server", moed("--help").stdout)


class Inspect(WithModel):
    def test_text(self):
        result = moed("inspect", self.model)
        self.assertEqual(result.returncode, 0, result.stderr)
        for word in ("qwen3moe", "softmax", "Q4_K", str(self.model)):
            self.assertIn(word, result.stdout)

    def test_json(self):
        result = moed("inspect", self.model, "--json")
        model = json.loads(result.stdout)
        self.assertEqual(model["architecture"], "qwen3moe")
        self.assertEqual(model["moe_layers"], 3)
        self.assertEqual([layer["layer"] for layer in model["layers"]], [0, 1, 2])
        layer = model["layers"][0]
        experts, hidden, width = layer["experts"], layer["hidden"], layer["expert_width"]
        self.assertEqual(layer["router"]["shape"], [1, experts, hidden])
        self.assertEqual(layer["gate"]["shape"], [experts, width, hidden])
        self.assertEqual(layer["down"]["shape"], [experts, hidden, width])
        self.assertEqual(model["bytes"], sum(layer["bytes"] for layer in model["layers"]))
        self.assertLess(model["bytes"], self.model.stat().st_size)

    def test_chosen_layers(self):
        model = json.loads(moed("inspect", self.model, "--json", "--layers", "1-2").stdout)
        self.assertEqual([layer["layer"] for layer in model["layers"]], [1, 2])
        self.assertNotEqual(moed("inspect", self.model, "--layers", "3").returncode, 0)

    def test_bad_files(self):
        bad = self.folder / "bad.gguf"
        bad.write_bytes(b"GGUF\x09\0\0\0" + bytes(64))
        self.assert_ends(moed("inspect", bad), 1, str(bad))
        cut = self.folder / "cut.gguf"
        cut.write_bytes(self.model.read_bytes()[:1000])
        self.assert_ends(moed("inspect", cut), 1, str(cut))
        self.assert_ends(moed("inspect", self.folder / "none.gguf"), 1, "none.gguf")

    def test_names_are_shown_as_text(self):
        """Whatever bytes the file, or its path, has in the place of a name."""
        bad = os.fsencode(self.folder) + b"/\xff\x1b[31m.gguf"
        with open(bad, "wb") as file:
            file.write(self.model.read_bytes().replace(b"tiny synthetic", b"t\xffny\x1b[31m\0etic"))
        shown = "t\ufffdny\ufffd[31m\ufffdetic q4_k_m"
        text = subprocess.run([MOED, "inspect", bad], capture_output=True, check=True).stdout
        self.assertIn(shown, text.decode("utf-8"))
        self.assertNotIn(b"\x1b", text)
        json_text = subprocess.run([MOED, "inspect", "--json", bad], capture_output=True, check=True).stdout
        model = json.loads(json_text.decode("utf-8"))
        self.assertEqual(model["name"], shown)
        self.assertIn("\ufffd\x1b[31m.gguf", model["files"][0])

    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run([MOED, "inspect", self.model], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"standard output", result.stderr)


class Synth(WithModel):
    def test_the_summary_tells_shape_and_rate(self):
        result = moed("synth", self.folder / "a.gguf", "--preset", "tiny")
        self.assertRegex(result.stdout, r"1 MoE layer of \d+ experts \(top \d+\), H \d+, F \d+")
        self.assertRegex(result.stdout, r"B of weights in [\d.]+ s \(.*/s\)")

    def test_the_seed_decides_the_bytes(self):
        def made(name, seed):
            path = self.folder / name
            self.assertEqual(moed("synth", path, "--preset", "tiny", "--seed", seed).returncode, 0)
            return path.read_bytes()
        self.assertEqual(made("b.gguf", 5), made("c.gguf", 5))
        self.assertNotEqual(made("e.gguf", 5), made("d.gguf", 6))

    def test_a_file_that_is_there_stays_unless_forced(self):
        path = self.folder / "precious.gguf"
        path.write_text("a day's download")
        self.assert_ends(moed("synth", path, "--preset", "tiny"), 1, "found a file there, expected none: --force")
        self.assertEqual(path.read_text(), "a day's download")
        self.assertEqual(moed("synth", path, "--preset", "tiny", "--force").returncode, 0)
        self.assertEqual(path.read_bytes()[:4], b"GGUF")

    def test_more_layers_than_a_model_may_have(self):
        path = self.folder / "deep.gguf"
        self.assert_ends(moed("synth", path, "--layers", 513), 2, "found 513, expected 1 to 512")
        self.assertEqual(list(self.folder.glob("deep.gguf*")), [])

    def test_help_names_what_there_is(self):
        text = moed("synth", "--help").stdout
        known = moed("synth", self.folder / "f.gguf", "--preset", "huge").stderr
        presets = known.split("known:")[1].split("\n")[0].split()
        self.assertGreater(len(presets), 10)
        for word in [*presets, "q4_k_m", "MXFP4", "Q8_0"]:
            self.assertIn(f" {word}", text)

    def test_unknown_preset_and_type_list_the_known(self):
        self.assert_ends(moed("synth", self.folder / "e.gguf", "--preset", "huge"), 2, "tiny")
        self.assert_ends(moed("synth", self.folder / "e.gguf", "--type", "q99"), 2, "q99")

    def test_a_folder_that_is_not_there(self):
        self.assert_ends(moed("synth", "/nowhere/x.gguf", "--preset", "tiny"), 1, "/nowhere/x.gguf")


class ArchFile(WithModel):
    def side(self, *lines):
        path = self.folder / "side.arch"
        path.write_text("\n".join(lines))
        return path

    def test_every_command_that_opens_a_model_takes_it(self):
        renamed = self.folder / "renamed.gguf"
        renamed.write_bytes(self.model.read_bytes().replace(b"qwen3moe", b"mymodel1"))
        self.assert_ends(moed("inspect", renamed), 1, '"mymodel1" is not in the table')
        side = self.side("name = mymodel1", "like = qwen3moe", "scale = 2.5")
        for words in (["inspect"], ["verify", "--rows", 2], ["bench", "--rows", 1, "--seconds", "0.01"]):
            self.assert_ends(moed(words[0], renamed, *words[1:], MOED_ARG_ARCH_FILE=str(side)), 0)
        text = moed("inspect", renamed, "--arch-file", side).stdout
        self.assertIn("router        layers 0-2: The 8 experts are scored by a softmax", text)
        self.assertIn("times 2.5", text)

    def test_a_bad_line_is_named(self):
        side = self.side("name = qwen3moe", "", "loudness = 11")
        self.assert_ends(moed("inspect", self.model, "--arch-file", side), 2,
                         f'{side}, line 3: column: found "loudness"')

    def test_routing_that_must_be_supplied_is_random(self):
        side = self.side("name = qwen3moe", "like = qwen3moe", "refuses_routing = reasons")
        result = moed("verify", self.model, "--arch-file", side, "--rows", 8)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        result = moed("bench", self.model, "--arch-file", side, "--rows", "8", "--seconds", "0.01",
                      "--json")
        self.assertGreater(json.loads(result.stdout)["active_experts"], 2)
        found = json.loads(moed("inspect", self.model, "--arch-file", side, "--json").stdout)
        self.assertEqual(found["layers"][0]["refuses_routing"], "reasons")


class Bench(WithModel):
    def bench(self, *words):
        result = moed("bench", self.model, "--seconds", "0.05", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.splitlines()

    def test_json_has_exactly_the_keys(self):
        lines = [json.loads(line) for line in self.bench("--rows", "1,5", "--json", "--threads", "1")]
        self.assertEqual([list(line) for line in lines], [BENCH_KEYS] * 2)
        self.assertEqual([line["rows"] for line in lines], [1, 5])
        for line in lines:
            self.assertEqual(line["threads"], 1)
            self.assertAlmostEqual(line["rows_per_s"] * line["ms"] / 1e3 / line["rows"], 1, 3)
            for key in ("ms", "gflops", "weight_gbps", "active_experts", "dram_read_gbps"):
                self.assertGreater(line[key], 0)

    def test_ceilings_are_lines_of_their_own(self):
        lines = [json.loads(line) for line in self.bench("--rows", "1,64", "--json", "--ceilings")]
        self.assertEqual([list(line) for line in lines],
                         [["ceilings"]] + 2 * [BENCH_KEYS, ["rows", "bound", "fraction"]])
        ceilings = lines[0]["ceilings"]
        self.assertGreater(ceilings["dram_read_gbps"], 0)
        self.assertIn("f32 baseline", ceilings["gops"])
        for name, gops in ceilings["gops"].items():
            self.assertGreater(gops, 0, name)
        for line in lines[2::2]:
            self.assertIn(line["bound"], ["memory", *ceilings["gops"]])
            self.assertGreater(line["fraction"], 0)

    def test_ceilings_are_two_more_columns(self):
        text = self.bench("--rows", "2", "--ceilings", "--isa", "scalar")
        lines = text[text.index("") + 1:]
        self.assertRegex(text[0], r"^memory +[\d.]+ GB/s$")
        self.assertTrue(all(re.search(r" +[\d.]+ GOPS$", line) for line in text[1:text.index("")]))
        self.assertEqual(lines[0].split(), BENCH_KEYS + ["bound", "of_bound"])
        self.assertRegex(lines[1], r"  (memory|f32 baseline) +[\d.]+%$")

    def test_f32_activations_are_told(self):
        line = json.loads(self.bench("--rows", "1", "--json", "--activations", "f32")[0])
        self.assertEqual(list(line), BENCH_KEYS)
        self.assertTrue(line["types"].endswith(" x f32"), line["types"])
        self.assert_ends(moed("bench", self.model, "--activations", "int4"), 2, "int8|f32")

    def test_text_has_the_same_columns(self):
        lines = self.bench("--rows", "2", "--layer", "1")
        self.assertEqual(lines[0].split(), BENCH_KEYS)
        self.assertEqual(len(lines), 2)
        self.assertEqual(lines[1].split()[0], "2")

    def test_backend_is_a_choice(self):
        line = json.loads(self.bench("--rows", "1", "--json", "--backend", "reference")[0])
        self.assertEqual(line["backend"], "reference")
        self.assert_ends(moed("bench", self.model, "--backend", "abacus"), 2, "abacus")
        self.assert_ends(moed("bench", self.model, "--isa", "z80"), 2, "z80")

    def test_a_layer_that_is_not_there(self):
        self.assertEqual(moed("bench", self.model, "--layer", "9").returncode, 2)


class Verify(WithModel):
    def test_every_type_keeps_within_its_limit(self):
        for kind, limit in (("f32", "1e-06"), ("f16", "0.0004"), ("bf16", "0.003"), ("q8_0", "0.0125")):
            model = self.folder / f"{kind}.gguf"
            made = moed("synth", model, "--preset", "tiny", "--layers", 2, "--type", kind)
            self.assertEqual(made.returncode, 0, made.stderr)
            result = moed("verify", model, "--rows", 8)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            lines = [line.split() for line in result.stdout.splitlines()[2:]]
            self.assertEqual([line[0] for line in lines], ["0", "1"])
            self.assertEqual([[line[3], line[4], line[6]] for line in lines], [[limit, "same", "ok"]] * 2)

    def test_f32_activations_are_as_exact_as_f32_weights(self):
        for kind in ("f16", "bf16", "q4_k_m", "q8_0"):
            model = self.folder / f"exact-{kind}.gguf"
            made = moed("synth", model, "--preset", "tiny", "--layers", 2, "--type", kind)
            self.assertEqual(made.returncode, 0, made.stderr)
            result = moed("verify", model, "--rows", 8, "--activations", "f32")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertIn("f32 rows", result.stdout)
            self.assertEqual({line.split()[3] for line in result.stdout.splitlines()[2:]}, {"1e-06"})

    def test_weights_that_cannot_be_right_are_named(self):
        model = self.folder / "broken.gguf"
        made = moed("synth", model, "--preset", "tiny", "--type", "q8_0")
        self.assertEqual(made.returncode, 0, made.stderr)
        data = bytearray(model.read_bytes())
        size = 256 * 256 // 32 * 34  # of an expert; the down tensor is the last, its 8 experts at the end
        data[-2 * size:-size] = bytes(size)
        data[-size:2 - size] = b"\x00\x7c"
        model.write_bytes(data)
        result = moed("verify", model, "--rows", 4)
        self.assertEqual(result.returncode, 1)
        last = result.stdout.index("float64 reference")
        for line in ("expert 6 holds nothing but zeros", "expert 7 holds NaN or infinite weights"):
            self.assertIn(f"tensor blk.0.ffn_down_exps.weight, {line}\n", result.stdout[:last])
        # Zeros alone agree with themselves; they are a failure all the same.
        data[-size:] = data[-3 * size:-2 * size]
        model.write_bytes(data)
        result = moed("verify", model, "--rows", 4)
        self.assert_ends(result, 1, "1 weights, or experts of one, cannot be right")
        self.assertNotIn("FAILED", result.stdout)

    def test_the_reference_agrees_with_itself_to_the_bit(self):
        result = moed("verify", self.model, "--backend", "reference", "--rows", 4, "--layers", "1")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.splitlines()[-1].split()[2:], ["0", "0.0125", "same", "0", "ok"])


class Answer(http.server.BaseHTTPRequestHandler):
    status, paths = 200, []

    def do_GET(self):
        self.paths.append(self.path)
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def answering(status):
    handler = type("Handler", (Answer,), {"status": status, "paths": []})
    server = http.server.HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", handler.paths
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Health(Case):
    def test_ready(self):
        with answering(200) as (address, paths):
            for url in (f"http://{address}", f"http://{address}/", address, f"http://{address}/livez"):
                self.assert_ends(moed("health", url), 0)
        self.assertEqual(paths, ["/readyz", "/readyz", "/readyz", "/livez"])

    def test_not_ready(self):
        with answering(503) as (address, _):
            self.assert_ends(moed("health", f"http://{address}"), 1, 'expected 200, found "HTTP/1.0 503')

    def test_nobody_there(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            self.assert_ends(moed("health", url), 1, "cannot connect")

    def test_silence(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            self.assert_ends(moed("health", url, "--timeout-ms", "100"), 1, "timed out")

    def test_a_server_that_trickles(self):
        """The patience is for the whole answer, however many bytes keep coming."""
        def trickle(listener, first, stop):
            with listener.accept()[0] as plain, contextlib.suppress(OSError):
                plain.sendall(first)
                while not stop.wait(0.1):
                    plain.sendall(b"x")

        head = b"HTTP/1.1 200 OK\r\nX: "
        commands = [(b"", "health")]
        if has_server():
            commands += [(head, "shards"), (head, "load", "--clients", "1", "--seconds", "0.1")]
        for first, *words in commands:
            stop = threading.Event()
            with socket.create_server(("127.0.0.1", 0)) as listener:
                listener.settimeout(PATIENCE)  # for a command that never comes
                thread = threading.Thread(target=trickle, args=(listener, first, stop))
                thread.start()
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                try:
                    result = moed(words[0], url, *words[1:], "--timeout-ms", "300")
                finally:
                    stop.set()
                    thread.join()
            self.assertNotEqual(result.returncode, 0, words)
            self.assertIn("timed out", result.stdout + result.stderr, words)

    def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
            path = f"{folder}/s"
            server.bind(path)
            server.listen()
            server.settimeout(PATIENCE)

            def answer():
                client, _ = server.accept()
                with client:
                    client.recv(1000)
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            thread = threading.Thread(target=answer)
            thread.start()
            self.assert_ends(moed("health", f"unix:{path}"), 0)
            thread.join()
            self.assert_ends(moed("health", f"unix:{folder}/none"), 1, "cannot connect")
            self.assert_ends(moed("health", "unix:" + "x" * 200), 1, "cannot connect")

    def test_wrong_urls(self):
        for url in ("https://", "http://", "ftp://x/y", ":8080", "http://h:123456789/"):
            self.assert_ends(moed("health", url), 2, "expected http://HOST:PORT, https://HOST:PORT or unix:PATH")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--moed", required=True)
    known, rest = parser.parse_known_args()
    MOED = str(pathlib.Path(known.moed).resolve())
    program = unittest.main(argv=[sys.argv[0], "-v", *rest], exit=False)
    result = program.result
    bad = len({str(test) for test, _ in result.failures + result.errors})
    skipped = len(result.skipped)
    print(f"{result.testsRun - bad - skipped} passed, {bad} failed, {skipped} skipped", file=sys.stderr)
    sys.exit(not result.wasSuccessful())
