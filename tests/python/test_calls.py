"""Calls and their answers, against a running moed."""
import array
import tempfile
import threading
import unittest

import harness
import ml_dtypes
import moed
import numpy as np
from both import both
from served import Served


@both
class Forward(Served):
    def test_golden_rows(self):
        result = self.client.forward(self.hidden, 0)
        self.assert_close(result.output, self.expected, 1e-6)
        self.assertEqual(result.layer, 0)
        self.assertEqual(set(result.timing), {"queue", "compute"})
        self.assertTrue(result.request_id)
        result.output[0] = 0  # its own numbers, not a read-only view of the answer

    def test_types_in_and_out(self):
        bits = self.hidden.astype(ml_dtypes.bfloat16)
        for rows, kind, tolerance in (
                (self.hidden.astype(np.float16), np.float16, 2e-3),
                (bits, ml_dtypes.bfloat16, 2e-2), (bits.view(np.uint16), np.uint16, 2e-2)):
            with self.subTest(str(rows.dtype)):
                output = self.client.forward(rows, 0).output
                self.assertEqual(output.dtype, np.dtype(kind))
                if kind is np.uint16:
                    output = output.view(ml_dtypes.bfloat16)
                self.assert_close(output, self.expected, tolerance)
                whole = self.client.forward(rows, 0, out_dtype="f32").output
                self.assertEqual(whole.dtype, np.float32)
                self.assert_close(whole, self.expected, tolerance)

    def test_bf16_answers_to_f32_rows_are_bits(self):
        output = self.client.forward(self.hidden, 0, out_dtype="bf16").output
        self.assertEqual(output.dtype, np.uint16)
        self.assert_close(output.view(ml_dtypes.bfloat16), self.expected, 1e-2)

    def test_shapes(self):
        whole = self.client.forward(self.hidden, 0).output
        n, width = self.hidden.shape
        one = self.client.forward(self.hidden[0], 0)
        self.assertEqual(one.output.shape, (width,))
        self.assertEqual(one.output.tobytes(), whole[0].tobytes())
        cube = self.client.forward(self.hidden.reshape(1, n, width), 0, parts=("output", "routing"))
        self.assertEqual(cube.output.shape, (1, n, width))
        self.assertEqual(cube.routing.weights.shape, (1, n, self.case.k))
        none = self.client.forward(self.hidden[:0], 0, parts=("output", "routing", "logits"))
        self.assertEqual(none.output.shape, (0, width))

    def test_memory_layouts(self):
        whole = self.client.forward(self.hidden, 0).output
        for rows in (np.asfortranarray(self.hidden), self.hidden.astype(">f4"),
                     np.repeat(self.hidden, 2, axis=0)[::2]):
            self.assertEqual(self.client.forward(rows, 0).output.tobytes(), whole.tobytes())

    def test_routing_and_logits(self):
        result = self.client.forward(self.hidden, 0, parts=("routing", "output", "logits"))
        self.assertEqual(result.routing.expert_ids.tobytes(), self.case.bytes(0, "expert_ids.i32"))
        logits = self.golden("logits.f32").reshape(len(self.hidden), -1)
        self.assert_close(result.logits, logits, 1e-5)
        self.assert_close(result.output, self.expected, 1e-6)

    def test_routing_of_the_caller(self):
        routing = self.client.route(self.hidden, 0).routing
        whole = self.client.forward(self.hidden, 0).output
        again = self.client.forward(self.hidden, 0, routing=routing).output
        self.assertEqual(again.tobytes(), whole.tobytes())
        half = moed.Routing(routing.expert_ids, routing.weights / 2)
        self.assert_close(self.client.forward(self.hidden, 0, routing=half).output, whole / 2, 1e-6)
        none = moed.Routing(np.full_like(routing.expert_ids, -1), routing.weights)
        self.assertFalse(self.client.forward(self.hidden, 0, routing=none).output.any())

    def test_route(self):
        result = self.client.route(self.hidden, 0, logits=True)
        self.assertEqual(result.routing.expert_ids.tobytes(), self.case.bytes(0, "expert_ids.i32"))
        self.assertEqual(result.logits.shape[0], len(self.hidden))
        with self.assertRaisesRegex(ValueError, "no output: it was not asked for"):
            result.output
        self.assertEqual(self.client.route(self.hidden, 0, block="norm_ffn").routing.weights.shape,
                         result.routing.weights.shape)

    def test_blocks(self):
        ffn = self.client.forward(self.hidden, 0).output
        normed = self.client.forward(self.hidden, 0, block="norm_ffn").output
        whole = self.client.forward(self.hidden, 0, block="norm_ffn_residual").output
        self.assertFalse(np.allclose(ffn, normed))
        self.assert_close(whole, normed + self.hidden, 1e-6)
        alone = self.client.forward(self.hidden, 0, shared_experts="exclude").output
        self.assertEqual(alone.tobytes(), ffn.tobytes())

    def test_a_generous_deadline(self):
        self.assert_close(self.client.forward(self.hidden, 0, deadline=30).output, self.expected,
                          1e-6)
        self.client.route(self.hidden, 0, deadline=30)
        self.client.info(deadline=30)

    def test_one_connection_is_kept(self):
        before = self.server.metric("moed_http_requests_total")
        for _ in range(5):
            self.client.forward(self.hidden, 0)
        self.assertEqual(self.server.metric("moed_http_requests_total") - before, 6)
        pool = next(iter(getattr(self.client, "client", self.client)._pools.values()))
        self.assertEqual(len(pool._idle), 1)


