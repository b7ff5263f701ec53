"""Malformed requests: each gets its status and a body that names the fault, and the server
answers the next request correctly."""
import json
import struct
import time
import unittest

import harness
from harness import JSON, RAW

NAN = struct.pack("<f", float("nan"))
INFINITY = struct.pack("<f", float("inf"))


class Errors(unittest.TestCase):
    """All against one server, which serves layer 0 of a model with layers 0 and 1."""

    @classmethod
    def setUpClass(cls):
        cls.case = harness.case("f32-two-layers")
        cls.server = harness.Server(cls.case.model, "--layers", "0", "--max-body-bytes", "65536",
                                    "--max-request-rows", "32", "--body-timeout-ms", "700")
        cls.width = cls.case.hidden
        cls.row = cls.case.rows(0)[0]
        cls.raw_row = cls.case.bytes(0, "hidden.f32")[:4 * cls.width]
        cls.good = cls.server.post_raw("/v1/moe/layers/0/forward", cls.raw_row)
        assert cls.good.status == 200, cls.good

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            pass

    def check(self, answer, status, *words):
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        problem = answer.json()
        self.assertEqual(problem["status"], status)
        self.assertEqual(problem["detail"], problem["error"])
        for key in ("type", "title", "code", "request_id"):
            self.assertTrue(problem[key])
        for word in words:
            self.assertIn(word, problem["detail"])
        again = self.server.post_raw("/v1/moe/layers/0/forward", self.raw_row)
        self.assertEqual(again.status, 200)
        self.assertEqual(again.body, self.good.body)
        return answer

    def post(self, status, words, body, path="/v1/moe/forward", headers=None):
        """A JSON body, given as text or as a value, that has to fail."""
        if not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        answer = self.server.request("POST", path, body, headers or JSON)
        return self.check(answer, status, *words)

    def raw(self, status, words, data, path="/v1/moe/layers/0/forward", headers=None):
        answer = self.server.request("POST", path, data, {**RAW, **(headers or {})})
        return self.check(answer, status, *words)

    def send(self, status, words, data):
        """Bytes as they are."""
        return self.check(self.server.exchange(data), status, *words)

    def body(self, **fields):
        return {"layer": 0, "hidden_states": [self.row], **fields}


def add(name, run):
    """One more malformed request, as a test of its own."""
    setattr(Errors, "test_" + name, run)


# ---- JSON that is none, or not ours ----
for _name, _text in {
        "empty_body": "",
        "not_json": "hello",
        "cut_off": '{"layer": 0, "hidden_states": [[1, 2',
        "trailing_bytes": '{"layer": 0, "hidden_states": []} x',
        "deep_nesting": '{"layer": 0, "hidden_states": ' + "[" * 5000 + "]" * 5000 + "}",
        "an_array": "[1, 2, 3]",
        "nan_literal": '{"layer": 0, "hidden_states": [[NaN]]}',
        "bare_infinity": '{"layer": 0, "hidden_states": [[Infinity]]}',
        "bad_number": '{"layer": 0, "hidden_states": [[1.2.3]]}',
        "leading_zero": '{"layer": 0, "hidden_states": [[01]]}',
        "bad_utf8": b'{"layer": 0, "hidden_states": [[1]], "\xff\xfe": 1}',
        "binary": bytes(range(256)),
        "no_rows_field": '{"layer": 0}',
        "rows_null": '{"layer": 0, "hidden_states": null}',
        "rows_text": '{"layer": 0, "hidden_states": "abc"}',
        "rows_of_text": '{"layer": 0, "hidden_states": [["a", "b"]]}',
}.items():
    add(_name, lambda self, text=_text: self.post(400, [], text))


def _named(name, status, words, **fields):
    add(name, lambda self: self.post(status, words, self.body(**fields)))


