"""Several servers as one model."""
import contextlib
import json
import unittest

import harness
import ml_dtypes
import moed
import numpy as np
from both import both
from moed.info import parse_info

QUICK = moed.Settings(retry=moed.Retry(attempts=4, base=0.001, most=0.01))


@both
class Fleet(unittest.TestCase):
    """f32-two-layers, layer 0 twice and layer 1 once."""

    def setUp(self):
        self.case = harness.case("f32-two-layers")
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.servers = [self.stack.enter_context(harness.Server(self.case.model, "--layers", layers))
                        for layers in ("0", "0", "1")]
        self.urls = [server.url for server in self.servers]
        self.client = self.stack.enter_context(self.make(self.urls, QUICK))
        self.hidden = np.frombuffer(self.case.bytes(0, "hidden.f32"), "<f4").reshape(
            -1, self.case.hidden)

    def rows_at(self, server, layer):
        return server.metric("moed_rows_total", layer=str(layer))

    def test_each_layer_goes_where_it_is(self):
        shards = self.client.shards
        self.assertEqual(shards.replicas(0), tuple(self.urls[:2]))
        self.assertEqual(shards.replicas(1), (self.urls[2],))
        self.assertEqual(shards.missing, ())
        self.assertEqual(shards.limit("max_request_rows"), 8192)
        self.assertIsNone(shards.limit("no_such_limit"))
        for layer in (0, 1):
            for _ in range(4):
                output = self.client.forward(self.hidden, layer).output
            expected = np.frombuffer(self.case.bytes(layer, "output.f32"), "<f4")
            if self.case.bytes(layer, "hidden.f32") == self.hidden.tobytes():
                self.assertLess(harness.relative_l2(output.ravel(), expected), 1e-6)
        for server, layer in zip(self.servers, (0, 0, 1)):
            self.assertGreater(self.rows_at(server, layer), 0)

    def test_a_replica_that_dies_is_not_missed(self):
        expected = self.client.forward(self.hidden, 0).output.tobytes()
        self.servers[0].process.kill()
        self.servers[0].process.wait()
        for _ in range(6):
            self.assertEqual(self.client.forward(self.hidden, 0).output.tobytes(), expected)
        shards = self.client.refresh()
        self.assertEqual(list(shards.unreachable), [self.urls[0]])
        self.assertEqual(shards.replicas(0), (self.urls[1],))
        self.stack.pop_all()  # its exit status is not 0: that is the test's doing
        for server in self.servers[1:]:
            server.stop()
        for server in self.servers:
            server.kill()

    def test_a_layer_that_nobody_serves(self):
        with self.make(self.urls[:2], QUICK) as half:
            self.assertEqual(half.shards.missing, (1,))
            with self.assertRaisesRegex(moed.ShardError, "no server serves layer 1; served are 0$"):
                half.forward(self.hidden, 1)

    def test_one_url_is_asked_as_it_is(self):
        with self.make(self.urls[0]) as one, self.assertRaises(moed.ServerError) as caught:
            one.forward(self.hidden, 1)
        self.assertEqual(caught.exception.status, 421)

    def test_info_is_of_the_first_that_answers_or_has_the_layer(self):
        self.assertEqual(list(self.client.info().layers), [0])
        self.assertEqual(list(self.client.info(layer=1).layers), [1])


