"""The process and what surrounds it: names that lead to no file, a log that nobody reads, standard
descriptors that are closed, signals at any time."""
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import certificates
import harness


def run(*words, environment=None, **popen):
    """A moed command that ends by itself: (exit status, stderr)."""
    done = subprocess.run([harness.BIN, *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", timeout=harness.PATIENCE, check=False,
                          env={**os.environ, **(environment or {})}, **popen)
    return done.returncode, done.stderr


class Folder(unittest.TestCase):
    """A test with a folder of its own and a small model."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.case = harness.case("f32-two-layers")

    def path(self, name):
        return os.path.join(self.folder, name)

    def refused(self, message, *flags, status=2):
        """Serving with these flags ends at once, and says why."""
        found, said = run("serve", self.case.model, "--listen", "127.0.0.1:0", *flags)
        self.assertEqual(found, status, said)
        self.assertIn(message, said)


class Files(Folder):
    """One careful way to open files: only regular ones, of a bounded size."""

    def setUp(self):
        super().setUp()
        self.pipe = self.path("pipe")
        os.mkfifo(self.pipe)

    def certificate(self):
        cert, key = certificates.Authority(self.folder, "ours").sign("server")
        return cert, key

    def test_pipes_and_devices_at_the_start(self):
        cert, key = self.certificate()
        for odd, kind in ((self.pipe, "a pipe"), ("/dev/zero", "a device"), (self.folder, "a directory")):
            for flag, flags in (("--tls-cert", ("--tls-cert", odd, "--tls-key", key)),
                                ("--tls-key", ("--tls-cert", cert, "--tls-key", odd)),
                                ("--tls-client-ca", ("--tls-cert", cert, "--tls-key", key,
                                                     "--tls-client-ca", odd)),
                                ("--api-key-file", ("--api-key-file", odd))):
                with self.subTest(flag=flag, kind=kind):
                    self.refused(f"{flag} {odd}: found {kind}, expected a regular file", *flags)
            with self.subTest(flag="--arch-file", kind=kind):
                self.refused(f"architecture file {odd}: found {kind}", "--arch-file", odd)
        self.refused(f"log file {self.pipe}: found a pipe", "--log-file", self.pipe)
        self.refused("log file /dev/full: found a device", "--log-file", "/dev/full")

    def test_pipes_and_devices_given_to_clients(self):
        for flags in (("--ca", self.pipe), ("--ca", "/dev/zero"), ("--cert", self.pipe, "--key", self.pipe)):
            status, said = run("health", "https://127.0.0.1:1", *flags)
            self.assertNotEqual(status, 0)
            self.assertIn("expected a regular file", said)

    def test_pipes_at_a_reload(self):
        """What was a file is a pipe at SIGHUP: all stays as it was, and the server goes on."""
        cert, key = self.certificate()
        keys, log = self.path("keys"), self.path("log")
        with open(keys, "w", encoding="ascii") as file:
            file.write("0123456789abcdef\n")
        os.chmod(keys, 0o600)
        listen = "unix:" + self.path("socket")
        server = harness.Server(self.case.model, "--api-key-file", keys, "--tls-cert", cert, "--tls-key", key,
                                "--log-file", log, "--listen", listen, wait=False, log_file=log)
        self.addCleanup(server.kill)
        for path in (keys, cert, log):
            os.rename(path, path + ".old")
            os.mkfifo(path)
        server.signal(signal.SIGHUP)

        def said(text):
            with open(log + ".old", encoding="utf-8") as file:
                return text in file.read()

        for text in ("the log stays where it was", "the API keys stay as they were",
                     "the TLS certificates stay as they were"):
            self.assertTrue(harness.eventually(lambda text=text: said(text)), text)
        self.assertTrue(harness.eventually(lambda: run("health", listen)[0] == 0))
        self.assertEqual(server.stop(), 0)


class Log(Folder):
    def flood(self, path, requests):
        """Refused requests, on a connection of their own, read to the end."""
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(harness.PATIENCE)
            plain.connect(path)
            ask = b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n"
            plain.sendall(ask * (requests - 1) + ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            while plain.recv(65536):
                pass

    def test_a_log_that_nobody_reads(self):
        """The reader of stderr stands still: requests are answered, SIGTERM is heard, and what was
        lost is counted, in the metrics and in the log."""
        path = self.path("socket")
        moed = subprocess.Popen([harness.BIN, "serve", self.case.model, "--listen", f"unix:{path}",
                                 "--log-requests", "info"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(moed.stderr.close)
        self.addCleanup(moed.wait)
        self.addCleanup(moed.kill)
        self.assertTrue(harness.eventually(lambda: run("health", f"unix:{path}")[0] == 0))
        for _ in range(20):
            self.flood(path, 1000)
        self.assertEqual(run("health", f"unix:{path}")[0], 0)
        lost = self.lost(path)
        self.assertGreater(lost, 0)
        whole = []
        reader = threading.Thread(target=lambda: whole.extend(moed.stderr))
        reader.start()  # and now it flows again
        self.assertTrue(harness.eventually(lambda: b"lines of the log were lost" in b"".join(whole)))
        moed.terminate()
        self.assertEqual(moed.wait(harness.PATIENCE), 0)
        reader.join()
        said = sum(int(n) for n in re.findall(rb"log were lost.* lines=(\d+)\n", b"".join(whole)))
        self.assertGreaterEqual(said, lost)
        self.assertRegex(whole[-1], rb"stopped\n$")

    def lost(self, path):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(harness.PATIENCE)
            plain.connect(path)
            plain.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            samples = harness.parse_metrics(harness.read_answer(plain).body.decode())
        return sum(value for name, _, value in samples if name == "moed_log_lost_lines_total")

    def test_sigterm_with_a_log_that_nobody_reads(self):
        path = self.path("socket")
        moed = subprocess.Popen([harness.BIN, "serve", self.case.model, "--listen", f"unix:{path}",
                                 "--log-requests", "info"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(moed.stderr.close)
        self.addCleanup(moed.wait)
        self.addCleanup(moed.kill)
        self.assertTrue(harness.eventually(lambda: run("health", f"unix:{path}")[0] == 0))
        self.flood(path, 3000)
        moed.terminate()
        self.assertEqual(moed.wait(harness.PATIENCE), 0)

    def test_a_full_disk(self):
        """A line that was cut by the end of the space is ended before the next."""
        log = self.path("log")
        server = harness.Server(self.case.model, "--log-file", log, "--log-requests", "info", log_file=log,
                                prefix=("prlimit", "--fsize=4000:unlimited"))
        self.addCleanup(server.kill)
        for _ in range(60):
            server.get("/nope")
        self.assertTrue(harness.eventually(lambda: server.metric("moed_log_lost_lines_total") > 0))
        subprocess.run(["prlimit", "--fsize=unlimited", f"--pid={server.process.pid}"], check=True)
        server.get("/nope")
        self.assertEqual(server.stop(), 0)
        with open(log, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(text[4000], "\n")
        for line in text[4001:].splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\S+Z (debug|info|warn|error) \S.*")
        self.assertRegex(text[4001:], r"log were lost.* lines=\d+\n")


if __name__ == "__main__":
    unittest.main()