# ---- fields ----
_named("unknown_field", 400, ["temperature"], temperature=1)
_named("layer_text", 400, ["layer"], layer="zero")
_named("layer_negative", 400, ["layer"], layer=-1)
_named("layer_fraction", 400, ["layer"], layer=0.5)
_named("unknown_layer", 404, ["99", "served: 0"], layer=99)
_named("layer_elsewhere", 421, ["layer 1", "served: 0"], layer=1)
_named("encoding_unknown", 400, ["encoding", "array"], encoding="hex")
_named("dtype_unknown", 400, ["output_dtype", "f32"], output_dtype="f64")
_named("block_unknown", 400, ["block"], block="attention")
_named("shared_unknown", 400, ["shared_experts"], shared_experts="maybe")
_named("shared_only_without", 422, ["shared"], shared_experts="only")
_named("return_unknown", 400, ["return"], **{"return": ["everything"]})
_named("return_not_a_list", 400, ["return"], **{"return": "output"})
_named("deadline_negative", 400, ["deadline_ms"], deadline_ms=-5)
_named("deadline_text", 400, ["deadline_ms"], deadline_ms="soon")


# ---- shapes and numbers ----
def _ragged(self):
    self.post(400, ["hidden_states"], self.body(hidden_states=[self.row, self.row[:-1]]))


def _too_narrow(self):
    self.post(400, [str(self.width)], self.body(hidden_states=[self.row[:-1]]))


def _too_wide(self):
    self.post(400, [str(self.width)], self.body(hidden_states=[self.row + [0.5]]),
              "/v1/moe/layers/0/forward")


def _out_of_range(self):
    text = json.dumps(self.body()).replace(str(self.row[0]), "1e39", 1)
    self.post(422, [], text)


def _too_many_rows(self):
    self.post(413, ["32"], self.body(hidden_states=[[0] * self.width] * 33))


def _base64_broken(self):
    value = harness.encode(self.raw_row, self.width)
    value["data"] = "*" + value["data"][1:]
    self.post(400, ["hidden_states"], self.body(hidden_states=value))


def _base64_short(self):
    value = harness.encode(self.raw_row, self.width)
    value["shape"] = [2, self.width]
    self.post(400, [], self.body(hidden_states=value))


def _base64_dtype(self):
    value = harness.encode(self.raw_row, self.width)
    value["dtype"] = "f64"
    self.post(400, ["dtype"], self.body(hidden_states=value))


def _base64_nan(self):
    value = harness.encode(self.raw_row + NAN + self.raw_row[4:], self.width)
    self.post(422, ["row 1"], self.body(hidden_states=value))


for _name, _run in {
        "ragged_rows": _ragged, "row_too_narrow": _too_narrow, "row_too_wide": _too_wide,
        "number_out_of_range": _out_of_range, "too_many_rows": _too_many_rows,
        "base64_broken": _base64_broken, "base64_short": _base64_short,
        "base64_dtype": _base64_dtype, "base64_nan": _base64_nan,
}.items():
    add(_name, _run)

# ---- supplied routing ----
for _name, _status, _words, _routing in [
        ("routing_id_out_of_range", 422, ["999"], {"expert_ids": [[999]], "weights": [[1]]}),
        ("routing_id_negative", 422, ["-2"], {"expert_ids": [[-2]], "weights": [[1]]}),
        ("routing_duplicate", 422, [], {"expert_ids": [[1, 1]], "weights": [[0.5, 0.5]]}),
        ("routing_ragged", 400, ["weights"], {"expert_ids": [[0, 1]], "weights": [[0.5]]}),
        ("routing_rows", 400, ["routing"],
         {"expert_ids": [[0], [1]], "weights": [[0.5], [0.5]]}),
        ("routing_no_weights", 400, ["weights"], {"expert_ids": [[0]]}),
        ("routing_no_ids", 400, ["expert_ids"], {"weights": [[1]]}),
        ("routing_fraction", 400, ["expert_ids"], {"expert_ids": [[0.5]], "weights": [[1]]}),
        ("routing_unknown_field", 400, ["bias"],
         {"expert_ids": [[0]], "weights": [[1]], "bias": 1}),
        ("routing_weight_too_large", 422, [], '{"expert_ids": [[0]], "weights": [[1e99]]}'),
]:
    def _run(self, status=_status, words=_words, routing=_routing):
        if isinstance(routing, str):
            text = json.dumps(self.body(routing=0)).replace('"routing": 0', '"routing": ' + routing)
            self.post(status, words, text)
        else:
            self.post(status, words, self.body(routing=routing))
    add(_name, _run)


