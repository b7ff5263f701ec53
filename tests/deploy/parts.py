"""What deployment files are held against: the program, its paths, its metrics, its image."""
import functools
import json
import os
import pathlib
import re
import subprocess
import tempfile

import harness

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def settings(args, environment=None):
    """What `moed ARGS` would run with: {name: (value, where from)}."""
    printed = subprocess.run([harness.BIN, *args, "--print-config"], capture_output=True, text=True,
                             env={**os.environ, **(environment or {})})
    if printed.returncode != 0:
        raise AssertionError(f"moed {' '.join(args)}: {printed.stderr}")
    return {name: (value, origin) for name, value, origin in
            re.findall(r"^(\S+) +(.*?) +(flag|variable|default)$", printed.stdout, re.M)}


def layers(text):
    """"0-2,5" is [0, 1, 2, 5]."""
    numbers = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


@functools.cache
def openapi():
    return json.loads((ROOT / "src/server/api/openapi.json").read_text())


def image_user():
    return re.search(r"^USER (\d+)", (ROOT / "Dockerfile").read_text(), re.M)[1]


@functools.cache
def exposition():
    """/metrics of a server that has computed and refused."""
    with tempfile.TemporaryDirectory() as folder:
        model = f"{folder}/model.gguf"
        subprocess.run([harness.BIN, "synth", model, "--preset", "tiny"], check=True, capture_output=True)
        with harness.Server(model) as server:
            server.post_raw("/v1/moe/layers/0/forward", bytes(4 * 256))
            server.post_raw("/v1/moe/layers/9/forward", bytes(4 * 256))
            return server.get("/metrics").body.decode()


def metrics_in(expression):
    """The names of the server's metrics in PromQL."""
    return set(re.findall(r"\b(?:moed|process)_\w+", expression))


def metric_names():
    return {name for name, _, _ in harness.parse_metrics(exposition())}
