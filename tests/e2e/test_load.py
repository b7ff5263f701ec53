"""Many clients at once, clients that leave, and the server's beginning and end."""
import contextlib
import http.client
import json
import math
import os
import pty
import random
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import JSON, RAW

CLIENTS = 64
ROUNDS = 12


def in_threads(targets):
    """Runs them all at once; the first exception is raised here."""
    errors = []

    def guarded(target):
        try:
            target()
        except Exception as error:  # noqa: carried to the main thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def requests_of(case, seed):
    """Requests of one client: layers, sizes, encodings and routings of all kinds."""
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        layer = chance.choice(case.layers)
        rows = case.rows(layer)
        picked = [chance.choice(rows) for _ in range(chance.choice([1, 1, 1, 2, 5, 40]))]
        data = struct.pack(f"<{len(picked) * case.hidden}f", *harness.flat(picked))
        path = f"/v1/moe/layers/{layer}/forward"
        kind = chance.randrange(5)
        if kind == 0:
            yield path, json.dumps({"hidden_states": picked, "return": ["output", "routing"]}), JSON
        elif kind == 1:
            yield path, json.dumps({"hidden_states": harness.encode(data, case.hidden),
                                    "encoding": "base64", "output_dtype": "f16"}), JSON
        elif kind == 2:
            experts = [chance.sample(range(case.info["experts"]), 3) for _ in picked]
            extra = (struct.pack(f"<{3 * len(picked)}i", *harness.flat(experts)) +
                     struct.pack("<f", 1 / 3) * (3 * len(picked)))
            yield path + "?routing=topk&k=3", data + extra, RAW
        elif kind == 3:
            yield path.replace("forward", "route"), data, RAW
        else:
            yield path + "?return=output,routing", data, RAW


class ManyClients(unittest.TestCase):
    def check_own_answers(self, *flags):
        """Each client compares with what a single request gave when nobody else was there."""
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, *flags) as server:
            work = [list(requests_of(case, seed)) for seed in range(CLIENTS)]
            alone = {}
            connection = server.connect()
            for path, body, headers in (request for client in work for request in client):
                answer = harness.ask(connection, "POST", path, body, headers)
                self.assertEqual(answer.status, 200, answer)
                alone[path, body] = answer.body
            connection.close()

            def client(requests):
                connection = server.connect()
                for path, body, headers in requests:
                    answer = harness.ask(connection, "POST", path, body, headers)
                    self.assertEqual(answer.status, 200, answer)
                    self.assertEqual(answer.body, alone[path, body])
                connection.close()

            in_threads([lambda requests=requests: client(requests) for requests in work])
            self.assertEqual(server.metric("moed_queue_rows"), 0)

    def test_each_gets_its_own_answer(self):
        self.check_own_answers()

    def test_small_batches_that_split(self):
        self.check_own_answers("--max-batch-rows", "7", "--workers", "2")

    def test_clients_that_disconnect(self):
        case = harness.case("f32-two-layers")
        data = case.bytes(0, "hidden.f32")
        head = (f"POST /v1/moe/layers/0/forward HTTP/1.1\r\nHost: x\r\nContent-Type: "
                f"application/octet-stream\r\nContent-Length: {len(data)}\r\n\r\n").encode()
        with harness.Server(case.model) as server:
            expected = server.post_raw("/v1/moe/layers/0/forward", data).body

            def leaver(seed):
                chance = random.Random(seed)
                for _ in range(20):
                    plain = server.socket()
                    whole = head + data
                    plain.sendall(whole[:chance.choice([5, len(head), len(head) + 100,
                                                        len(whole), len(whole)])])
                    if chance.random() < 0.5:  # a reset instead of a goodbye
                        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                         struct.pack("ii", 1, 0))
                    plain.close()

            def stayer():
                connection = server.connect()
                for _ in range(40):
                    answer = harness.ask(connection, "POST", "/v1/moe/layers/0/forward", data, RAW)
                    self.assertEqual((answer.status, answer.body), (200, expected))
                connection.close()

            in_threads([lambda seed=seed: leaver(seed) for seed in range(16)] + [stayer] * 4)
            # All gone but the one that asks.
            self.assertTrue(harness.eventually(lambda: server.metric("moed_connections") == 1))
            self.assertEqual(server.metric("moed_queue_rows"), 0)
            self.assertGreater(server.metric("moed_http_requests_total", code="499"), 0)


