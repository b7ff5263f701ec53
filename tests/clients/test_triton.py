"""tritonclient.http as NVIDIA publishes it, blocking and asyncio: each test is run with both, and
every answer compared with the same rows sent raw."""
import asyncio
import concurrent.futures
import unittest

import ml_dtypes
import numpy as np
import tritonclient.http
import tritonclient.http.aio
from tritonclient.http import InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

import harness

TYPES = {"FP32": (np.float32, "f32"), "FP16": (np.float16, "f16"), "BF16": (ml_dtypes.bfloat16, "bf16")}


class Blocking(tritonclient.http.InferenceServerClient):
    """As it is."""


class Asyncio:
    """The asyncio client, whose coroutines are run to their end."""

    def __init__(self, url):
        self.loop = asyncio.new_event_loop()
        self.client = self.loop.run_until_complete(self.make(url))

    @staticmethod
    async def make(url):
        return tritonclient.http.aio.InferenceServerClient(url)

    def __getattr__(self, name):
        method = getattr(self.client, name)
        return lambda *words, **options: self.loop.run_until_complete(method(*words, **options))

    def close(self):
        self.loop.run_until_complete(self.client.close())
        self.loop.close()


def tensor(name, datatype, values, binary=True):
    described = InferInput(name, list(values.shape), datatype)
    return described.set_data_from_numpy(values, binary_data=binary)


def setUpModule():
    global case, server, rows, width
    case = harness.case("f32-two-layers")
    server = harness.Server(case.model, "--name", "two")
    rows, width = np.frombuffer(case.bytes(0, "hidden.f32"), np.float32), case.hidden
    rows = rows.reshape(-1, width)


def tearDownModule():
    with server:
        pass


def raw(values, name, layer=0, parts="output"):
    answer = server.post_raw(f"/v1/moe/layers/{layer}/forward?dtype={name}&return={parts}", values.tobytes())
    assert answer.status == 200, answer
    return answer.body