@both
class InfoOf(Served):
    def test_info(self):
        info = self.client.info()
        self.assertEqual(info.architecture, "qwen3moe")
        self.assertEqual(sorted(info.layers), self.case.layers)
        layer = info.layers[0]
        self.assertEqual((layer.hidden, layer.experts_used), (self.case.hidden, self.case.k))
        self.assertEqual(info.limits["max_request_rows"], 8192)
        self.assertEqual(info.raw["backend"]["name"], "cpu")


@both
class Refused(Served):
    """The server's own words arrive, or ours before anything is sent."""

    def refusal(self, *arguments, **options):
        with self.assertRaises(moed.ServerError) as caught:
            self.client.forward(*arguments, **options)
        return caught.exception

    def test_a_layer_that_is_not_there(self):
        error = self.refusal(self.hidden, 7)
        self.assertEqual((error.status, error.code), (404, "not_found"))
        self.assertIn("7", error.detail)
        self.assertTrue(error.request_id)
        for part in (self.server.url, "404 not_found", error.detail):
            self.assertIn(part, str(error))

    def test_a_wrong_width(self):
        error = self.refusal(self.hidden[:, :-1], 0)
        self.assertEqual((error.status, error.code), (400, "wrong_shape"))

    def test_a_row_that_is_not_finite(self):
        rows = self.hidden.copy()
        rows[2, 5] = np.nan
        error = self.refusal(rows, 0)
        self.assertEqual((error.status, error.code), (422, "not_finite"))
        self.assertIn("row 2", error.detail)

    def test_a_block_that_is_none(self):
        self.assertIn("norm_ffn", self.refusal(self.hidden, 0, block="moe").detail)

    def test_buffers_and_dlpack_are_taken_as_they_are(self):
        class Tensor:
            """As torch's: no array, but with DLPack."""
            def __init__(self, rows):
                self.rows = rows

            def __dlpack__(self, **options):
                if self.rows is None:
                    raise BufferError("unsupported type bfloat16")
                return self.rows.__dlpack__(**options)

            def __dlpack_device__(self):
                return (1, 0)

        expected = self.client.forward(self.hidden, 0).output
        rows = self.hidden.copy()
        for hidden in (Tensor(rows), memoryview(rows)):
            np.testing.assert_array_equal(self.client.forward(hidden, 0).output, expected)
        one = array.array("f", self.hidden[0].tolist())
        np.testing.assert_array_equal(self.client.forward(one, 0).output, expected[0])
        with self.assertRaisesRegex(TypeError, "a Tensor that numpy cannot read"):
            self.client.forward(Tensor(None), 0)

    def test_lists_are_taken_for_rows(self):
        expected = self.client.forward(self.hidden, 0)
        for rows in (self.hidden.tolist(), tuple(map(tuple, self.hidden.tolist()))):
            found = self.client.forward(rows, 0)
            np.testing.assert_array_equal(found.output, expected.output)
            self.assertEqual(found.output.dtype, np.float32)
            np.testing.assert_array_equal(self.client.route(rows, 0).routing.expert_ids,
                                          self.client.route(self.hidden, 0).routing.expert_ids)
        for kind, words, rows in ((ValueError, "equally many", [[1.0, 2.0], [3.0]]),
                                  (ValueError, "equally many", [["one"]]),
                                  (TypeError, "a bytes, expected a numpy array", b"\0\0\0\0"),
                                  (TypeError, "a float, expected a numpy array", 1.0)):
            with self.subTest(words), self.assertRaisesRegex(kind, words):
                self.client.forward(rows, 0)

    def test_what_is_refused_here(self):
        routing = self.client.route(self.hidden, 0).routing
        for kind, words, rows, options in (
                (TypeError, "float64", self.hidden.astype(np.float64), {}),
                (ValueError, "no axis", np.float32(1), {}),
                (ValueError, "dtype is 'f64'", self.hidden, {"out_dtype": "f64"}),
                (ValueError, "parts are", self.hidden, {"parts": ("timing",)}),
                (ValueError, "parts are", self.hidden, {"parts": ()}),
                (ValueError, "leading axes", self.hidden[1:], {"routing": routing})):
            with self.subTest(words), self.assertRaisesRegex(kind, words):
                self.client.forward(np.asarray(rows), 0, **options)


@both
class Keys(unittest.TestCase):
    def test_a_server_that_asks_for_a_key(self):
        case = harness.case("f32-two-layers")
        with tempfile.NamedTemporaryFile("w") as file:  # for its owner alone, as the server asks
            file.write("open-sesame-open-sesame\n")
            file.flush()
            with harness.Server(case.model, "--api-key-file", file.name) as server:
                with self.make(server.url, moed.Settings(api_key="open-sesame-open-sesame")) as client:
                    self.assertEqual(sorted(client.info().layers), case.layers)
                for settings in (None, moed.Settings(api_key="open-barley-open-barley")):
                    with self.make(server.url, settings) as client:
                        with self.assertRaises(moed.ServerError) as caught:
                            client.info()
                        self.assertEqual(caught.exception.status, 401)
                        self.assertEqual(caught.exception.code, "unauthorized")


class Threads(Served):
    make = moed.Client

    def test_many_threads_share_a_client(self):
        expected = self.client.forward(self.hidden, 0).output.tobytes()
        wrong = []

        def work():
            for _ in range(20):
                if self.client.forward(self.hidden, 0).output.tobytes() != expected:
                    wrong.append(1)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class Tasks(Served):
    make = moed.Client

    def test_many_tasks_share_a_client(self):
        import asyncio

        expected = self.client.forward(self.hidden, 0).output.tobytes()

        async def work():
            async with moed.AsyncClient(self.server.url) as client:
                return await asyncio.gather(*(client.forward(self.hidden, 0) for _ in range(64)))

        for result in asyncio.run(work()):
            self.assertEqual(result.output.tobytes(), expected)


del Served  # a base, no test
