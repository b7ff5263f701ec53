"""What API.md promises, endpoint by endpoint."""
import json
import os
import re
import struct
import tempfile
import threading
import time
import unittest

import harness
from harness import RAW, floats, ints

ROUTES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/server/api/endpoints.c")


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.case = harness.case("f32-two-layers")
        cls.server = harness.Server(cls.case.model, "--name", "two \"layers\"")
        cls.width = cls.case.hidden
        cls.rows = cls.case.rows(0)
        cls.raw = cls.case.bytes(0, "hidden.f32")
        cls.path = "/v1/moe/layers/0/forward"

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            pass

    # ---- rows ----
    def test_layer_by_path_query_header_and_body(self):
        by_path = self.server.post_raw(self.path, self.raw)
        self.assertEqual(by_path.status, 200, by_path)
        by_query = self.server.post_raw("/v1/moe/forward?layer=0", self.raw)
        by_header = self.server.post_raw("/v1/moe/forward", self.raw, {"X-MoE-Layer": "0"})
        self.assertEqual(by_query.body, by_path.body)
        self.assertEqual(by_header.body, by_path.body)
        body = {"layer": 0, "hidden_states": self.rows}
        in_body = self.server.post("/v1/moe/forward", body)
        self.assertEqual(in_body.status, 200, in_body)
        self.assertEqual(in_body.json()["layer"], 0)
        self.assertEqual(harness.f32(harness.flat(in_body.json()["output"])), floats(by_path.body))
        other = self.server.post("/v1/moe/forward?layer=1", {"hidden_states": self.rows})
        self.assertEqual(other.json()["layer"], 1)
        missing = self.server.post("/v1/moe/forward", {"hidden_states": self.rows})
        self.assertEqual(missing.status, 400, missing)
        self.assertIn("layer", missing.json()["detail"])

    def test_content_type_parameters(self):
        answer = self.server.request("POST", self.path, json.dumps({"hidden_states": self.rows}),
                                     {"Content-Type": "Application/JSON; charset=utf-8"})
        self.assertEqual(answer.status, 200, answer)

    def test_one_flat_row(self):
        flat = self.server.post(self.path, {"hidden_states": self.rows[0]})
        nested = self.server.post(self.path, {"hidden_states": self.rows[:1]})
        self.assertEqual(flat.status, 200, flat)
        self.assertEqual(flat.body, nested.body)
        self.assertEqual(flat.json()["shape"], [1, self.width])

    def test_no_rows(self):
        answer = self.server.post(self.path, {"hidden_states": []})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json()["output"], [])
        answer = self.server.post_raw(self.path, b"")
        self.assertEqual((answer.status, answer.body), (200, b""), answer)
        self.assertEqual(answer.headers["X-MoE-Shape"], f"0,{self.width}")

    def test_nothing_but_timing(self):
        answer = self.server.post(self.path, {"hidden_states": self.rows, "return": ["timing"]})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(set(answer.json()), {"layer", "timing"})
        raw = self.server.post_raw(self.path + "?return=timing", self.raw)
        self.assertEqual((raw.status, raw.body), (200, b""), raw)
        raw = self.server.post_raw(self.path + "?return=logits", self.raw)
        self.assertEqual(raw.body, self.server.post_raw(self.path + "?return=output,logits",
                                                        self.raw).body[len(self.raw):])

    def test_raw_headers(self):
        answer = self.server.post_raw(self.path, self.raw)
        self.assertEqual(answer.headers["Content-Type"], "application/octet-stream")
        self.assertEqual(answer.headers["X-MoE-Layer"], "0")
        self.assertEqual(answer.headers["X-MoE-Dtype"], "f32")
        self.assertEqual(answer.headers["X-MoE-Shape"], f"{len(self.rows)},{self.width}")
        self.assertRegex(answer.headers["Server-Timing"],
                         r"^queue;dur=\d+\.\d{3}, compute;dur=\d+\.\d{3}$")

    def test_half_types(self):
        whole = floats(self.server.post_raw(self.path, self.raw).body)
        for dtype, pack, tolerance in (("f16", "e", 2e-3), ("bf16", None, 2e-2)):
            values = floats(self.raw)
            if pack:
                data = struct.pack(f"<{len(values)}e", *values)
            else:  # truncated, which is a bfloat16 too
                data = b"".join(self.raw[i + 2:i + 4] for i in range(0, len(self.raw), 4))
            answer = self.server.post_raw(self.path + f"?dtype={dtype}&out_dtype=f32", data)
            self.assertEqual(answer.status, 200, answer)
            self.assertLess(harness.relative_l2(floats(answer.body), whole), tolerance)
            answer = self.server.post_raw(self.path, data, {"X-MoE-Dtype": dtype})
            self.assertEqual(len(answer.body), len(data))
            self.assertEqual(answer.headers["X-MoE-Dtype"], dtype)
            coded = self.server.post(self.path, {
                "hidden_states": harness.encode(data, self.width, dtype), "encoding": "base64",
                "output_dtype": dtype})
            self.assertEqual(coded.json()["dtype"], dtype)
            self.assertEqual(harness.decode(coded.json()["output"]), answer.body)

    def test_chunked_body(self):
        connection = self.server.connect()
        parts = [self.raw[i:i + 777] for i in range(0, len(self.raw), 777)]
        connection.request("POST", self.path, iter(parts), RAW, encode_chunked=True)
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        self.assertEqual(response.read(), self.server.post_raw(self.path, self.raw).body)
        connection.close()

    def test_expect_continue(self):
        head = (f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream"
                f"\r\nContent-Length: {len(self.raw)}\r\nExpect: 100-continue\r\n\r\n")
        with self.server.socket() as plain:
            plain.sendall(head.encode())
            self.assertTrue(plain.recv(100).startswith(b"HTTP/1.1 100"))
            plain.sendall(self.raw)
            self.assertEqual(harness.read_answer(plain).status, 200)

    def test_large_json_is_the_same_answer(self):
        many = self.rows * 20  # parsed and printed off the loop
        answer = self.server.post(self.path, {"hidden_states": many})
        self.assertEqual(answer.status, 200)
        once = self.server.post(self.path, {"hidden_states": self.rows}).json()["output"]
        self.assertEqual(answer.json()["output"], once * 20)

    # ---- routing ----
    def test_supplied_routing(self):
        answer = self.server.post(self.path, {"hidden_states": self.rows,
                                              "return": ["output", "routing"]}).json()
        again = self.server.post(self.path, {"hidden_states": self.rows,
                                             "routing": answer["routing"]})
        self.assertEqual(again.status, 200, again)
        self.assertEqual(again.json()["output"], answer["output"])
        self.assertNotIn("routing", again.json())
        ids = harness.flat(answer["routing"]["expert_ids"])
        weights = harness.flat(answer["routing"]["weights"])
        data = (self.raw + struct.pack(f"<{len(ids)}i", *ids) +
                struct.pack(f"<{len(weights)}f", *weights))
        raw = self.server.post_raw(self.path, data, {"X-MoE-Routing": "topk",
                                                     "X-MoE-K": str(self.case.k)})
        self.assertEqual(raw.status, 200, raw)
        self.assertEqual(floats(raw.body), harness.f32(harness.flat(answer["output"])))

    def test_skipped_slots(self):
        skip = {"expert_ids": [[-1, -1]], "weights": [[1, 1]]}
        answer = self.server.post(self.path, {"hidden_states": self.rows[0], "routing": skip})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(set(answer.json()["output"][0]), {0})

    def test_route_alone(self):
        for path, extra in (("/v1/moe/route", {"layer": 0}), ("/v1/moe/layers/0/route", {})):
            answer = self.server.post(path, {"hidden_states": self.rows,
                                             "return": ["logits", "timing"], **extra})
            self.assertEqual(answer.status, 200, answer)
            found = answer.json()
            self.assertEqual(harness.flat(found["routing"]["expert_ids"]),
                             list(ints(self.case.bytes(0, "expert_ids.i32"))))
            self.assertEqual(len(found["logits"]), len(self.rows))
            self.assertEqual(set(found["timing"]), {"queue_us", "compute_us", "batch_rows"})
            self.assertNotIn("output", found)
        raw = self.server.post_raw("/v1/moe/layers/0/route", self.raw)
        self.assertEqual(raw.status, 200, raw)
        self.assertEqual(len(raw.body), len(self.rows) * self.case.k * 8)
        size = len(self.rows) * self.case.k * 4
        self.assertEqual(raw.body[:size], self.case.bytes(0, "expert_ids.i32"))

    def test_block_modes(self):
        plain = self.server.post(self.path, {"hidden_states": self.rows}).json()["output"]
        for block in ("norm_ffn", "norm_ffn_residual"):
            answer = self.server.post(self.path, {"hidden_states": self.rows, "block": block})
            self.assertIn(answer.status, (200, 422), answer)
            if answer.status == 200:
                self.assertNotEqual(answer.json()["output"], plain)
        same = self.server.post(self.path, {"hidden_states": self.rows, "block": "ffn",
                                            "shared_experts": "exclude"})
        self.assertEqual(same.json()["output"], plain)

    # ---- headers ----
    def test_request_id(self):
        kept = self.server.get("/livez", {"X-Request-Id": "abc-123"})
        self.assertEqual(kept.headers["X-Request-Id"], "abc-123")
        first, second = (self.server.get("/livez").headers["X-Request-Id"] for _ in range(2))
        self.assertRegex(first, r"^[0-9a-f]{16}$")
        self.assertNotEqual(first, second)
        made = self.server.get("/livez", {"X-Request-Id": 'bad "id"'})
        self.assertRegex(made.headers["X-Request-Id"], r"^[0-9a-f]{16}$")
        problem = self.server.get("/nowhere", {"X-Request-Id": "abc-124"})
        self.assertEqual(problem.json()["request_id"], "abc-124")

    def test_traceparent_is_logged(self):
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        self.server.get("/nowhere", {"traceparent": trace})
        self.assertTrue(harness.eventually(lambda: trace in self.server.text()))

    def test_head(self):
        for path in ("/livez", "/readyz", "/health", "/metrics", "/openapi.json", "/v1/moe/info",
                     "/v1/moe/experts"):
            answer = self.server.request("HEAD", path)
            self.assertEqual((answer.status, answer.body), (200, b""), path)
            self.assertGreater(int(answer.headers["Content-Length"]), 0)

    def test_keep_alive(self):
        connection = self.server.connect()
        harness.ask(connection, "GET", "/livez")
        own = connection.sock
        for _ in range(5):
            answer = harness.ask(connection, "POST", self.path, self.raw, RAW)
            self.assertEqual(answer.status, 200)
            self.assertIs(connection.sock, own)
        connection.close()

    def test_pipelining(self):
        head = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
        with self.server.socket() as plain:
            plain.sendall(head * 3 + head.replace(b"Host: x", b"Host: x\r\nConnection: close"))
            data = b""
            while True:
                more = plain.recv(65536)
                if not more:
                    break
                data += more
        self.assertEqual(data.count(b"HTTP/1.1 200"), 4)

    # ---- documents ----
    def test_info(self):
        info = self.server.get("/v1/moe/info").json()
        self.assertEqual(info["name"], 'two "layers"')
        self.assertEqual(info["architecture"], "qwen3moe")
        self.assertRegex(info["fingerprint"], r":[0-9a-f]{64}$")
        self.assertEqual(info["moe_layers"], [0, 1])
        layer = info["layers"][0]
        self.assertEqual((layer["layer"], layer["hidden"], layer["experts"], layer["experts_used"],
                          layer["expert_width"]),
                         (0, self.width, self.case.info["experts"], self.case.k,
                          self.case.info["ff"]))
        self.assertEqual(layer["types"]["gate"], "F32")
        self.assertEqual(info["dtypes"], ["f32", "f16", "bf16"])
        self.assertEqual(info["limits"]["max_request_rows"], 8192)
        self.assertTrue(info["backend"]["name"] and info["backend"]["isa"])
        self.assertEqual(info["backend"]["activations"], "int8")

    def test_experts(self):
        self.assertEqual(self.server.request("DELETE", "/v1/moe/experts").status, 204)
        self.server.post_raw(self.path, self.raw)
        layers = self.server.get("/v1/moe/experts").json()["layers"]
        self.assertEqual([layer["layer"] for layer in layers], [0, 1])
        ids = ints(self.case.bytes(0, "expert_ids.i32"))
        counts = [ids.count(e) for e in range(self.case.info["experts"])]
        self.assertEqual(layers[0]["rows"], len(self.rows))
        self.assertEqual(layers[0]["tokens"], counts)
        self.assertAlmostEqual(sum(layers[0]["weight_mass"]), len(self.rows), places=3)
        jain = sum(counts) ** 2 / (len(counts) * sum(c * c for c in counts))
        self.assertAlmostEqual(layers[0]["jain"], jain, places=6)
        self.assertAlmostEqual(layers[0]["max_over_mean"],
                               max(counts) * len(counts) / sum(counts), places=6)
        self.assertEqual(sum(layers[1]["tokens"]), 0)

    def test_openapi_is_the_route_table(self):
        document = self.server.get("/openapi.json").json()
        self.assertTrue(document["openapi"].startswith("3.1"))
        described = {(method.upper(), path) for path, item in document["paths"].items()
                     for method in item}
        with open(ROUTES, encoding="utf-8") as file:
            built = set(re.findall(r'\{"([A-Z]+)", "(/[^"]*)"', file.read()))
        self.assertEqual(described, built)
        self.check_references(document, document)

    def check_references(self, document, value):
        if isinstance(value, list):
            value = dict(enumerate(value))
        if not isinstance(value, dict):
            return
        for key, item in value.items():
            if key == "$ref":
                at = document
                for name in item[2:].split("/"):
                    self.assertIn(name, at, item)
                    at = at[name]
            else:
                self.check_references(document, item)

    def test_openapi_routes_exist(self):
        document = self.server.get("/openapi.json").json()
        for path, item in document["paths"].items():
            path = path.replace("{L}", "0").replace("{M}", "two--layers-").replace("{V}", "1")
            for method in item:
                body = b"" if method == "post" else None
                answer = self.server.request(method.upper(), path, body)
                self.assertNotIn(answer.status, (404, 405, 500), (method, path, answer))
            answer = self.server.request("PATCH", path)
            self.assertEqual(answer.status, 405, path)
            for method in item:
                self.assertIn(method.upper(), answer.headers["Allow"])

    # ---- metrics ----
    def test_metrics(self):
        labels = {"route": "/v1/moe/layers/{L}/forward", "method": "POST", "code": "200"}
        before = self.server.metric("moed_http_requests_total", **labels)
        self.server.post_raw(self.path, self.raw)
        self.assertEqual(self.server.metric("moed_http_requests_total", **labels), before + 1)
        missing = self.server.metric("moed_http_requests_total", route="unmatched", code="404")
        self.server.get("/some/path/of/mine")
        self.assertEqual(self.server.metric("moed_http_requests_total", route="unmatched",
                                            code="404"), missing + 1)
        answer = self.server.get("/metrics")
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        text = answer.body.decode()
        self.assertNotIn("/some/path", text)
        samples = harness.parse_metrics(text)
        names = {name for name, _, _ in samples}
        for name in ("moed_build_info", "moed_model_info", "moed_connections", "moed_ready",
                     "moed_rejected_total", "moed_http_request_duration_seconds_bucket",
                     "moed_http_request_duration_seconds_sum", "moed_weights_bytes",
                     "moed_queue_rows", "moed_queue_requests", "moed_queue_wait_seconds_count",
                     "moed_batches_total", "moed_rows_total", "moed_batch_rows_sum",
                     "moed_batch_requests_sum", "moed_batch_active_experts_sum",
                     "moed_batch_compute_seconds_sum", "moed_expert_weight_bytes_total",
                     "moed_worker_busy_seconds_total", "moed_expert_load_imbalance_ratio",
                     "process_resident_memory_bytes", "process_open_fds"):
            self.assertIn(name, names)
        self.assertNotIn("moed_expert_rows_total", names)
        seen = [(name, tuple(sorted(labels.items()))) for name, labels, _ in samples]
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual(self.server.metric("moed_ready"), 1)
        self.assertEqual(self.server.metric("moed_model_info"), 1)
        self.assertGreater(self.server.metric("moed_weights_bytes", device="cpu"), 0)


