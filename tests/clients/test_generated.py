"""A client that openapi-python-client makes out of openapi.json: every endpoint is called through it, as
its readers would, and what it takes answers apart into is looked at."""
import importlib
import io
import pathlib
import re
import sys
import tempfile
import unittest

import harness
from processes import run

BIN = pathlib.Path(sys.executable).parent


def generate(server, folder):
    """The package, imported."""
    (pathlib.Path(folder) / "openapi.json").write_bytes(server.get("/openapi.json").body)
    (pathlib.Path(folder) / "config.yml").write_text("package_name_override: moed_generated\npost_hooks: []\n")
    said = run(BIN / "openapi-python-client", "generate", "--path", pathlib.Path(folder) / "openapi.json",
               "--config", pathlib.Path(folder) / "config.yml", "--output-path", pathlib.Path(folder) / "client",
               "--overwrite", "--meta", "none", "--fail-on-warning", folder=folder)
    path = pathlib.Path(folder) / "client"
    path.rename(pathlib.Path(folder) / "moed_generated")
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    return importlib.import_module("moed_generated"), said.decode()


class Generated(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.case = harness.case("f32-two-layers")
        cls.folder = tempfile.TemporaryDirectory()
        cls.server = harness.Server(cls.case.model, "--name", "two")
        cls.package, cls.said = generate(cls.server, cls.folder.name)
        cls.client = cls.package.Client(base_url=cls.server.url)
        cls.types = importlib.import_module("moed_generated.types")
        cls.models = importlib.import_module("moed_generated.models")
        cls.row = cls.case.bytes(0, "hidden.f32")[:4 * cls.case.hidden]
        cls.values = list(harness.floats(cls.row))
        cls.expected = cls.server.post_raw("/v1/moe/layers/0/forward", cls.row).body

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            cls.folder.cleanup()

    def operation(self, name):
        """The module of an operationId, wherever the generator has put it."""
        (path,) = pathlib.Path(self.folder.name).glob(f"moed_generated/api/*/{name}.py")
        return importlib.import_module(".".join(path.relative_to(self.folder.name).with_suffix("").parts))

    def call(self, name, *words, status=200, **options):
        found = self.operation(name).sync_detailed(*words, client=self.client, **options)
        self.called.add(name)
        self.assertEqual(found.status_code, status, (name, found.content[:300]))
        return found

    def call_raw(self, name, *words, **options):
        """With rows as bytes. The generator takes every 200 for the first of its media types, so that the
        answer is read past it."""
        body = self.types.File(payload=io.BytesIO(self.row), mime_type="application/octet-stream")
        request = self.operation(name)._get_kwargs(*words, body=body, **options)
        found = self.client.get_httpx_client().request(**request)
        self.assertEqual(found.status_code, 200, found.content[:300])
        return found.content

    def test_every_endpoint(self):
        self.called = set()
        self.assertNotIn("WARNING", self.said)
        request = self.models.Request.from_dict({"layer": 0, "hidden_states": [self.values]})
        for name, words in (("forward", ()), ("forward_layer", (0,)), ("route", ()), ("route_layer", (0,))):
            found = self.call(name, *words, body=request)
            self.assertEqual(found.parsed.layer, 0, name)
            options = {} if words else {"layer": 0}
            self.call_raw(name, *words, **options)
        found = self.call("forward_layer", 0, body=request)
        self.assertEqual(harness.f32(found.parsed.output[0]).tobytes(), self.expected)
        self.assertEqual(self.call_raw("forward_layer", 0), self.expected)
        self.assertEqual(self.call_raw("forward", layer=0, out_dtype=self.models.Dtype("f16")),
                         self.server.post_raw("/v1/moe/layers/0/forward?out_dtype=f16", self.row).body)
        self.assertEqual(self.call("info").parsed.to_dict()["name"], "two")
        self.call("experts")
        self.call("reset_experts", status=204)
        tensors = self.models.KserveRequest.from_dict({"inputs": [
            {"name": "hidden_states", "datatype": "FP32", "shape": [1, len(self.values)], "data": self.values}]})
        for name in self.operations():
            if name in self.called:
                continue
            words = {"M": "two.layer0", "V": "1"}
            path = self.paths()[name]
            options = {"body": tensors} if path.endswith("/infer") else {}
            found = self.call(name, *[words[hole] for hole in re.findall(r"\{(\w)\}", path)], **options)
            if path.endswith("/infer"):
                (output,) = [each for each in found.parsed.outputs if each.name == "output"]
                self.assertEqual(harness.f32(output.data).tobytes(), self.expected)
        self.assertEqual(self.called, set(self.operations()))

    def paths(self):
        document = self.server.get("/openapi.json").json()
        return {operation["operationId"]: path for path, item in document["paths"].items()
                for operation in item.values()}

    def operations(self):
        return list(self.paths())

    def test_errors_are_told(self):
        self.called = set()
        request = self.models.Request.from_dict({"layer": 0, "hidden_states": [[1.0]]})
        found = self.call("forward", body=request, status=400)
        self.assertEqual(found.parsed.code, "wrong_shape")


if __name__ == "__main__":
    unittest.main()
