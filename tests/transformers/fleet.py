"""Layer shards with replicas behind HAProxy, with the configuration of deploy/."""
import contextlib
import pathlib
import subprocess
import tempfile
import time

import harness

CONFIGURATION = pathlib.Path(__file__).resolve().parents[2] / "deploy/haproxy/haproxy.cfg"
# Its two shards' layers, of a model of 48, and those that they get here, of one of 4.
LAYERS = (("0:23", "0:1", "0-1"), ("24:47", "2:3", "2-3"))
REPLICAS = 2


def configured(port, fleet):
    """The configuration with the test's addresses and layers; each must have been in it."""
    changes = [("127.0.0.1:8080", f"127.0.0.1:{port}")]
    changes += [(f"-m int {theirs}", f"-m int {ours}") for theirs, ours, _ in LAYERS]
    changes += [(f"moed-shard{s}-{r}:8080", f"127.0.0.1:{server.port}")
                for s, shard in enumerate(fleet) for r, server in enumerate(shard)]
    text = CONFIGURATION.read_text()
    for found, wanted in changes:
        if found not in text:
            raise AssertionError(f"{CONFIGURATION} has no {found!r}")
        text = text.replace(found, wanted)
    return text


def wait_ready(port, process):
    """Until every shard has a replica that the proxy knows to be there."""
    url = f"http://127.0.0.1:{port}/readyz"
    end = time.monotonic() + harness.PATIENCE
    while subprocess.run(["curl", "-sf", "-o", "/dev/null", url]).returncode != 0:
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError("HAProxy does not become ready")
        time.sleep(0.05)


class Victim(harness.Server):
    """A server that may be killed: then its exit status says nothing."""

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None:
            super().__exit__(kind, value, trace)
        else:
            self.kill()


@contextlib.contextmanager
def behind_haproxy(model):
    """(URL of the proxy, servers by shard and replica) of a GGUF file with layers 0 to 3."""
    with contextlib.ExitStack() as stack:
        fleet = [[stack.enter_context(Victim(model, "--layers", layers, "--activations", "f32"))
                  for _ in range(REPLICAS)] for _, _, layers in LAYERS]
        port = harness.free_port()
        file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".cfg"))
        file.write(configured(port, fleet))
        file.flush()
        proxy = subprocess.Popen(["haproxy", "-q", "-db", "-f", file.name], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL)
        stack.callback(proxy.wait)
        stack.callback(proxy.terminate)
        wait_ready(port, proxy)
        yield f"http://127.0.0.1:{port}", fleet