class LargeBodies(unittest.TestCase):
    """Bodies and answers that are too large for the loop to free."""

    def test_answers_and_clients_that_leave(self):
        case = harness.case("f32-two-layers")
        path, rows = "/v1/moe/layers/0/forward", case.bytes(0, "hidden.f32")
        times = (5 << 20) // len(rows) + 1
        with harness.Server(case.model, "--max-request-rows", "100000", "--max-queue-rows",
                            "200000") as server:
            expected = server.post_raw(path, rows).body
            for _ in range(3):
                answer = server.post_raw(path, rows * times)
                self.assertEqual((answer.status, answer.body), (200, expected * times))
            values = harness.rows_of(harness.floats(rows), case.hidden)
            answer = server.post(path, {"hidden_states": values * (times // 4)})
            self.assertEqual((answer.status, answer.json()["shape"]),
                             (200, [len(values) * (times // 4), case.hidden]))
            for sent in (len(rows) * times - 1, len(rows) * times):
                with server.socket() as plain:
                    plain.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/"
                                  f"octet-stream\r\nContent-Length: {len(rows) * times}\r\n\r\n"
                                  .encode() + (rows * times)[:sent])
            self.assertTrue(harness.eventually(lambda: server.metric("moed_connections") == 1))
            self.assertEqual(server.metric("moed_queue_rows"), 0)


class Drain(unittest.TestCase):
    def under_load(self, *flags):
        """SIGTERM while 32 clients work. A client leaves when it is told to (Connection: close):
        what it was sent before that has to be whole."""
        case = harness.case("f32-two-layers")
        data = case.bytes(0, "hidden.f32")
        statuses, broken = [], []
        with harness.Server(case.model, *flags) as server:
            expected = server.post_raw("/v1/moe/layers/0/forward", data).body
            busy = threading.Barrier(33)

            def client():
                connection = server.connect()
                harness.ask(connection, "GET", "/livez")
                busy.wait()
                while True:
                    try:
                        answer = harness.ask(connection, "POST", "/v1/moe/layers/0/forward", data,
                                             RAW)
                    except (OSError, http.client.HTTPException) as error:
                        broken.append(error)
                        return
                    statuses.append(answer.status)
                    if answer.status == 200:
                        self.assertEqual(answer.body, expected)
                    if answer.headers["Connection"] == "close":
                        return

            def stopper():
                busy.wait()
                time.sleep(0.3)
                server.signal()

            in_threads([client] * 32 + [stopper])
            self.assertEqual(server.wait(), 0, server.text())
        return statuses, broken

    def test_sigterm_under_load(self):
        statuses, broken = self.under_load("--drain-delay-ms", "1000")
        self.assertEqual(broken, [])
        self.assertEqual(set(statuses), {200})

    def test_sigterm_without_delay(self):
        statuses, broken = self.under_load()
        self.assertLessEqual(set(statuses), {200, 503})
        # A request that was on its way when the last connection closed was never accepted.
        for error in broken:
            self.assertIsInstance(error, (ConnectionError, http.client.RemoteDisconnected))

    def test_phases(self):
        case = harness.case("f32-two-layers")
        data = case.bytes(0, "hidden.f32")
        with harness.Server(case.model, "--drain-delay-ms", "1500") as server:
            server.signal(signal.SIGINT)
            self.assertTrue(harness.eventually(lambda: server.get("/readyz").status == 503))
            answer = server.get("/readyz")
            self.assertEqual(answer.json()["code"], "draining")
            self.assertEqual(answer.headers["Connection"], "close")
            self.assertEqual(server.get("/livez").status, 200)
            answer = server.post_raw("/v1/moe/layers/0/forward", data)
            self.assertEqual((answer.status, answer.headers["Connection"]), (200, "close"))
            self.assertEqual(server.wait(), 0)
            with self.assertRaises(OSError):
                server.get("/livez")

    def test_ports_close_together(self):
        """What has arrived on any of them when the ports close is served, on each."""
        case = harness.case("f32-two-layers")
        data = case.bytes(0, "hidden.f32")
        request = (f"POST /v1/moe/layers/0/forward HTTP/1.1\r\nHost: x\r\nContent-Type: "
                   f"application/octet-stream\r\nContent-Length: {len(data)}\r\n\r\n").encode() + data
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            paths = [f"{folder}/{i}" for i in range(4)]
            server = stack.enter_context(harness.Server(
                case.model, *(word for path in paths for word in ("--listen", f"unix:{path}"))))
            expected = server.post_raw("/v1/moe/layers/0/forward", data).body
            clients = []
            for path in paths:
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.settimeout(harness.PATIENCE)
                client.connect(path)
                client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(harness.read_answer(client).status, 200)
                clients.append(client)
            server.signal(signal.SIGSTOP)
            server.signal()
            for client in clients:
                client.sendall(request)
            server.signal(signal.SIGCONT)
            for client in clients:
                answer = harness.read_answer(client)
                self.assertEqual((answer.status, answer.body), (200, expected))
            self.assertEqual(server.wait(), 0)

    def test_half_sent_body_is_waited_for(self):
        case = harness.case("f32-two-layers")
        data = case.bytes(0, "hidden.f32")
        head = (f"POST /v1/moe/layers/0/forward HTTP/1.1\r\nHost: x\r\nContent-Type: "
                f"application/octet-stream\r\nContent-Length: {len(data)}\r\n\r\n").encode()
        with harness.Server(case.model) as server:
            expected = server.post_raw("/v1/moe/layers/0/forward", data).body
            with server.socket() as plain:
                plain.sendall(head + data[:100])
                time.sleep(0.2)
                server.signal()
                time.sleep(0.2)
                self.assertIsNone(server.process.poll())
                plain.sendall(data[100:])
                answer = harness.read_answer(plain)
            self.assertEqual((answer.status, answer.body), (200, expected))
            self.assertEqual(server.wait(), 0)

    def test_patience_ends(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, "--drain-timeout-ms", "300") as server:
            with server.socket() as plain:
                plain.sendall(b"POST /v1/moe/layers/0/forward HTTP/1.1\r\nHost: x\r\nContent-Type: "
                              b"application/octet-stream\r\nContent-Length: 1000\r\n\r\nabc")
                time.sleep(0.2)
                server.signal()
                answer = harness.read_answer(plain)
            self.assertEqual(answer.status, 503, answer)
            self.assertEqual(answer.json()["code"], "draining")
            self.assertEqual(server.wait(), 0)

    def test_second_signal(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, "--drain-delay-ms", "600000") as server:
            server.signal()
            time.sleep(0.3)
            self.assertEqual(server.get("/livez").status, 200)
            started = time.monotonic()
            server.signal()
            self.assertEqual(server.wait(), 0)
            self.assertLess(time.monotonic() - started, harness.PATIENCE / 2)


def scrape_until_gone(server):
    """One client that asks for /metrics as often as it can."""
    while True:
        try:
            with server.socket() as plain:
                plain.settimeout(5)
                while True:
                    plain.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                    if not harness.read_answer(plain).status:
                        break
        except OSError:
            if server.process.poll() is not None:
                return


class ScrapedAtTheEnd(unittest.TestCase):
    """Requests that are away on the pool when the server would stop."""

    def test_after_a_hurry(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, "--metrics-per-expert", "--drain-timeout-ms", "1") as server:
            idle = [server.socket() for _ in range(60)]
            for plain in idle:
                plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(harness.read_answer(plain).status, 200)
            with server.socket() as half:  # what the drain waits for
                half.sendall(b"POST /v1/moe/layers/0/forward HTTP/1.1\r\nHost: x\r\nContent-Type: "
                             b"application/octet-stream\r\nContent-Length: 1000\r\n\r\nabc")
                time.sleep(0.2)
                server.signal()
                for plain in idle:
                    time.sleep(0.01)
                    with contextlib.suppress(OSError):
                        plain.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(server.wait(), 0, server.text())
            for plain in idle:
                plain.close()


class FewFiles(unittest.TestCase):
    def test_every_failure_to_start_is_an_error(self):
        """Wherever descriptors run out: at the loop, at the socket, at libmicrohttpd."""
        # The leak checker of the sanitized build needs descriptors of its own.
        asan = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "detect_leaks=0"]))
        taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(64)]
        for limit in range(6, 24):  # libuv itself aborts with less
            with self.subTest(limit=limit):
                done = subprocess.run(
                    [harness.BIN, "serve", "/nowhere/model.gguf", "--listen", "127.0.0.1:0"],
                    capture_output=True, text=True, check=False, timeout=harness.PATIENCE,
                    env={**os.environ, "ASAN_OPTIONS": asan}, pass_fds=taken,
                    preexec_fn=lambda: resource.setrlimit(
                        resource.RLIMIT_NOFILE, (limit + len(taken), limit + len(taken))))
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("moed: ", done.stderr)
                self.assertNotIn("AddressSanitizer", done.stderr)
        for file in taken:
            os.close(file)

    def test_too_low_a_limit_is_said_before_anything_is_bound(self):
        done = subprocess.run(
            [harness.BIN, "serve", "/nowhere/model.gguf", "--listen", "127.0.0.1:0"],
            capture_output=True, text=True, check=False, timeout=harness.PATIENCE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32)))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"moed: found a limit of 32 open files, expected at least \d+")
        self.assertNotIn("listening", done.stderr)

    def test_a_port_that_is_taken_is_said_before_another_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = subprocess.run(
                [harness.BIN, "serve", "/nowhere/model.gguf", "--listen", "127.0.0.1:0", "--listen",
                 f"127.0.0.1:{taken.getsockname()[1]}"],
                capture_output=True, text=True, check=False, timeout=harness.PATIENCE)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("cannot listen on", done.stderr)
        self.assertNotIn("listening", done.stderr)


