"""Virtual environments of tests, under build-tests/: made once, made anew when what they hold
changes."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLIENT = ROOT / "deploy/clients/python"


def pip(folder, *arguments):
    """pip of an environment, without what it says when it has nothing to complain about."""
    subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet",
                    "--disable-pip-version-check", "--no-compile", *arguments], check=True)


def make(name, packages, bare=(), finish=None):
    """Path of the environment's python. `packages` with their versions, `bare` ones without what
    they ask for; `finish(folder)` does what remains. The client itself is installed each time, as it
    is what changes."""
    folder = ROOT / "build-tests" / name
    stamp = folder / "made-of"
    made_of = hashlib.sha256("\n".join([sys.version, *packages, "", *bare]).encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != made_of:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip(folder, *packages)
        if bare:
            pip(folder, "--no-deps", *bare)
        if finish is not None:
            finish(folder)
        stamp.write_text(made_of)
    # A copy, as setuptools leaves its own files beside what it builds.
    copy = folder / "client"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(CLIENT, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    pip(folder, "--no-deps", "--force-reinstall", copy)
    return str(folder / "bin/python")


def run_again_in(python):
    """Replaces this program by itself, run by another python."""
    if os.path.realpath(sys.prefix) != os.path.realpath(pathlib.Path(python).parents[1]):
        sys.stdout.flush()
        os.execv(python, [python, *sys.argv])
