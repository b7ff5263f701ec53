"""What the end-to-end tests stand on: a server process, clients, and golden cases.

Python's standard library only. MOED_BIN names the moed binary, MOED_GOLDEN the golden cases;
run.py sets both.
"""
import array
import base64
import contextlib
import http.client
import json
import math
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

BIN = os.environ.get("MOED_BIN", "build/src/cli/moed")
GOLDEN = os.environ.get("MOED_GOLDEN", "tests/golden")
# Seconds without any sign of life before a test gives up. Sanitizers and shared machines are slow, and
# nothing here is a benchmark: who works, however slowly, is waited for (gets_on).
PATIENCE = float(os.environ.get("MOED_TEST_PATIENCE", "300"))
# Whoever started us may have had signals ignored (nohup, a shell's background), which is inherited.
DEFAULT_SIGNALS = ["env", "--default-signal=HUP,INT,QUIT,TERM"]

JSON = {"Content-Type": "application/json"}
RAW = {"Content-Type": "application/octet-stream"}


class Headers(dict):
    """Names compare without case; what is absent is ""."""

    def __init__(self, items):
        super().__init__((name.lower(), value) for name, value in items.items())

    def __getitem__(self, name):
        return self.get(name.lower(), "")


class Answer:
    """A whole response."""

    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = Headers(headers)

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