class Limits(unittest.TestCase):
    """Settings that change what is accepted."""

    def test_deadline(self):
        case = harness.case("f32-two-layers")
        requests = (
            ("application/json", "",
             json.dumps({"hidden_states": case.rows(0), "deadline_ms": 20}).encode()),
            ("application/octet-stream", "?deadline_ms=20", case.bytes(0, "hidden.f32")))
        for kind, query, body in requests:
            head = (f"POST /v1/moe/layers/0/forward{query} HTTP/1.1\r\nHost: x\r\nContent-Type: "
                    f"{kind}\r\nContent-Length: {len(body)}\r\n\r\n").encode()
            with self.subTest(kind):
                with harness.Server(case.model) as server, server.socket() as plain:
                    plain.sendall(head + body[:10])
                    time.sleep(0.2)  # the deadline counts from the headers
                    plain.sendall(body[10:])
                    answer = harness.read_answer(plain)
                    self.assertEqual(answer.status, 504, answer)
                    self.assertEqual(answer.json()["code"], "deadline")
                self.assertIn("status=504", server.text())

    def test_default_deadline(self):
        case = harness.case("f32-two-layers")
        data = case.bytes(0, "hidden.f32")
        head = (f"POST /v1/moe/layers/0/forward HTTP/1.1\r\nHost: x\r\nContent-Type: "
                f"application/octet-stream\r\nContent-Length: {len(data)}\r\n\r\n").encode()
        with harness.Server(case.model, "--default-deadline-ms", "20") as server:
            with server.socket() as plain:
                plain.sendall(head)
                time.sleep(0.2)
                plain.sendall(data)
                self.assertEqual(harness.read_answer(plain).status, 504)

    def test_queue_full(self):
        case = harness.case("q8_0")
        data = case.bytes(0, "hidden.f32") * 8
        statuses, bodies = [], set()

        def client(server):
            connection = server.connect()
            for _ in range(30):
                answer = harness.ask(connection, "POST", "/v1/moe/layers/0/forward", data, RAW)
                statuses.append(answer.status)
                if answer.status == 200:
                    bodies.add(answer.body)
                elif answer.status == 429:
                    self.assertEqual(answer.headers["Retry-After"], "1")
                    self.assertEqual(answer.json()["code"], "queue_full")
            connection.close()

        with harness.Server(case.model, "--max-queue-requests", "1", "--workers", "1") as server:
            threads = [threading.Thread(target=client, args=(server,)) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(set(statuses), {200, 429})
            self.assertEqual(len(statuses), 16 * 30)
            self.assertEqual(len(bodies), 1)
            self.assertEqual(server.metric("moed_rejected_total", reason="queue_full"),
                             statuses.count(429))

    def test_max_connections(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, "--max-connections", "4") as server:
            held = [server.socket() for _ in range(4)]
            for plain in held:  # each really holds its place
                plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(harness.read_answer(plain).status, 200)
            late = server.socket()
            late.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            late.settimeout(0.3)
            with self.assertRaises(TimeoutError):
                late.recv(1)
            held.pop().close()
            late.settimeout(harness.PATIENCE)
            self.assertEqual(harness.read_answer(late).status, 200)
            for plain in held + [late]:
                plain.close()

    def test_per_expert_metrics(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, "--metrics-per-expert") as server:
            server.post_raw("/v1/moe/layers/0/forward", case.bytes(0, "hidden.f32"))
            self.assertEqual(server.metric("moed_expert_rows_total", layer="0"),
                             len(case.rows(0)) * case.k)

    def test_single_layer_needs_no_name(self):
        case = harness.case("q8_0")
        with harness.Server(case.model) as server:
            answer = server.post_raw("/v1/moe/forward", case.bytes(0, "hidden.f32"))
            self.assertEqual(answer.status, 200, answer)

    def test_unix_socket(self):
        case = harness.case("q8_0")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "moed.sock")
            for _ in range(2):  # the second one finds the path free again
                with harness.Server(case.model, "--listen", "unix:" + path):
                    plain = harness.socket.socket(harness.socket.AF_UNIX)
                    plain.connect(path)
                    plain.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.assertEqual(harness.read_answer(plain).status, 200)
                    plain.close()
                self.assertFalse(os.path.exists(path))

    def test_refusals_are_counted_once(self):
        case = harness.case("f32-two-layers")
        row, path = case.rows(0)[0], "/v1/moe/layers/0/forward"
        twice = {"expert_ids": [[1, 1]], "weights": [[1, 1]]}
        with harness.Server(case.model, "--layers", "0", "--max-request-rows", "4") as server:
            for code, status, answer in (
                    ("layer_not_served", 421, server.post("/v1/moe/layers/1/forward", {})),
                    ("too_large", 413, server.post(path, {"hidden_states": [row] * 5})),
                    ("unprocessable", 422, server.post(path, {"hidden_states": row,
                                                              "routing": twice})),
                    ("unprocessable", 422, server.post(path, {"hidden_states": row,
                                                              "shared_experts": "only"}))):
                self.assertEqual((answer.status, answer.json()["code"]), (status, code), answer)
            self.assertEqual(server.get("/v1/moe/nowhere").status, 404)
            for code, count in (("layer_not_served", 1), ("too_large", 1), ("unprocessable", 2)):
                self.assertEqual(server.metric("moed_rejected_total", reason=code), count, code)
            self.assertEqual(server.metric("moed_rejected_total"), 4)

    def test_port_taken(self):
        case = harness.case("q8_0")
        with harness.Server(case.model) as server:
            with self.assertRaises(harness.LoadError) as caught:
                harness.Server(case.model, "--listen", f"127.0.0.1:{server.port}")
            self.assertIn(f"cannot listen on 127.0.0.1:{server.port}", str(caught.exception))