class Shared:
    """The tests; `make` is the kind of client."""

    def setUp(self):
        self.client = self.make(f"127.0.0.1:{server.port}")
        self.addCleanup(self.client.close)

    def refused(self, status, word, call, *words, **options):
        with self.assertRaises(InferenceServerException) as caught:
            call(*words, **options)
        self.assertEqual(caught.exception.status(), str(status))
        self.assertIn(word, caught.exception.message())
        self.assertNotIn("exception occurred in the client", caught.exception.message())

    # ---- what is asked before ----
    def test_health(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("two"))
        self.assertTrue(self.client.is_model_ready("two.layer1", "1"))
        self.assertFalse(self.client.is_model_ready("two.layer1", "2"))
        self.assertFalse(self.client.is_model_ready("three"))

    def test_documents(self):
        server_metadata = self.client.get_server_metadata()
        self.assertEqual(server_metadata["name"], "moed")
        self.assertIn("binary_tensor_data", server_metadata["extensions"])
        index = self.client.get_model_repository_index()
        self.assertEqual([m["name"] for m in index], [f"two{layer}{routed}" for routed in ("", ".routed")
                                                      for layer in ("", ".layer0", ".layer1")])
        for model in index:
            metadata = self.client.get_model_metadata(model["name"], model["version"])
            config = self.client.get_model_config(model["name"])
            self.assertEqual([i["name"] for i in metadata["inputs"]], [i["name"] for i in config["input"]])
            self.assertEqual(metadata["inputs"][0]["shape"], [-1, width])
        self.refused(404, "nobody", self.client.get_model_metadata, "nobody")
        self.refused(501, "tracing", self.client.get_trace_settings)
        self.refused(501, "shared memory", self.client.get_system_shared_memory_status)

    def test_statistics(self):
        def counts(name):
            found, = self.client.get_inference_statistics(name)["model_stats"]
            return found["inference_count"], {key: value["count"]
                                              for key, value in found["inference_stats"].items()}
        inferences, before = counts("two.layer1")
        for _ in range(3):
            self.client.infer("two.layer1", [tensor("hidden_states", "FP32", rows)])
        self.assertTrue(harness.eventually(lambda: counts("two.layer1")[0] == inferences + 3 * len(rows)))
        after = counts("two.layer1")[1]
        for name in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
            self.assertEqual(after[name] - before[name], 3, name)
        names = [m["name"] for m in self.client.get_inference_statistics()["model_stats"]]
        self.assertEqual(names, ["two", "two.layer0", "two.layer1"])

    # ---- rows ----
    def test_types_and_forms(self):
        for datatype, (numpy_type, name) in TYPES.items():
            values = rows.astype(numpy_type)
            expected = raw(values, name)
            for binary_in in (True, False) if datatype != "BF16" else (True,):
                for binary_out in (True, False):
                    found = self.client.infer(
                        "two.layer0", [tensor("hidden_states", datatype, values, binary_in)],
                        outputs=[InferRequestedOutput("output", binary_data=binary_out)])
                    output = found.as_numpy("output")
                    self.assertEqual((output.dtype, output.shape), (numpy_type, rows.shape))
                    self.assertEqual(output.tobytes(), expected, (datatype, binary_in, binary_out))
                    self.assertIsNone(found.as_numpy("expert_ids"))

    def test_without_outputs_all_come_as_binary(self):
        found = self.client.infer("two.layer0", [tensor("hidden_states", "FP32", rows)],
                                  request_id="17 \u00fc \"")
        expected = raw(rows, "f32", parts="output,routing")
        self.assertEqual(b"".join(found.as_numpy(name).tobytes() for name in
                                  ("output", "expert_ids", "expert_weights")), expected)
        response = found.get_response()
        self.assertEqual(response["id"], "17 \u00fc \"")
        self.assertEqual((response["model_name"], response["model_version"]), ("two.layer0", "1"))
        self.assertTrue(all("data" not in output for output in response["outputs"]))

    def test_parameters_and_versions(self):
        second = raw(rows, "f32", layer=1)
        hidden = [tensor("hidden_states", "FP32", rows)]
        for options in ({"parameters": {"layer": 1}},
                        {"parameters": {"layer": 1, "block": "ffn"}, "model_version": "1"},
                        {"query_params": {"layer": 1}, "timeout": 60000000, "priority": 2}):
            self.assertEqual(self.client.infer("two", hidden, **options).as_numpy("output").tobytes(), second)
        wide = self.client.infer("two.layer1", [tensor("hidden_states", "FP16", rows.astype(np.float16))],
                                 parameters={"output_dtype": "f32"}).as_numpy("output")
        self.assertEqual(wide.dtype, np.float32)

    def test_supplied_routing(self):
        hidden = tensor("hidden_states", "FP32", rows)
        chosen = self.client.infer("two.layer0", [hidden], outputs=[
            InferRequestedOutput("expert_ids"), InferRequestedOutput("expert_weights", binary_data=False)])
        ids, weights = chosen.as_numpy("expert_ids"), chosen.as_numpy("expert_weights")
        self.assertEqual((ids.dtype, weights.dtype), (np.int32, np.float32))
        self.assertEqual(ids.tobytes(), case.bytes(0, "expert_ids.i32"))
        self.assertIsNone(chosen.as_numpy("output"))
        for binary in (True, False):
            again = self.client.infer("two.layer0", [
                tensor("expert_ids", "INT32", ids, binary), hidden,
                tensor("expert_weights", "FP32", weights, not binary)])
            self.assertEqual(again.as_numpy("output").tobytes(), raw(rows, "f32"))
        halved = self.client.infer("two.layer0", [hidden, tensor("expert_ids", "INT32", ids),
                                                  tensor("expert_weights", "FP32", weights / 2)])
        self.assertTrue(np.allclose(halved.as_numpy("output") * 2, again.as_numpy("output"), atol=1e-6))

    def test_no_rows_and_many(self):
        none = np.empty((0, width), np.float32)
        for binary in (True, False):
            found = self.client.infer("two.layer0", [tensor("hidden_states", "FP32", none, binary)])
            self.assertEqual(found.as_numpy("output").shape, (0, width))
        many = np.tile(rows, (64, 1))
        for binary in (True, False):
            found = self.client.infer("two.layer0", [tensor("hidden_states", "FP32", many, binary)],
                                      outputs=[InferRequestedOutput("output", binary_data=binary)])
            self.assertEqual(found.as_numpy("output").tobytes(), raw(rows, "f32") * 64)

    def test_errors_are_the_server_s_words(self):
        hidden = tensor("hidden_states", "FP32", rows)
        infer = self.client.infer
        self.refused(404, "no such model: three", infer, "three", [hidden])
        self.refused(400, "layer: missing", infer, "two", [hidden])
        self.refused(400, "parameters.colour", infer, "two.layer0", [hidden], parameters={"colour": "red"})
        self.refused(400, "logits", infer, "two.layer0", [hidden], outputs=[InferRequestedOutput("logits")])
        self.refused(400, f"expected [{len(rows)}, {width}]", infer, "two.layer0",
                     [tensor("hidden_states", "FP32", rows[:, :-1].copy())])
        self.refused(400, "FP64", infer, "two.layer0", [tensor("hidden_states", "FP64", rows.astype(float))])
        broken = rows.copy()
        broken[1, 2] = np.nan
        self.refused(422, "row 1, column 2", infer, "two.layer0", [tensor("hidden_states", "FP32", broken)])
        ids = np.zeros((len(rows), 2), np.int32)
        self.refused(422, "expert", infer, "two.layer0", [
            hidden, tensor("expert_ids", "INT32", ids), tensor("expert_weights", "FP32", ids.astype(np.float32))])
        self.assertEqual(infer("two.layer0", [hidden]).as_numpy("output").tobytes(), raw(rows, "f32"))