@both
class Parts(unittest.TestCase):
    """The experts of a layer on two servers, one of them with a replica, beside the whole."""

    def setUp(self):
        self.case = harness.case("f32-two-layers")
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.servers = [stack.enter_context(harness.Server(self.case.model, *flags)) for flags in (
            ("--experts", "3-7"), ("--experts", "0-2"), ("--experts", "3-7"), ())]
        urls = [server.url for server in self.servers]
        self.parts = stack.enter_context(self.make(urls[:3], QUICK))
        self.whole = stack.enter_context(self.make(urls[3], QUICK))
        self.half = stack.enter_context(self.make(urls[0], QUICK))
        self.hidden = np.frombuffer(self.case.bytes(0, "hidden.f32"), "<f4").reshape(
            -1, self.case.hidden)

    def test_they_add_up(self):
        for options in ({}, {"block": "norm_ffn_residual"}, {"parts": ("output", "routing", "logits")}):
            found = self.parts.forward(self.hidden, 1, **options)
            expected = self.whole.forward(self.hidden, 1, **options)
            self.assertLess(harness.relative_l2(found.output.ravel(), expected.output.ravel()), 1e-6)
            self.assertEqual(set(found.timing), {"queue", "compute"})
        self.assertEqual(found.routing.expert_ids.tolist(), expected.routing.expert_ids.tolist())
        self.assertEqual(found.logits.tobytes(), expected.logits.tobytes())

    def test_types(self):
        bits = self.hidden.astype(ml_dtypes.bfloat16)
        for rows, tolerance in ((self.hidden.astype(np.float16), 1e-3), (bits, 1e-2),
                                (bits.view(np.uint16), 1e-2)):
            found, expected = self.parts.forward(rows, 0).output, self.whole.forward(rows, 0).output
            self.assertEqual(found.dtype, expected.dtype)
            if found.dtype == np.uint16:
                found, expected = found.view(ml_dtypes.bfloat16), expected.view(ml_dtypes.bfloat16)
            self.assertLess(harness.relative_l2(found.astype(float).ravel(),
                                                expected.astype(float).ravel()), tolerance)

    def test_any_of_them_routes(self):
        self.assertEqual(self.parts.route(self.hidden, 0).routing.weights.tobytes(),
                         self.whole.route(self.hidden, 0).routing.weights.tobytes())

    def test_a_part_alone_is_refused(self):
        with self.assertRaises(moed.ServerError) as caught:
            self.half.forward(self.hidden, 0)
        self.assertEqual(caught.exception.code, "expert_not_served")


@both
class Nobody(unittest.TestCase):
    def test_no_server_answers(self):
        with self.make(["http://127.0.0.1:1", "http://127.0.0.1:2"], QUICK) as client:
            with self.assertRaisesRegex(moed.ShardError, "no server answers: .*:1: .*:2: "):
                client.forward(np.zeros((1, 4), np.float32), 0)


def info(**changes):
    """What a server says, changed; names of a layer's fields begin with layer_."""
    layer = {"layer": 3, "hidden": 8, "experts": 4, "experts_used": 2, "expert_width": 16,
             "types": {"gate": "q4_k"}, "fingerprint": "aa"}
    whole = {"name": "m", "architecture": "qwen3moe", "moe_layers": [3, 4, 5, 9], "limits": {}}
    for name, value in changes.items():
        place = layer if name.startswith("layer_") else whole
        place[name.removeprefix("layer_") if place is layer else name] = value
    return parse_info("http://x", json.dumps({**whole, "layers": [layer]}).encode())


class Contradictions(unittest.TestCase):
    def test_servers_that_agree(self):
        shards = moed.Shards({"http://a": info(), "http://b": info(layer_layer=4), "http://c": info()})
        self.assertEqual(shards.replicas(3), ("http://a", "http://c"))
        self.assertEqual([shards.parts(3)[0][0] for _ in range(4)],
                         ["http://a", "http://c", "http://a", "http://c"])
        self.assertEqual(shards.missing, (5, 9))
        with self.assertRaisesRegex(moed.ShardError, "layer 9; served are 3-4$"):
            shards.parts(9)

    def test_servers_of_two_models(self):
        for name, value in (("architecture", "llama"), ("moe_layers", [3, 4]), ("layer_hidden", 9),
                            ("layer_experts", 8), ("layer_experts_used", 1), ("layer_expert_width", 8),
                            ("layer_types", {"gate": "q8_0"}), ("layer_fingerprint", "bb")):
            with self.subTest(name):
                with self.assertRaisesRegex(moed.ShardError, "http://b.*http://a"):
                    moed.Shards({"http://a": info(), "http://b": info(**{name: value})})

    def test_parts_that_are_no_whole(self):
        for held, words in ((([0, 1], [3, 3]), "layer 3: no server holds experts 2$"),
                            (([0, 1], [1, 3]), "different parts hold experts 1$"),
                            (([0, 0],), "no server holds experts 1-3$")):
            shards = moed.Shards({f"http://{i}": info(layer_experts_held=[run])
                                  for i, run in enumerate(held)})
            with self.subTest(words), self.assertRaisesRegex(moed.ShardError, words):
                shards.parts(3)

    def test_a_server_that_has_all_is_asked_alone(self):
        shards = moed.Shards({"http://a": info(layer_experts_held=[[0, 1]]), "http://b": info()})
        self.assertEqual(shards.parts(3), [["http://b"]])
        self.assertEqual(shards.replicas(3), ("http://a", "http://b"))

    def test_names_may_differ(self):
        moed.Shards({"http://a": info(), "http://b": info(name="copy", limits={"x": 1})})
