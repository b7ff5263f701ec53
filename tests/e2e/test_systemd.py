"""The service manager's side: readiness, reloads, the watchdog, and sockets that it has bound."""
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from test_load import write_large_model

# LISTEN_PID and WATCHDOG_PID name the process that they are meant for, which exec keeps.
AS_ITSELF = ("sh", "-c", 'LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$@"', "sh")


class Manager:
    """What systemd is to a service: an address for its datagrams, and sockets that are bound."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(harness.PATIENCE)
        self.states = []

    def environment(self, **more):
        return {**os.environ, "NOTIFY_SOCKET": self.path, **more}

    def receive(self):
        """The next datagram, as {variable: value}."""
        lines = self.socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def receive_until(self, variable):
        """Skips what comes before a datagram with that variable."""
        while True:
            state = self.receive()
            if variable in state:
                return state

    def drain(self):
        """What is there already."""
        states = []
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                states.append(self.receive())
        self.socket.settimeout(harness.PATIENCE)
        return states

    def close(self):
        self.socket.close()
        self.folder.cleanup()


class WithManager(unittest.TestCase):
    def setUp(self):
        self.case = harness.case("f32-two-layers")
        self.manager = Manager()
        self.addCleanup(self.manager.close)


class Notify(WithManager):
    def test_from_start_to_end(self):
        with harness.Server(self.case.model, "--drain-delay-ms", "100", "--drain-timeout-ms", "2000",
                            env=self.manager.environment()) as server:
            ready = self.manager.receive_until("READY")
            self.assertEqual(ready, {"READY": "1", "STATUS": "serving 2 layers"})
            server.signal(signal.SIGHUP)  # nothing to read again, and no reason to leave
            reloading = self.manager.receive()
            self.assertEqual(reloading["RELOADING"], "1")
            self.assertLessEqual(int(reloading["MONOTONIC_USEC"]),
                                 time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6)
            self.assertEqual(self.manager.receive(), {"READY": "1"})
            server.signal()
            stopping = self.manager.receive()
            self.assertEqual((stopping["STOPPING"], stopping["STATUS"]),
                             ("1", "draining: 0 requests in flight"))
            self.assertGreaterEqual(int(stopping["EXTEND_TIMEOUT_USEC"]), 2100000)
            self.assertEqual(server.wait(), 0)
        self.assertEqual(self.manager.drain(), [])

    def test_why_it_failed(self):
        with self.assertRaises(harness.LoadError):
            harness.Server("/nowhere/model.gguf", env=self.manager.environment())
        self.assertRegex(self.manager.receive_until("STATUS")["STATUS"],
                         "^failed: .*/nowhere/model.gguf")

    def test_not_ready_before_the_model_is_there(self):
        path = os.path.join(self.manager.folder.name, "model.gguf")
        write_large_model(path)
        with harness.Server(path, wait=False, env=self.manager.environment()) as server:
            server.signal(signal.SIGHUP)
            state = {}
            while "READY" not in state:
                state = self.manager.receive()
                self.assertNotIn("RELOADING", state)
                if "READY" not in state:
                    self.assertRegex(state["STATUS"], r"^loading: \d+\.\d\d of 0\.81 GB$")
                    self.assertGreater(int(state["EXTEND_TIMEOUT_USEC"]), 0)
            self.assertEqual(server.get("/readyz").status, 200)

    def test_a_bad_address(self):
        done = subprocess.run([harness.BIN, "serve", self.case.model, "--listen", "127.0.0.1:0"],
                              env={**os.environ, "NOTIFY_SOCKET": "vsock:2:1"}, text=True,
                              capture_output=True, check=False, timeout=harness.PATIENCE)
        self.assertEqual(done.returncode, 2)
        self.assertIn("NOTIFY_SOCKET: found \"vsock:2:1\", expected a path", done.stderr)


class Watchdog(WithManager):
    def serve(self, model, *flags):
        return harness.Server(model, *flags, prefix=AS_ITSELF,
                              env=self.manager.environment(WATCHDOG_USEC="40000"))

    def test_regularly_while_the_loop_turns(self):
        with self.serve(self.case.model) as server:
            for _ in range(5):
                self.assertEqual(self.manager.receive_until("WATCHDOG")["WATCHDOG"], "1")
            server.signal(signal.SIGSTOP)
            while True:  # the signal may be on its way still
                with open(f"/proc/{server.process.pid}/stat", encoding="utf-8") as file:
                    if file.read().rsplit(")", 1)[1].split()[0] == "T":
                        break
            self.manager.drain()
            time.sleep(1.2)  # longer than the loop may stand still without a line in the log
            self.assertEqual(self.manager.drain(), [])
            server.signal(signal.SIGCONT)
            self.manager.receive_until("WATCHDOG")
            self.assertTrue(harness.eventually(lambda: "the loop stood still for" in server.text()))

    def test_not_meant_for_this_process(self):
        environment = self.manager.environment(WATCHDOG_USEC="1000", WATCHDOG_PID="1")
        with harness.Server(self.case.model, env=environment) as server:
            self.manager.receive_until("READY")
            for _ in range(20):
                server.get("/livez")
            self.assertEqual(self.manager.drain(), [])

    @staticmethod
    def rows_of_seconds(server, seconds):
        """Zeros that the server is busy with for about so long, whatever this machine is."""
        for rows in (4, 4):  # the first has the file to read as well
            started = time.monotonic()
            server.post_raw("/v1/moe/forward", bytes(rows * 4 * 2048))
        return bytes(min(512, max(4, int(4 * seconds / (time.monotonic() - started)))) * 4 * 2048)

    def test_a_worker_that_does_not_come_back(self):
        """Some batch has to take long: rows of a large model, by the slow backend."""
        path = os.path.join(self.manager.folder.name, "model.gguf")
        write_large_model(path)
        answers = []
        with self.serve(path, "--backend", "reference", "--load", "mmap", "--watchdog-ms",
                        "1") as server:
            zeros = self.rows_of_seconds(server, 2)
            sender = threading.Thread(target=lambda: answers.append(
                server.post_raw("/v1/moe/forward", zeros)))
            sender.start()
            self.assertTrue(harness.eventually(lambda: server.get("/livez").status == 503))
            self.assertTrue(harness.eventually(lambda: "watchdog: worker 0" in server.text()))
            ready = server.get("/readyz")
            self.assertEqual((ready.status, ready.json()["code"]), (503, "stuck"))
            self.assertRegex(ready.json()["detail"], r"^worker 0 has been computing a batch of "
                             r"layer 0 for \d+\.\d s, the limit is --watchdog-ms 1$")
            self.assertTrue(ready.headers["Retry-After"])
            self.assertTrue(harness.eventually(lambda: server.metric("moed_ready") == 0))
            self.manager.drain()
            heard = []
            while server.get("/livez").status == 503:
                self.assertEqual(heard, [])  # between two times that the worker was still stuck
                heard = self.manager.drain()
            sender.join()
            self.assertEqual((answers[0].status, answers[0].body), (200, zeros))
            self.assertTrue(harness.eventually(lambda: server.get("/livez").status == 200))
            self.manager.receive_until("WATCHDOG")
            self.assertTrue(harness.eventually(lambda: "watchdog: the worker came back" in server.text()))
            self.assertTrue(harness.eventually(lambda: server.metric("moed_ready") == 1))

    def test_off(self):
        path = os.path.join(self.manager.folder.name, "model.gguf")
        write_large_model(path)
        with harness.Server(path, "--load", "mmap", "--watchdog-ms", "0") as server:
            answer = server.post_raw("/v1/moe/forward", bytes(16 * 4 * 2048))
            self.assertEqual(answer.status, 200)
            self.assertNotIn("watchdog", server.text())


class Sockets(WithManager):
    """Socket activation: the manager binds, we serve."""

    def serve(self, sockets, *flags, names="", listen=(), **more):
        def hand_over():  # in the child: descriptors from 3 on, in order
            high = [os.dup2(one.fileno(), 100 + i) for i, one in enumerate(sockets)]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i, inheritable=True)

        return harness.Server(
            self.case.model, *flags, listen=listen, prefix=AS_ITSELF, preexec_fn=hand_over,
            pass_fds=range(3, 3 + len(sockets)),
            env={**os.environ, "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": names}, **more)

    def bound(self, path=None):
        """A listening socket: on a free port, or unix."""
        if path is None:
            one = socket.create_server(("127.0.0.1", 0))
        else:
            one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            one.bind(path)
            one.listen()
        self.addCleanup(one.close)
        return one

    def path(self, name):
        return os.path.join(self.manager.folder.name, name)

    def get(self, one, path="/readyz"):
        with socket.socket(one.family, socket.SOCK_STREAM) as plain:
            plain.settimeout(harness.PATIENCE)
            plain.connect(one.getsockname())
            plain.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return harness.read_answer(plain).status

    def test_all_that_are_passed(self):
        path = self.path("moed.sock")
        web, local = self.bound(), self.bound(path)
        with self.serve([web, local]) as server:
            self.assertIn(f"listening on unix:{path}", server.text())
            self.assertNotIn(":8080", server.text())
            for one in (web, local):
                self.assertEqual(self.get(one), 200)
            self.assertEqual(server.stop(), 0)
            # The sockets are the manager's: a connection now waits for the next server.
            with socket.create_connection(web.getsockname(), timeout=harness.PATIENCE) as plain:
                plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                with self.serve([web, local]):
                    self.assertEqual(harness.read_answer(plain).status, 200)
        self.assertTrue(os.path.exists(path))

    def test_by_name(self):
        first, second = self.bound(), self.bound()
        with self.serve([first, second], names="one:two", listen=("--listen", "fd:two")) as server:
            self.assertEqual(server.port, second.getsockname()[1])
            self.assertEqual(self.get(second), 200)

    def test_what_cannot_be(self):
        sockets = [self.bound(self.path("one")), self.bound(self.path("two"))]
        for names, why in ((("fd:three",), 'no socket is named "three"; systemd passed 2, named "a:b"'),
                           (("fd:0",), "fd:0 is no stream socket"),
                           (("fd:3", "fd:a"), "fd:3 is there twice")):
            flags = [word for name in names for word in ("--listen", name)]
            with self.assertRaises(harness.LoadError) as caught:
                self.serve(sockets, names="a:b", listen=flags)
            self.assertIn(why, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