add("routing_given_to_route", lambda self: self.post(
    422, ["routing"], self.body(routing={"expert_ids": [[0]], "weights": [[1]]}), "/v1/moe/route"))
add("routing_and_logits", lambda self: self.post(
    422, ["logits"], self.body(routing={"expert_ids": [[0]], "weights": [[1]]},
                               **{"return": ["output", "logits"]})))

# ---- raw bytes ----
add("raw_length", lambda self: self.raw(400, [], self.raw_row[:-1]))
add("raw_nan", lambda self: self.raw(422, ["row 1"], self.raw_row + NAN + self.raw_row[4:]))
add("raw_infinity", lambda self: self.raw(422, ["row 0"], INFINITY + self.raw_row[4:]))
add("raw_no_layer", lambda self: self.raw(400, ["layer"], self.raw_row, "/v1/moe/forward"))
add("raw_dtype", lambda self: self.raw(
    400, ["dtype", "bf16"], self.raw_row, headers={"X-MoE-Dtype": "int8"}))
add("raw_parameter", lambda self: self.raw(
    400, ["colour"], self.raw_row, "/v1/moe/layers/0/forward?colour=red"))
add("raw_topk_without_k", lambda self: self.raw(
    400, ["k"], self.raw_row, "/v1/moe/layers/0/forward?routing=topk"))
add("raw_k_zero", lambda self: self.raw(
    400, ["k"], self.raw_row, "/v1/moe/layers/0/forward?routing=topk&k=0"))
add("raw_topk_id", lambda self: self.raw(
    422, ["77"], self.raw_row + struct.pack("<if", 77, 1.0),
    "/v1/moe/layers/0/forward?routing=topk&k=1"))
add("raw_layers_differ", lambda self: self.raw(
    400, ["layer"], self.raw_row, headers={"X-MoE-Layer": "1"}))
add("raw_too_many_rows", lambda self: self.raw(413, ["32"], bytes(4 * self.width) * 33))

# ---- HTTP ----
add("unknown_path", lambda self: self.check(self.server.get("/v1/moe"), 404, "/v1/moe"))
add("path_layer_text", lambda self: self.post(404, [], self.body(), "/v1/moe/layers/x/forward"))
add("path_layer_huge", lambda self: self.post(
    404, [], self.body(), "/v1/moe/layers/99999999999999999999/forward"))
add("path_layer_elsewhere", lambda self: self.post(
    421, ["served: 0"], self.body(), "/v1/moe/layers/1/forward"))
add("path_and_body_differ", lambda self: self.post(
    400, ["layer"], self.body(layer=7), "/v1/moe/layers/0/forward"))
add("content_type", lambda self: self.post(
    415, ["text/csv", "application/json", "application/octet-stream"], "1,2",
    headers={"Content-Type": "text/csv"}))
add("content_type_missing", lambda self: self.post(
    415, ["application/json"], b"{}", headers={"X": "y"}))
add("content_encoding", lambda self: self.post(
    415, ["br", "gzip"], b"{}", headers={**JSON, "Content-Encoding": "br"}))


def _wrong_method(self):
    answer = self.check(self.server.get("/v1/moe/forward"), 405, "POST")
    self.assertEqual(answer.headers["Allow"], "POST")
    answer = self.check(self.server.request("PUT", "/v1/moe/experts", b""), 405)
    self.assertEqual(answer.headers["Allow"], "GET, HEAD, DELETE")


def _huge_length(self):
    started = time.monotonic()
    self.send(413, ["65536"], b"POST /v1/moe/forward HTTP/1.1\r\nHost: x\r\nContent-Type: "
              b"application/json\r\nContent-Length: 99999999999999\r\n\r\n")
    self.assertLess(time.monotonic() - started, harness.PATIENCE / 2)


def _length_just_over(self):
    self.post(413, ["65537", "65536"], b" " * 65537)


def _no_length(self):
    self.send(411, ["Content-Length"], b"POST /v1/moe/forward HTTP/1.1\r\nHost: x\r\n"
              b"Content-Type: application/json\r\n\r\n")


