"""A small model to serve."""
import subprocess
import tempfile

import harness

HIDDEN, LAYERS = 256, 2  # of the preset


def tiny(test):
    """Path of a model that lives as long as a test class."""
    folder = tempfile.TemporaryDirectory()
    test.addClassCleanup(folder.cleanup)
    path = f"{folder.name}/model.gguf"
    subprocess.run([harness.BIN, "synth", path, "--preset", "tiny", "--layers", str(LAYERS)], check=True,
                   capture_output=True)
    return path
