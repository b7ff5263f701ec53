"""Where the block begins and ends, and which of its parts are computed: "block",
"shared_experts", layers whose routing must be supplied, and architectures from a file."""
import contextlib
import math
import os
import struct
import tempfile
import unittest

import harness
from gguf import Gguf
from harness import f32, flat, floats


@contextlib.contextmanager
def arch_file(*lines):
    with tempfile.NamedTemporaryFile("w", suffix=".arch") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        yield file.name


def rms(row, weight, epsilon):
    scale = 1 / math.sqrt(math.fsum(x * x for x in row) / len(row) + epsilon)
    return [x * scale * w for x, w in zip(row, weight)]


class Case:
    """A golden case on a server, perhaps with a side file of its own."""

    def __init__(self, server, case):
        self.server, self.case, self.layer = server, case, case.layers[0]
        self.rows = case.rows(self.layer)
        self.raw = case.bytes(self.layer, "hidden.f32")
        self.path = f"/v1/moe/layers/{self.layer}/forward"
        file = Gguf(case.model)
        self.norm = file.tensors.get(f"blk.{self.layer}.ffn_norm.weight")
        self.epsilon = file.keys[file.keys["general.architecture"] +
                                 ".attention.layer_norm_rms_epsilon"]

    def post(self, rows=None, **fields):
        return self.server.post(self.path, {"hidden_states": rows or self.rows, **fields})

    def output(self, rows=None, **fields):
        answer = self.post(rows, **fields)
        assert answer.status == 200, answer
        return f32(flat(answer.json()["output"]))

    def normed(self):
        return [rms(row, self.norm, self.epsilon) for row in self.rows]


@contextlib.contextmanager
def serving(name, *lines):
    case = harness.case("arch/" + name)
    with contextlib.ExitStack() as stack:
        flags = ["--arch-file", stack.enter_context(arch_file(*lines))] if lines else []
        yield Case(stack.enter_context(harness.Server(case.model, *flags)), case)