def write_large_model(path):
    """A model of 800 MB that takes no room on the disk: its weights are a hole, all zeros."""
    hidden, width, experts = 2048, 1024, 32

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    numbers = {"block_count": 1, "embedding_length": hidden, "expert_count": experts,
               "expert_used_count": 2, "expert_feed_forward_length": width}
    keys = text("general.architecture") + struct.pack("<I", 8) + text("qwen3moe")
    for name, number in numbers.items():
        keys += text("qwen3moe." + name) + struct.pack("<II", 4, number)
    keys += text("qwen3moe.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-6)
    tensors, offset = b"", 0
    shapes = {"ffn_norm": [hidden], "ffn_gate_inp": [hidden, experts],
              "ffn_gate_exps": [hidden, width, experts], "ffn_up_exps": [hidden, width, experts],
              "ffn_down_exps": [width, hidden, experts]}
    for name, shape in shapes.items():
        tensors += text(f"blk.0.{name}.weight") + struct.pack("<I", len(shape))
        tensors += struct.pack(f"<{len(shape)}QIQ", *shape, 0, offset)
        offset += 4 * math.prod(shape)
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(shapes), len(numbers) + 2) + keys + tensors
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(-(-len(head) // 32) * 32 + offset)


class LargeModel(unittest.TestCase):
    """A model that takes long enough to load, and to compute, to be asked about meanwhile."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.model = os.path.join(self.folder.name, "model.gguf")
        write_large_model(self.model)

    def tearDown(self):
        self.folder.cleanup()

    def check_answers(self, server):
        ready = server.get("/readyz")
        self.assertEqual((ready.status, ready.json()["code"]), (503, "loading"))
        self.assertTrue(ready.headers["Retry-After"])
        self.assertEqual(server.get("/livez").status, 200)
        self.assertEqual(server.get("/openapi.json").status, 200)
        self.assertEqual(server.metric("moed_ready"), 0)
        for answer in (server.post_raw("/v1/moe/forward", b"abcd"), server.get("/v1/moe/info"),
                       server.get("/v1/moe/experts")):
            self.assertEqual(answer.status, 503, answer)
            self.assertEqual(answer.json()["code"], "loading")
            self.assertTrue(answer.headers["Retry-After"])
        self.assertEqual(server.metric("moed_rejected_total", reason="loading"), 1)

    def test_answers_while_loading(self):
        with harness.Server(self.model, wait=False) as server:
            self.check_answers(server)
            self.assertTrue(server.wait_ready())
            self.assertTrue(harness.eventually(lambda: "loaded model: 0." in server.text()))
            answer = server.post_raw("/v1/moe/forward", bytes(4 * 2048))
            self.assertEqual((answer.status, answer.body), (200, bytes(4 * 2048)))

    def test_bar_on_a_terminal(self):
        ours, theirs = pty.openpty()
        process = subprocess.Popen([harness.BIN, "serve", self.model, "--listen", "127.0.0.1:0"],
                                   stdin=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        shown = b""
        while b" ready: " not in shown:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(harness.PATIENCE), 0)
        os.close(ours)
        self.assertRegex(shown, rb"loading \[#* *\] +\d+ %  0\.\d\d of 0\.81 GB")
        self.assertIn(b"listening on http://", shown)

    def test_queued_work_at_the_end_of_patience(self):
        answers = []
        with harness.Server(self.model, "--max-batch-rows", "32", "--workers", "1",
                            "--drain-timeout-ms", "1") as server:

            def client():
                answers.append(server.post_raw("/v1/moe/forward", bytes(256 * 4 * 2048)))

            def stopper():
                self.assertTrue(harness.eventually(
                    lambda: server.metric("moed_queue_requests") >= 6))
                server.signal()

            in_threads([client] * 8 + [stopper])
            self.assertEqual(server.wait(), 0)
        self.assertEqual(len(answers), 8)
        refused = [answer for answer in answers if answer.status != 200]
        self.assertGreater(len(refused), 0)
        for answer in refused:
            self.assertEqual((answer.status, answer.json()["code"]), (503, "draining"))
            self.assertTrue(answer.headers["Retry-After"])

    def test_stop_while_loading(self):
        with harness.Server(self.model, wait=False) as server:
            server.signal()
            self.assertEqual(server.wait(), 0)
            self.assertIn("while loading", server.text())

    def test_stop_while_loading_and_scraped(self):
        for _ in range(3):
            with harness.Server(self.model, "--metrics-per-expert", wait=False) as server:
                threads = [threading.Thread(target=scrape_until_gone, args=(server,))
                           for _ in range(8)]
                for thread in threads:
                    thread.start()
                time.sleep(0.1)
                server.signal()
                self.assertEqual(server.wait(), 0, server.text())
                for thread in threads:
                    thread.join()
                self.assertIn("while loading", server.text())

    def test_load_failure(self):
        with open(self.model, "r+b") as file:
            file.truncate(100000)
        with self.assertRaises(harness.LoadError) as caught:
            harness.Server(self.model)
        self.assertIn(self.model, str(caught.exception))
        self.assertNotIn("Sanitizer", str(caught.exception))

    def test_missing_file(self):
        done = subprocess.run([harness.BIN, "serve", "/nowhere/model.gguf", "--listen",
                               "127.0.0.1:0"], capture_output=True, text=True, check=False,
                              timeout=harness.PATIENCE)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/nowhere/model.gguf", done.stderr)

    def test_bad_listen(self):
        for spec, word in (("nonsense", "HOST:PORT"), ("::1:80", "[v6]:PORT"),
                           ("unix:" + "x" * 200, "unix")):
            done = subprocess.run([harness.BIN, "serve", self.model, "--listen", spec],
                                  capture_output=True, text=True, check=False,
                                  timeout=harness.PATIENCE)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main()