class Documents(unittest.TestCase):
    """Every answer that is JSON, the errors among them, is a line or ends as one."""

    @classmethod
    def setUpClass(cls):
        cls.case = harness.case("f32-two-layers")
        cls.server = harness.Server(cls.case.model)
        cls.row = list(harness.floats(cls.case.bytes(0, "hidden.f32"))[:cls.case.hidden])

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            pass

    def test_a_newline_at_the_end(self):
        index = self.server.request("POST", "/v2/repository/index", b"")
        name = index.json()[0]["name"]
        infer = {"parameters": {"layer": 0, "binary_data_output": False}, "inputs": [
            {"name": "hidden_states", "datatype": "FP32", "shape": [1, len(self.row)], "data": self.row}]}
        answers = [index, self.server.post("/v1/moe/layers/0/forward", {"hidden_states": self.row}),
                   self.server.post("/v1/moe/layers/0/route", {"hidden_states": self.row}),
                   self.server.post(f"/v2/models/{name}/infer", infer),
                   self.server.post("/v1/moe/forward", {}), self.server.get("/nowhere")]
        for path in ("/v1/moe/info", "/v1/moe/experts", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/stats",
                     f"/v2/models/{name}", f"/v2/models/{name}/config", f"/v2/models/{name}/stats", "/livez", "/readyz",
                     "/health", "/openapi.json"):
            answers.append(self.server.get(path))
        for answer in answers:
            self.assertIn("json", answer.headers["Content-Type"])
            self.assertTrue(answer.body.endswith((b"}\n", b"]\n")), answer)
            answer.json()

    def test_escaped_letters_in_a_key_are_the_key(self):
        rows = json.dumps([self.row])
        plain = self.server.post("/v1/moe/forward", {"layer": 0, "hidden_states": [self.row]})
        escaped = self.server.request(
            "POST", "/v1/moe/forward", r'{"l\u0061yer": 0, "\u0068idden_st\u0061tes": ' + rows + "}", harness.JSON)
        self.assertEqual((escaped.status, escaped.body), (200, plain.body))
        for text, words in ((r'{"layer": 0, "l\u0061yer": 0}', "layer is given twice"),
                            (r'{"l\u00e4yer": 0}', "unknown field"), (r'{"\ud800": 0}', "surrogate"),
                            (r'{"layer\u0000": 0}', "u0000")):
            answer = self.server.request("POST", "/v1/moe/forward", text, harness.JSON)
            self.assertEqual(answer.status, 400, text)
            self.assertIn(words, answer.json()["detail"])

    def test_parameters_are_defaults_of_a_json_body(self):
        """What means the same to both is taken from where it is said; what the body says goes first."""
        def post(query, **body):
            answer = self.server.post("/v1/moe/layers/0/forward" + query, {"hidden_states": self.row, **body})
            self.assertEqual(answer.status, 200, answer)
            return answer.body

        for name, value, body in (("out_dtype", "f16", {"output_dtype": "f16"}), ("return", "routing", {"return": ["routing"]}),
                                  ("return", "output,logits", {"return": ["output", "logits"]})):
            self.assertEqual(post(f"?{name}={value}"), post("", **body), name)
            self.assertNotEqual(post(f"?{name}={value}"), post(""), name)
        self.assertEqual(post("?out_dtype=f16", output_dtype="f32"), post(""))
        self.assertEqual(post("?dtype=bf16&routing=topk&k=3"), post(""))  # of raw bodies: nothing to JSON
        self.assertEqual(post("?deadline_ms=60000&block=ffn&shared_experts=include&on_missing_expert=error"), post(""))
        for query, words in (("?block=norm", "norm"), ("?out_dtype=f8", "f8"), ("?nonsense=1", "nonsense")):
            answer = self.server.post("/v1/moe/layers/0/forward" + query, {"hidden_states": self.row})
            self.assertEqual(answer.status, 400)
            self.assertIn(words, answer.json()["detail"])


if __name__ == "__main__":
    unittest.main()