def _endless_chunks(self):
    with self.server.socket() as plain:
        plain.sendall(b"POST /v1/moe/forward HTTP/1.1\r\nHost: x\r\nContent-Type: "
                      b"application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(66):
            plain.sendall(b"400\r\n" + b" " * 1024 + b"\r\n")
        self.check(harness.read_answer(plain), 413, "65536")


def _slow_body(self):
    with self.server.socket() as plain:
        plain.sendall(b"POST /v1/moe/forward HTTP/1.1\r\nHost: x\r\nContent-Type: "
                      b"application/json\r\nContent-Length: 100\r\n\r\n{")
        self.check(harness.read_answer(plain), 408, "700 ms")


def _slow_refused_body(self):
    with self.server.socket() as plain:
        plain.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        self.check(harness.read_answer(plain), 408)


def _expect(self):
    with self.server.socket() as plain:
        plain.sendall(b"POST /v1/moe/layers/1/forward HTTP/1.1\r\nHost: x\r\nContent-Type: "
                      b"application/json\r\nContent-Length: 50000\r\nExpect: 100-continue\r\n\r\n")
        self.check(harness.read_answer(plain), 421, "served: 0")


def _refused_connection_stays(self):
    connection = self.server.connect()
    for _ in range(3):
        answer = harness.ask(connection, "POST", "/v1/moe/nope", b"x" * 30000, JSON)
        self.check(answer, 404)
    connection.close()


for _name, _run in {
        "wrong_method": _wrong_method, "huge_length": _huge_length,
        "length_just_over": _length_just_over, "no_length": _no_length,
        "endless_chunks": _endless_chunks, "slow_body": _slow_body,
        "slow_refused_body": _slow_refused_body, "expect_refused": _expect,
        "refused_connection_stays": _refused_connection_stays,
}.items():
    add(_name, _run)


class NotHttp(unittest.TestCase):
    """Bytes that libmicrohttpd itself refuses: the server has to survive them."""

    def test_garbage(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model) as server:
            for data in (b"\x00\xff\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"\r\n" * 1000,
                         b"GET / HTTP/9.9\r\n\r\n", b"A" * 200000 + b"\r\n\r\n",
                         b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n",
                         b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
                         b"POST /v1/moe/forward HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                         b"POST /v1/moe/forward HTTP/1.1\r\nContent-Length: 5x\r\n\r\n",
                         b"POST /v1/moe/forward HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
                         b"Content-Type: application/json\r\n\r\nZZ\r\n"):
                with self.subTest(data=data[:40]):
                    try:
                        with server.socket() as plain:
                            plain.sendall(data)
                            plain.shutdown(1)
                            status = harness.read_answer(plain).status
                        self.assertIn(status, (0, 400, 404, 411, 413, 414, 431, 505))
                    except OSError:
                        pass  # refused in the middle of it
                    self.assertEqual(server.get("/readyz").status, 200)

    def test_statuses(self):
        """What it says itself cannot be problem+json, but is an answer all the same."""
        case = harness.case("f32-two-layers")
        with harness.Server(case.model) as server:
            for status, data in ((431, b"GET /livez HTTP/1.1\r\nX: " + b"y" * 100000 + b"\r\n\r\n"),
                                 (414, b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n"),
                                 (400, b"GARB AGE\r\n\r\n"),
                                 (400, b"POST / HTTP/1.1\r\nContent-Length: 5x\r\n\r\n")):
                with self.subTest(data=data[:40]):
                    self.assertEqual(server.exchange(data).status, status)
                    self.assertEqual(server.get("/readyz").status, 200)

    def test_a_length_that_is_not_meant(self):
        """A coding that libmicrohttpd does not know makes the length unknown to it."""
        case = harness.case("f32-two-layers")
        with harness.Server(case.model) as server:
            with server.socket() as plain:
                plain.sendall(b"POST /v1/moe/layers/0/forward HTTP/1.1\r\nHost: x\r\nContent-Type: "
                              b"application/octet-stream\r\nTransfer-Encoding: gzip\r\n"
                              b"Content-Length: 10\r\n\r\n" + bytes(300000))
                plain.shutdown(1)
                harness.read_answer(plain)
            self.assertEqual(server.get("/readyz").status, 200)


class Uploads(unittest.TestCase):
    """Bodies that are not taken, of clients that do not ask first."""

    @classmethod
    def setUpClass(cls):
        cls.case = harness.case("f32-two-layers")
        cls.server = harness.Server(cls.case.model, "--max-inflight-bytes", "200000",
                                    "--body-timeout-ms", "20000")
        cls.head = (b"POST /v1/moe/layers/0/forward HTTP/1.1\r\nHost: x\r\n"
                    b"Content-Type: application/octet-stream\r\n")

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            pass

    def test_a_large_one_is_cut_at_once(self):
        with self.server.socket() as plain:
            plain.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n")
            answer = harness.read_answer(plain)
        self.assertEqual((answer.status, answer.json()["code"]), (404, "not_found"))
        self.assertEqual(answer.headers["Connection"], "close")

    def test_headers_of_a_cut_answer(self):
        with self.server.socket() as plain:
            plain.sendall(b"PUT /v1/moe/forward HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\n"
                          b"Content-Length: 2000000\r\n\r\n")
            answer = harness.read_answer(plain)
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "POST"))
        self.assertEqual(answer.headers["X-Request-Id"], "mine")
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")

    def test_chunks_without_end_are_cut(self):
        with self.server.socket() as plain:
            plain.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
                          b"\r\n\r\n")
            for _ in range(17):  # of 64 KiB: read and thrown away up to 1 MiB
                plain.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
            self.assertEqual(harness.read_answer(plain).status, 404)

    def test_all_bodies_together_are_bounded(self):
        row = self.case.bytes(0, "hidden.f32")[:4 * self.case.hidden]
        data = row * (95000 // len(row))  # and as much for its answer
        first = self.head + f"Content-Length: {len(data)}\r\n\r\n".encode() + data
        with self.server.socket() as plain:
            plain.sendall(first[:-1])
            self.assertTrue(harness.eventually(lambda: self.refused(150000)))
            with self.server.socket() as other:  # one that did not say how much would come
                other.sendall(self.head + b"Transfer-Encoding: chunked\r\n\r\n")
                other.sendall(b"20000\r\n" + bytes(0x20000) + b"\r\n")
                self.assertEqual(harness.read_answer(other).status, 429)
            plain.sendall(first[-1:])
            self.assertEqual(harness.read_answer(plain).status, 200)
        self.assertEqual(self.server.exchange(first).status, 200)
        answer = self.server.post_raw("/v1/moe/layers/0/forward", bytes(200001))
        self.assertEqual(answer.status, 413, answer)
        self.assertIn("200001", answer.json()["detail"])

    def refused(self, size):
        """Whether a body of that size is refused for what is in flight."""
        with self.server.socket() as plain:
            plain.sendall(self.head + f"Content-Length: {size}\r\nExpect: 100-continue"
                          "\r\n\r\n".encode())
            answer = harness.read_answer(plain)
        if answer.status != 429:
            return False
        self.assertEqual(answer.json()["code"], "queue_full")
        self.assertIn("the limit is 200000", answer.json()["detail"])
        self.assertTrue(answer.headers["Retry-After"])
        return True


class SlowHeaders(unittest.TestCase):
    def test_are_hung_up_on(self):
        """However steadily they trickle in."""
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, "--header-timeout-ms", "500") as server:
            idle = server.socket()
            kept = server.connect()
            harness.ask(kept, "GET", "/livez")
            with server.socket() as plain:
                plain.sendall(b"GET /livez HTTP/1.1\r\nX: ")

                def refused():
                    try:
                        plain.sendall(b"y")
                        plain.settimeout(0.05)
                        return plain.recv(1) == b""
                    except TimeoutError:
                        return False
                    except OSError:
                        return True

                self.assertTrue(harness.eventually(refused))
            self.assertEqual(idle.recv(1), b"")
            idle.close()
            own = kept.sock
            self.assertEqual(harness.ask(kept, "GET", "/livez").status, 200)
            self.assertIs(kept.sock, own)  # it has proved itself
            kept.close()


if __name__ == "__main__":
    unittest.main()
