"""The Open Inference Protocol: documents, inference in every mix of forms, errors, statistics."""
import itertools
import json
import unittest

import harness
import kserve
from harness import floats, ints
from kserve import HEADER, tensor


class Kserve(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.case = harness.case("f32-two-layers")
        cls.server = harness.Server(cls.case.model, "--name", "two \"layers\"/x", "--max-body-bytes",
                                    "1MiB", "--max-request-rows", "64")
        cls.width, cls.k = cls.case.hidden, cls.case.k
        cls.raw = cls.case.bytes(0, "hidden.f32")
        cls.values = list(floats(cls.raw))
        cls.n = len(cls.values) // cls.width
        cls.alias = "two--layers--x"
        cls.path = f"/v2/models/{cls.alias}.layer0/infer"
        answer = cls.server.post_raw("/v1/moe/layers/0/forward?return=output,routing", cls.raw)
        assert answer.status == 200, answer
        size, slots = len(cls.raw), 4 * cls.n * cls.k
        cls.expected = {"output": list(floats(answer.body[:size])),
                        "expert_ids": list(ints(answer.body[size:size + slots])),
                        "expert_weights": list(floats(answer.body[size + slots:]))}

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            pass

    def hidden(self, binary=True, datatype="FP32"):
        return tensor("hidden_states", datatype, self.width, self.values, binary)

    def infer(self, tensors, path=None, headers=None, **members):
        body, known = kserve.request(tensors, **members)
        return self.server.request("POST", path or self.path, body, {**known, **(headers or {})})

    def values_of(self, answer):
        self.assertEqual(answer.status, 200, answer)
        return kserve.outputs(answer)[0]

    def check(self, answer, status, *words):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertIsInstance(answer.json()["error"], str)
        for word in words:
            self.assertIn(word, answer.json()["error"])

    # ---- documents ----
    def test_server(self):
        self.assertEqual(self.server.get("/v2/health/live").json()["live"], True)
        self.assertEqual(self.server.get("/v2/health/ready").json()["ready"], True)
        server = self.server.get("/v2").json()
        self.assertEqual((server["name"], type(server["version"])), ("moed", str))
        self.assertLessEqual({"binary_tensor_data", "model_configuration", "parameters",
                              "schedule_policy", "statistics"}, set(server["extensions"]))

    def test_index_names_what_is_served(self):
        index = self.server.request("POST", "/v2/repository/index", b"").json()
        self.assertEqual([model["name"] for model in index],
                         [self.alias + layer + routed for routed in ("", ".routed")
                          for layer in ("", ".layer0", ".layer1")])
        for model in index:
            self.assertEqual((model["version"], model["state"]), ("1", "READY"))
            for suffix in ("", "/ready", "/config", "/stats", "/versions/1", "/versions/1/ready",
                           "/versions/1/config", "/versions/1/stats"):
                answer = self.server.get(f"/v2/models/{model['name']}{suffix}")
                self.assertEqual(answer.status, 200, (model, suffix, answer))

    def test_metadata_and_config_say_the_same(self):
        for name in (self.alias, self.alias + ".layer1", self.alias + ".routed", self.alias + ".layer1.routed"):
            model = self.server.get(f"/v2/models/{name}").json()
            config = self.server.get(f"/v2/models/{name}/config").json()
            self.assertEqual((model["name"], model["versions"]), (name, ["1"]))
            self.assertEqual((config["name"], config["max_batch_size"]), (name, 64))
            for plural, single in (("inputs", "input"), ("outputs", "output")):
                described = {t["name"]: (t["datatype"], t["shape"]) for t in model[plural]}
                configured = {t["name"]: (t["data_type"].removeprefix("TYPE_"), [-1, *t["dims"]])
                              for t in config[single]}
                self.assertEqual(described, configured)
            self.assertEqual(described["output"], ("FP32", [-1, self.width]))
            routed = ["expert_ids", "expert_weights"] if name.endswith(".routed") else []
            self.assertEqual([t["name"] for t in model["inputs"]], ["hidden_states", *routed])

    def test_both_names_take_routing(self):
        """What is shown says what a program must fill, not what a request may have."""
        inputs = [self.hidden(), tensor("expert_ids", "INT32", self.k, self.expected["expert_ids"], True),
                  tensor("expert_weights", "FP32", self.k, self.expected["expert_weights"], True)]
        for name in (self.alias + ".layer0", self.alias + ".layer0.routed"):
            for given in (inputs, inputs[:1]):
                answer = self.infer(given, path=f"/v2/models/{name}/infer")
                self.assertEqual(self.values_of(answer), self.expected)
                self.assertIn(f'"model_name":"{name}"'.encode(), answer.body)
        for name in (".routed", self.alias + ".routed.routed", self.alias + "routed", self.alias + ".routed.layer0"):
            self.assertEqual(self.server.get(f"/v2/models/{name}").status, 404, name)

    # ---- inference ----
    def test_every_mix_of_forms(self):
        wanted = ("output", "expert_ids", "expert_weights")
        for binary_in, *forms in itertools.product((False, True), repeat=4):
            outputs = [{"name": name, "parameters": {"binary_data": form}}
                       for name, form in zip(wanted, forms)]
            answer = self.infer([self.hidden(binary_in)], outputs=outputs, id="a\u00e9\"")
            self.assertEqual(answer.status, 200, answer)
            values, described = kserve.outputs(answer)
            self.assertEqual(values, self.expected)
            self.assertEqual(list(values), list(wanted))
            self.assertEqual(described["output"]["shape"], [self.n, self.width])
            self.assertEqual(described["expert_ids"]["shape"], [self.n, self.k])
            self.assertEqual(["data" in described[name] for name in wanted],
                             [not form for form in forms])
            self.assertEqual(bool(answer.headers[HEADER]), any(forms))
            self.assertEqual(answer.headers["Content-Type"],
                             "application/octet-stream" if any(forms) else "application/json")
            document = json.loads(answer.body[:int(answer.headers[HEADER] or len(answer.body))])
            self.assertEqual((document["id"], document["model_name"], document["model_version"]),
                             ("a\u00e9\"", self.alias + ".layer0", "1"))

    def test_chosen_outputs_and_their_order(self):
        answer = self.infer([self.hidden()], outputs=[{"name": "expert_weights"}, {"name": "output"}],
                            parameters={"binary_data_output": True})
        self.assertEqual(list(self.values_of(answer)), ["expert_weights", "output"])
        answer = self.infer([self.hidden()], outputs=[{"name": "expert_ids"}])
        self.assertEqual(self.values_of(answer), {"expert_ids": self.expected["expert_ids"]})
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        for outputs in ({}, {"outputs": []}):
            self.assertEqual(self.values_of(self.infer([self.hidden()], **outputs)), self.expected)

    def test_half_types(self):
        """JSON and bytes mean the same; the answer has the rows' type, unless told otherwise."""
        for datatype, name in (("FP16", "f16"), ("BF16", "bf16")):
            data = kserve.to_bytes(datatype, self.values)
            known = self.server.post_raw(f"/v1/moe/layers/0/forward?dtype={name}", data)
            exact = tensor("hidden_states", datatype, self.width,
                           kserve.from_bytes(datatype, data), False)
            for rows in (self.hidden(True, datatype), exact):
                for binary in (True, False):
                    answer = self.infer([rows], parameters={"binary_data_output": binary})
                    values, described = kserve.outputs(answer)
                    self.assertEqual(described["output"]["datatype"], datatype)
                    self.assertEqual(kserve.to_bytes(datatype, values["output"]), known.body)
            whole = self.infer([exact], parameters={"output_dtype": "f32"})
            self.assertEqual(kserve.outputs(whole)[1]["output"]["datatype"], "FP32")

    def test_supplied_routing(self):
        other = [(e + 1) % self.case.info["experts"] for e in self.expected["expert_ids"]]
        ids, weights = other, [w / 2 for w in self.expected["expert_weights"]]
        known = self.server.post_raw(
            f"/v1/moe/layers/0/forward?routing=topk&k={self.k}",
            self.raw + kserve.to_bytes("INT32", ids) + kserve.to_bytes("FP32", weights))
        self.assertEqual(known.status, 200, known)
        for forms in itertools.product((False, True), repeat=3):
            tensors = [tensor("expert_weights", "FP32", self.k, weights, forms[0]),
                       self.hidden(forms[1]),
                       tensor("expert_ids", "INT32", self.k, ids, forms[2])]
            values = self.values_of(self.infer(tensors))
            self.assertEqual(values["output"], list(floats(known.body)))
            self.assertEqual((values["expert_ids"], values["expert_weights"]), (ids, weights))

    def test_the_layer_by_name_and_by_parameter(self):
        second = self.values_of(self.infer([self.hidden()], f"/v2/models/{self.alias}.layer1/infer"))
        self.assertNotEqual(second["output"], self.expected["output"])
        whole = f"/v2/models/{self.alias}/versions/1/infer"
        answer = self.infer([self.hidden()], whole, parameters={"layer": 1})
        self.assertEqual(self.values_of(answer), second)
        self.assertEqual(answer.json()["model_name"], self.alias)
        answer = self.infer([self.hidden()], whole + "?layer=1")
        self.assertEqual(self.values_of(answer), second)
        self.check(self.infer([self.hidden()], whole), 400, "layer: missing")
        self.check(self.infer([self.hidden()], parameters={"layer": 1}), 400, "both 0 and 1")

    def test_rows_without_json(self):
        answer = self.server.request("POST", self.path, self.raw, {HEADER: "0"})
        self.assertEqual(self.values_of(answer), self.expected)
        self.assertTrue(answer.headers[HEADER])
        whole = f"/v2/models/{self.alias}/infer"
        answer = self.server.request("POST", whole, self.raw, {HEADER: "0", "X-MoE-Layer": "0"})
        self.assertEqual(self.values_of(answer), self.expected)
        self.check(self.server.request("POST", whole, self.raw, {HEADER: "0"}), 400, "layer: missing")
        self.check(self.server.request("POST", self.path, self.raw[:-1], {HEADER: "0"}), 400)

    def test_no_rows(self):
        nothing = tensor("hidden_states", "FP32", self.width, [], True)
        for parameters in ({}, {"binary_data_output": True}):
            answer = self.infer([nothing], parameters=parameters)
            values, described = kserve.outputs(answer)
            self.assertEqual(values, {"output": [], "expert_ids": [], "expert_weights": []})
            self.assertEqual(described["output"]["shape"], [0, self.width])

    def test_content_type_and_accept_do_not_matter(self):
        for headers in ({"Content-Type": "text/csv"}, {"Content-Type": "application/json"},
                        {"Accept-Encoding": "gzip, deflate"}, {"Accept": "image/png"}):
            answer = self.infer([self.hidden()], headers=headers)
            self.assertEqual(self.values_of(answer), self.expected)
            self.assertEqual(answer.headers["Content-Encoding"], "")

    def test_large_bodies_off_the_loop(self):
        many = tensor("hidden_states", "FP32", self.width, self.values * 4, False)
        for binary in (False, True):
            answer = self.infer([many], parameters={"binary_data_output": binary})
            self.assertEqual(self.values_of(answer)["output"], self.expected["output"] * 4)

    def test_block_and_deadline(self):
        plain = self.values_of(self.infer([self.hidden()]))["output"]
        answer = self.infer([self.hidden()], parameters={"block": "ffn", "shared_experts": "exclude",
                                                         "timeout": 60000000, "priority": 1})
        self.assertEqual(self.values_of(answer)["output"], plain)
        answer = self.infer([self.hidden()], parameters={"on_missing_expert": "skip"})
        self.assertEqual(self.values_of(answer)["output"], plain)
        self.assertEqual(answer.headers["X-MoE-Missing-Slots"], "0")
        self.check(self.infer([self.hidden()], parameters={"shared_experts": "only"}), 422, "shared")

    # ---- errors ----
    def test_names(self):
        self.check(self.server.get("/v2/models/nobody"), 404, "nobody", "/v2/repository/index")
        for name in ("nobody", self.alias + ".layer", self.alias + ".layerx", self.alias + "x",
                     self.alias + ".layer0x", self.alias + ".layer9", self.alias.upper()):
            self.check(self.infer([self.hidden()], f"/v2/models/{name}/infer"), 404)
        self.check(self.server.get(f"/v2/models/{self.alias}/versions/2"), 404, "2", "only one is 1")
        self.check(self.server.get(f"/v2/models/{self.alias}/versions/2/ready"), 404)
        self.check(self.server.get("/v2/"), 404)
        self.check(self.server.get(self.path), 405, "POST")
        self.check(self.server.post("/v2/models/stats", {}), 405, "GET, HEAD")

    def test_what_is_left_out(self):
        for method, path, what in (
                ("GET", "/v2/systemsharedmemory/status", "shared memory"),
                ("POST", "/v2/systemsharedmemory/region/a/register", "shared memory"),
                ("POST", "/v2/cudasharedmemory/region/a/unregister", "shared memory"),
                ("GET", "/v2/trace/setting", "tracing"), ("POST", "/v2/trace/setting", "tracing"),
                ("GET", f"/v2/models/{self.alias}/trace/setting", "tracing"),
                ("POST", "/v2/logging", "log settings"),
                ("POST", f"/v2/repository/models/{self.alias}/load", "loading"),
                ("POST", f"/v2/repository/models/{self.alias}/unload", "loading")):
            answer = self.server.request(method, path, b"{}" if method == "POST" else None)
            self.check(answer, 501, what, path)
            self.assertEqual(answer.json()["code"], "not_implemented")
        for path in ("/v2/traces", "/v2/repository", "/v2/models/trace/setting", "/v2/systemsharedmemoryx"):
            self.check(self.server.get(path), 404)

    def test_header(self):
        body, _ = kserve.request([self.hidden(False)])
        for value, word in (("", "found"), ("-1", "-1"), ("12x", "12x"), ("1e3", "1e3"),
                            ("99999999999999999999", "9999"), (str(len(body) + 1), "at most")):
            answer = self.server.request("POST", self.path, body, {HEADER: value})
            self.check(answer, 400, HEADER, word)
        answer = self.server.request("POST", self.path, body, {HEADER: str(len(body) - 1)})
        self.check(answer, 400, "end of the body")

    def test_bodies(self):
        """A few of those that the unit tests have by the dozen, through the server."""
        infinite = tensor("hidden_states", "FP32", self.width, [float("inf")] * self.width, True)
        for status, word, tensors, members in (
                (400, "hidden_states is missing", [], {}),
                (400, "parameters.colour", [self.hidden()], {"parameters": {"colour": 1}}),
                (400, "logits", [self.hidden()], {"outputs": [{"name": "logits"}]}),
                (400, "expert_ids alone",
                 [self.hidden(), tensor("expert_ids", "INT32", 1, [0] * self.n, True)], {}),
                (422, "row 0, column 0", [infinite], {}),
                (422, "999", [self.hidden(), tensor("expert_ids", "INT32", 1, [999] * self.n, True),
                              tensor("expert_weights", "FP32", 1, [1] * self.n, True)], {}),
                (413, "64", [tensor("hidden_states", "FP32", self.width,
                                    [0.0] * self.width * 65, True)], {})):
            self.check(self.infer(tensors, **members), status, word)
        self.check(self.server.request("POST", self.path, b""), 400, "end of the body")
        self.check(self.server.request("POST", self.path, b" " * (1 << 20) + b"x"), 413)
        answer = self.infer([self.hidden()], headers={"Content-Encoding": "br"})
        self.check(answer, 415, "br")
        self.assertEqual(self.values_of(self.infer([self.hidden()])), self.expected)

    # ---- statistics ----
    def stats(self, suffix):
        return self.server.get(f"/v2/models/{suffix}stats").json()["model_stats"]

    def test_statistics(self):
        before, = self.stats(self.alias + ".layer1/")
        body, headers = kserve.request([self.hidden()])
        path = f"/v2/models/{self.alias}.layer1/infer"
        with_rows = [self.server.request("POST", path, body, headers) for _ in range(3)]
        with_rows.append(self.server.post_raw("/v1/moe/layers/1/forward", self.raw))
        self.assertEqual([answer.status for answer in with_rows], [200] * 4)
        self.assertEqual(self.server.request("POST", path, b"{}").status, 400)

        def counted():
            after, = self.stats(self.alias + ".layer1/versions/1/")
            return after["inference_stats"]["fail"]["count"] > before["inference_stats"]["fail"]["count"]
        self.assertTrue(harness.eventually(counted))
        after, = self.stats(self.alias + ".layer1/")
        self.assertEqual(after["inference_count"] - before["inference_count"], 4 * self.n)
        self.assertEqual(after["execution_count"] - before["execution_count"], 4)
        self.assertGreater(after["last_inference"], 1.6e12)
        stats = after["inference_stats"]
        for name in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
            self.assertEqual(stats[name]["count"] - before["inference_stats"][name]["count"], 4, name)
            self.assertGreater(stats[name]["ns"], before["inference_stats"][name]["ns"], name)
        self.assertGreaterEqual(stats["success"]["ns"],
                                stats["queue"]["ns"] + stats["compute_infer"]["ns"])
        everything = {model["name"]: model for model in self.stats("")}
        self.assertEqual(set(everything), {self.alias, self.alias + ".layer0", self.alias + ".layer1"})
        self.assertEqual(everything[self.alias]["inference_count"],
                         sum(everything[f"{self.alias}.layer{i}"]["inference_count"] for i in (0, 1)))

    def test_routes_are_counted_by_template(self):
        labels = {"route": "/v2/models/{M}/infer", "method": "POST", "code": "200"}
        before = self.server.metric("moed_http_requests_total", **labels)
        self.infer([self.hidden()])
        self.assertEqual(self.server.metric("moed_http_requests_total", **labels), before + 1)
        self.assertNotIn(self.alias + ".layer", self.server.get("/metrics").body.decode())


class Golden(unittest.TestCase):
    """Every layer of a few golden cases, against the oracle's numbers."""

    def test_golden(self):
        for name in ("f32-odd-dims", "q4_k_m", "arch/deepseek2-v3", "arch/gpt-oss"):
            case = harness.case(name)
            with self.subTest(case=name), harness.Server(case.model) as server:
                for layer in case.layers:
                    self.check_layer(case, server, layer)

    def check_layer(self, case, server, layer):
        model = server.request("POST", "/v2/repository/index", b"").json()[0]["name"]
        hidden = list(floats(case.bytes(layer, "hidden.f32")))
        body, headers = kserve.request([tensor("hidden_states", "FP32", case.hidden, hidden, True)],
                                       parameters={"binary_data_output": True})
        answer = server.request("POST", f"/v2/models/{model}.layer{layer}/infer", body, headers)
        self.assertEqual(answer.status, 200, answer)
        values, _ = kserve.outputs(answer)
        self.assertEqual(values["expert_ids"], list(ints(case.bytes(layer, "expert_ids.i32"))))
        raw = server.post_raw(f"/v1/moe/layers/{layer}/forward", case.bytes(layer, "hidden.f32"))
        self.assertEqual(values["output"], list(floats(raw.body)))
        oracle = floats(case.bytes(layer, "output.f32"))
        self.assertLess(harness.relative_l2(values["output"], oracle), 0.02)


class Servers(unittest.TestCase):
    """Each test with a server of its own."""

    def test_the_own_name_is_understood(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, "--name", "A model (2)") as server:
            for name, status in (("A-model--2-", 200), ("A%20model%20(2)", 200), ("A%20model", 404)):
                answer = server.get(f"/v2/models/{name}.layer1")
                self.assertEqual(answer.status, status, answer)
            self.assertEqual(server.get("/v2/models/A%20model%20%282%29").json()["name"], "A-model--2-")

    def test_one_layer_of_two(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, "--layers", "1", "--name", "/é") as server:
            index = server.request("POST", "/v2/repository/index", b"{}").json()
            self.assertEqual([model["name"] for model in index], ["---", "---.layer1", "---.routed", "---.layer1.routed"])
            answer = server.get("/v2/models/---.layer0/ready")
            self.assertEqual(answer.status, 421, answer)
            self.assertIn("served: 1", answer.json()["error"])
            self.assertEqual(server.get("/v2/models/---.layer7").status, 404)

    def test_not_ready_while_draining(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, "--drain-delay-ms", "60000") as server:
            name = server.request("POST", "/v2/repository/index", b"").json()[0]["name"]
            server.signal()
            self.assertTrue(harness.eventually(
                lambda: server.get("/v2/health/ready").status == 503))
            self.assertEqual(server.get(f"/v2/models/{name}/ready").status, 503)
            self.assertIn("draining", server.get("/v2/health/ready").json()["error"])
            self.assertEqual(server.get("/v2/health/live").status, 200)