class Blocks(unittest.TestCase):
    def near(self, found, expected, limit=1e-6):
        self.assertEqual(len(found), len(expected))
        self.assertLess(harness.relative_l2(found, expected), limit)

    def refused(self, answer, *words):
        self.assertEqual(answer.status, 422, answer)
        self.assertEqual(answer.json()["code"], "unprocessable")
        for word in words:
            self.assertIn(word, answer.json()["detail"])

    # ---- shared experts ----
    def test_shared_and_routed_add_up(self):
        for name in ("qwen2moe", "deepseek2-v3", "nemotron_h_moe"):  # gated, plain, ungated
            with self.subTest(name), serving(name) as s:
                whole = s.output()
                routed, shared = (s.output(shared_experts=mode) for mode in ("exclude", "only"))
                self.near([a + b for a, b in zip(routed, shared)], whole)
                self.assertNotEqual(routed, whole)
                self.assertEqual(s.output(shared_experts="include"), whole)
                for mode, expected in (("include", whole), ("exclude", routed), ("only", shared)):
                    raw = s.server.post_raw(f"{s.path}?shared_experts={mode}", s.raw)
                    self.assertEqual(floats(raw.body), expected)

    def test_no_shared_expert_alone(self):
        with serving("mixtral") as s:
            self.refused(s.post(shared_experts="only"), "has no shared expert")
            self.assertEqual(s.output(shared_experts="exclude"), s.output())

    # ---- norm and residual ----
    def test_norm_is_the_layers(self):
        with serving("qwen2moe") as s:
            self.near(s.output(block="norm_ffn"), s.output(s.normed()))
            raw = s.server.post_raw(s.path + "?block=norm_ffn", s.raw)
            self.assertEqual(floats(raw.body), s.output(block="norm_ffn"))
            residual = [h + y for h, y in zip(flat(s.rows), s.output(block="norm_ffn"))]
            self.near(s.output(block="norm_ffn_residual"), residual)
            raw = s.server.post_raw(s.path, s.raw, {"X-MoE-Block": "norm_ffn_residual"})
            self.assertEqual(floats(raw.body), s.output(block="norm_ffn_residual"))

    def test_the_sum_is_scaled_before_it_joins_the_residual(self):
        with serving("granitemoe", "name = granitemoe", "like = granitemoe",
                     "residual_scale = 0.22") as s:
            ffn = s.output(block="norm_ffn")
            self.near(ffn, s.output(s.normed()))
            self.near(s.output(block="norm_ffn_residual"),
                      [h + 0.22 * y for h, y in zip(flat(s.rows), ffn)])

    def test_a_residual_may_be_of_the_normed_row(self):
        with serving("mixtral", "name = llama", "like = llama", "residual = normed",
                     "residual_scale = 0.5") as s:
            self.near(s.output(block="norm_ffn_residual"),
                      [0.5 * x + y for x, y in zip(flat(s.normed()), s.output(block="norm_ffn"))])

    def test_a_post_norm_comes_with_the_residual_alone(self):
        with serving("afmoe", "name = afmoe", "like = afmoe", "post_norm = ffn_norm") as s:
            plain = s.output()
            self.near(plain, floats(s.case.bytes(s.layer, "output.f32")))
            ffn = s.output(block="norm_ffn")
            self.near(ffn, s.output(s.normed()))
            post = [rms(row, s.norm, s.epsilon) for row in harness.rows_of(ffn, s.case.hidden)]
            self.near(s.output(block="norm_ffn_residual"),
                      [h + y for h, y in zip(flat(s.rows), flat(post))])

    def test_a_norm_leaves_the_routing_to_the_normed_rows(self):
        with serving("qwen2moe") as s:
            found = s.post(block="norm_ffn", **{"return": ["routing"]}).json()["routing"]
            expected = s.post(s.normed(), **{"return": ["routing"]}).json()["routing"]
            self.assertEqual(found["expert_ids"], expected["expert_ids"])

    def test_refused_blocks_say_why(self):
        with serving("jamba", "name = jamba", "like = arctic") as s:
            self.refused(s.post(block="norm_ffn"), "takes only \"ffn\"", "no norm tensor")
        with serving("jamba", "name = jamba", "like = jamba", "residual = caller",
                     "refuses_residual = the stream has four lanes") as s:
            self.assertEqual(s.post(block="norm_ffn").status, 200)
            self.refused(s.post(block="norm_ffn_residual"), "norm_ffn_residual", "four lanes")
            raw = s.server.post_raw(s.path + "?block=norm_ffn_residual", s.raw)
            self.refused(raw, "four lanes")
            layer = s.server.get("/v1/moe/info").json()["layers"][0]
            self.assertEqual(layer["blocks"], ["ffn", "norm_ffn"])

    # ---- routing that the server cannot choose ----
    def test_routing_that_must_be_supplied(self):
        with serving("qwen2moe") as s:
            known = s.post(**{"return": ["output", "routing"]}).json()
        with serving("qwen2moe", "name = qwen2moe", "like = qwen2moe",
                     "refuses_routing = it reads the layer's input") as s:
            self.refused(s.post(), "routing must be supplied", "it reads the layer's input")
            self.refused(s.server.post_raw(s.path, s.raw), "routing must be supplied")
            self.refused(s.server.post(s.path.replace("forward", "route"),
                                       {"hidden_states": s.rows}), "routing must be supplied")
            self.assertEqual(s.output(routing=known["routing"]), f32(flat(known["output"])))
            ids, weights = (flat(known["routing"][key]) for key in ("expert_ids", "weights"))
            data = s.raw + struct.pack(f"<{len(ids)}i", *ids) + f32(weights).tobytes()
            raw = s.server.post_raw(f"{s.path}?routing=topk&k={s.case.k}", data)
            self.assertEqual(floats(raw.body), f32(flat(known["output"])))
            self.assertEqual(s.post(shared_experts="only").status, 200)
            layer = s.server.get("/v1/moe/info").json()["layers"][0]
            self.assertEqual(layer["refuses_routing"], "it reads the layer's input")

    # ---- architectures from outside ----
    def test_a_new_name(self):
        case = harness.case("arch/deepseek2-v3")
        with open(case.model, "rb") as file, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.gguf")
            with open(path, "wb") as renamed:
                renamed.write(file.read().replace(b"deepseek2", b"seekdeep9"))
            with self.assertRaises(harness.LoadError) as caught:
                harness.Server(path)
            self.assertIn('"seekdeep9" is not in the table', str(caught.exception))
            with arch_file("name = seekdeep9", "like = deepseek2") as side, \
                    harness.Server(path, "--arch-file", side) as server:
                answer = server.post_raw("/v1/moe/forward", case.bytes(case.layers[0], "hidden.f32"))
                self.near(floats(answer.body), floats(case.bytes(case.layers[0], "output.f32")))
                info = server.get("/v1/moe/info").json()
                self.assertEqual(info["architecture"], "seekdeep9")
                self.assertIn("in the best 2 of 4 groups", info["layers"][0]["router"])

    def test_a_bad_file_stops_the_start(self):
        case = harness.case("q8_0")
        with arch_file("name = x", "score = loud") as side:
            with self.assertRaises(harness.LoadError) as caught:
                harness.Server(case.model, "--arch-file", side)
        self.assertIn(f'{side}, line 2: score: found "loud"', str(caught.exception))


if __name__ == "__main__":
    unittest.main()