def free_port():
    """One that nobody has, for a program that cannot choose its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A moed process that listens on a free port; use as a context manager. `log_file` is where
    the flags lead its log, if not to stderr; `prefix` is a command that runs it; what else there is
    goes to Popen."""

    def __init__(self, model, *flags, wait=True, log_file=None, prefix=(),
                 listen=("--listen", "127.0.0.1:0"), **popen):
        self.log = []
        self.log_file = log_file
        self.port = None
        self._listening = threading.Event()
        self.process = subprocess.Popen(
            [*DEFAULT_SIGNALS, *prefix, BIN, "serve", model, *listen, *flags],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", **popen)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        if not gets_on(self.sign_of_life, self._listening.is_set) or (wait and not self.wait_ready()):
            self.kill()
            raise LoadError(self.text())

    def _read_log(self):
        for line in follow(self.log_file, self.process) if self.log_file else self.process.stderr:
            self.log.append(line)
            found = re.search(r"listening on https?://[^ ]*:(\d+)", line)
            if found:
                self.port = int(found.group(1))
                self._listening.set()
        self._listening.set()

    def sign_of_life(self):
        """What changes while the process works or says something; None once it has ended."""
        if self.process.poll() is not None:
            return None
        try:
            return self.ticks(), len(self.log)
        except OSError:
            return None

    def is_ready(self):
        try:
            return self.port is not None and self.get("/readyz").status == 200
        except OSError:
            return False

    def wait_ready(self):
        return gets_on(self.sign_of_life, self.is_ready)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def text(self):
        """What it has logged. A thread of its own writes that, and one of ours reads it, both a little
        later than answers come: waits until neither has anything to do."""
        end, seen = time.monotonic() + 10, None  # a log that flows all the time is taken as it is
        while (seen != len(self.log) or self.is_logging()) and time.monotonic() < end:
            seen = len(self.log)
            time.sleep(0.03)
        return "".join(self.log)

    def is_logging(self):
        """Whether its log's thread is at work."""
        try:
            tasks = list(pathlib.Path(f"/proc/{self.process.pid}/task").iterdir())
            return any((task / "comm").read_text() == "log\n" and
                       (task / "stat").read_text().rpartition(")")[2].split()[0] != "S" for task in tasks)
        except OSError:
            return False

    # ---- clients ----
    def connect(self):
        """A keep-alive connection of http.client."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def request(self, method, path, body=None, headers=None):
        """One request on a connection of its own."""
        with contextlib.closing(self.connect()) as connection:
            return ask(connection, method, path, body, headers)

    def get(self, path, headers=None):
        return self.request("GET", path, None, headers)

    def post(self, path, value, headers=None):
        """JSON in."""
        return self.request("POST", path, json.dumps(value), {**JSON, **(headers or {})})

    def post_raw(self, path, data, headers=None):
        return self.request("POST", path, data, {**RAW, **(headers or {})})

    def socket(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def exchange(self, data):
        """Bytes in, and what comes back until the server closes or a whole answer is there."""
        with self.socket() as plain:
            plain.sendall(data)
            return read_answer(plain)

    def metric(self, name, **labels):
        """The sum of all series of a metric that have these labels."""
        total = 0.0
        for found, series, value in parse_metrics(self.get("/metrics").body.decode()):
            if found == name and all(series.get(k) == v for k, v in labels.items()):
                total += value
        return total

    def ticks(self):
        """Processor time that it has used, in units of SC_CLK_TCK."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            return sum(int(field) for field in file.read().rsplit(")", 1)[1].split()[11:13])

    # ---- the end ----
    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self):
        """The exit status, after the last line of the log."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def stop(self):
        if self.process.poll() is None:
            self.signal()
        return self.wait()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        self.process.stderr.close()

    def check_clean(self):
        """A sanitizer that complains is a failure, whatever the exit status."""
        if "Sanitizer" in self.text() or "runtime error" in self.text():
            raise AssertionError(self.text())

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            status = self.stop()
        finally:
            self.kill()
        if kind is None:
            self.check_clean()
            if status != 0:
                raise AssertionError(f"exit status {status}\n{self.text()}")
        else:
            sys.stderr.write(self.text()[-4000:])


def follow(path, process):
    """The lines of a file as they come, while the process lives."""
    while not os.path.exists(path) and process.poll() is None:
        time.sleep(0.01)
    with open(path, encoding="utf-8", errors="replace") as file:
        while process.poll() is None:
            line = file.readline()
            if line.endswith("\n"):
                yield line
            else:
                time.sleep(0.01)


class LoadError(Exception):
    """The server did not become ready; its log is the message."""


def gets_on(sign_of_life, condition):
    """Whether it becomes true, however long that takes a slow machine: we give up when the sign of
    life has not changed for as long as we have patience, or is None."""
    last, end = None, time.monotonic() + PATIENCE
    while not condition():
        now = sign_of_life()
        if now is None:
            return bool(condition())
        if now != last:
            last, end = now, time.monotonic() + PATIENCE
        elif time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def eventually(condition):
    """Whether it becomes true while we have patience."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def ask(connection, method, path, body=None, headers=None):
    """One request on a connection that stays open."""
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def read_answer(plain):
    """Reads one response from a bare socket; status 0 when the peer closed without any."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = plain.recv(65536)
        if not more:
            return Answer(0, {}, data)
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    if head.startswith(b"HTTP/1.1 100"):
        return read_answer(plain) if not body else Answer(100, {}, body)
    lines = head.decode().split("\r\n")
    headers = {k: v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
    while len(body) < int(Headers(headers)["Content-Length"] or 0):
        more = plain.recv(65536)
        if not more:
            break
        body += more
    return Answer(int(lines[0].split()[1]), headers, body)


def parse_metrics(text):
    """(name, labels, value) of each sample; raises ValueError for a line that is none."""
    samples = []
    line_form = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
    label_form = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)')
    for line in text.splitlines():
        if not line or line.startswith("# "):
            continue
        found = line_form.match(line)
        if not found:
            raise ValueError(f"not a sample: {line!r}")
        labels = dict(label_form.findall(found.group(2) or ""))
        samples.append((found.group(1), labels, float(found.group(3))))
    return samples


# ---- numbers ----
def floats(data):
    """float32 values of little-endian bytes."""
    values = array.array("f")
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def ints(data):
    values = array.array("i")
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def f32(values):
    """Python numbers as the nearest float32 values."""
    return array.array("f", values)


def flat(rows):
    return [value for row in rows for value in row]


def rows_of(values, width):
    return [list(values[at:at + width]) for at in range(0, len(values), width)]


def relative_l2(found, expected):
    wrong = math.fsum((a - b) ** 2 for a, b in zip(found, expected))
    size = math.fsum(b * b for b in expected)
    return math.sqrt(wrong / size) if size > 0 else math.sqrt(wrong)


def encode(data, width, dtype="f32"):
    size = {"f32": 4, "f16": 2, "bf16": 2}[dtype]
    return {"dtype": dtype, "shape": [len(data) // (width * size), width],
            "data": base64.b64encode(data).decode()}


def decode(value):
    return base64.b64decode(value["data"], validate=True)


# ---- golden cases ----
class Case:
    """One folder of golden data."""

    def __init__(self, folder):
        self.folder = folder
        self.name = os.path.relpath(folder, GOLDEN)
        with open(os.path.join(folder, "case.json"), encoding="utf-8") as file:
            self.info = json.load(file)
        self.model = sorted(os.path.join(folder, name) for name in os.listdir(folder)
                            if name.endswith(".gguf"))[0]
        self.hidden, self.k = self.info["hidden"], self.info["k"]
        self.layers = sorted(int(name[5:].split(".")[0]) for name in os.listdir(folder)
                             if name.endswith(".hidden.f32"))

    def bytes(self, layer, what):
        with open(os.path.join(self.folder, f"layer{layer}.{what}"), "rb") as file:
            return file.read()

    def rows(self, layer):
        return rows_of(floats(self.bytes(layer, "hidden.f32")), self.hidden)


def is_sanitized():
    """Whether the program under test has a sanitizer in it."""
    program = pathlib.Path(BIN).read_bytes()
    return any(symbol in program for symbol in (b"__asan_init", b"__tsan_init"))


def case(name):
    return Case(os.path.join(GOLDEN, name))


def cases():
    for parent in (GOLDEN, os.path.join(GOLDEN, "arch")):
        for name in sorted(os.listdir(parent)):
            folder = os.path.join(parent, name)
            if os.path.exists(os.path.join(folder, "case.json")):
                yield Case(folder)