class Sync(Shared, unittest.TestCase):
    make = Blocking

    def test_async_infer(self):
        """Many at once on few connections: each gets its own answer."""
        client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=4)
        self.addCleanup(client.close)
        expected = raw(rows, "f32")
        pending = [client.async_infer("two.layer0", [tensor("hidden_states", "FP32", rows[i:i + 1].copy())])
                   for i in list(range(len(rows))) * 4]
        outputs = [request.get_result().as_numpy("output").tobytes() for request in pending]
        self.assertEqual(b"".join(outputs), expected * 4)

    def test_bodies_without_a_connection(self):
        body, size = Blocking.generate_request_body([tensor("hidden_states", "FP32", rows)])
        answer = server.request("POST", "/v2/models/two.layer0/infer", body,
                                {"Inference-Header-Content-Length": str(size)})
        found = Blocking.parse_response_body(
            answer.body, header_length=int(answer.headers["Inference-Header-Content-Length"]))
        self.assertEqual(found.as_numpy("output").tobytes(), raw(rows, "f32"))

    def test_threads(self):
        def ask(layer):
            client = Blocking(f"127.0.0.1:{server.port}")
            outputs = {client.infer(f"two.layer{layer}", [tensor("hidden_states", "FP32", rows)])
                       .as_numpy("output").tobytes() for _ in range(8)}
            client.close()
            return outputs
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for layer, outputs in zip((0, 1, 0, 1), pool.map(ask, (0, 1, 0, 1))):
                self.assertEqual(outputs, {raw(rows, "f32", layer)})


class Aio(Shared, unittest.TestCase):
    make = Asyncio

    def test_gather(self):
        async def ask():
            return await asyncio.gather(*(
                self.client.client.infer(f"two.layer{i % 2}", [tensor("hidden_states", "FP32", rows)])
                for i in range(16)))
        for i, found in enumerate(self.client.loop.run_until_complete(ask())):
            self.assertEqual(found.as_numpy("output").tobytes(), raw(rows, "f32", i % 2))
