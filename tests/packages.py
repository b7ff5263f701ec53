"""Packages of PyPI for a suite that needs some: a virtual environment under build-tests/, made once,
with the versions that the suite names."""
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
WORK = ROOT / "build-tests"
CLIENT = ROOT / "deploy/clients/python"


def pip(folder, *arguments):
    """The command that installs into an environment."""
    return [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
            *arguments]


def reason(errors, output=""):
    """The line of what pip said that tells why. Its last one is "No matching distribution found" also
    where it could not ask: then an earlier one says more."""
    lines = (errors.strip() or output.strip() or "no word of why").splitlines()
    causes = ("certificate", "SSL", "Name or service", "name resolution", "refused", "unreachable", "timed out",
              "No space")
    telling = [line.strip() for line in lines if any(cause in line for cause in causes)]
    return telling[-1] if telling else lines[-1]


def make(folder, requirements, bare):
    """Why the environment cannot be made, if it cannot."""
    commands = [[sys.executable, "-m", "venv", "--clear", folder], pip(folder, *requirements)]
    if bare:
        commands.append(pip(folder, "--no-deps", *bare))
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            return f"no {', '.join([*requirements, *bare])}: {reason(done.stderr, done.stdout)}"
    return None


def install_client(folder):
    """A copy of it, as setuptools leaves its own files beside what it builds."""
    copy = folder / "client"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(CLIENT, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    subprocess.run(pip(folder, "--no-deps", "--force-reinstall", "--no-build-isolation", copy), check=True)


def enter(name, *requirements, bare=(), finish=None, client=False):
    """Runs this program again with the packages at hand, unless it has them; returns only when it
    has, or with the reason why it cannot. `bare` packages come without what they ask for, and
    `finish(folder)` does what remains. The Python client is installed each time: it is what changes
    (and needs setuptools)."""
    folder = WORK / f"venv-{name}"
    if pathlib.Path(sys.prefix) == folder:
        return None
    made = folder / "made-of"
    wanted = "\n".join([sys.version, *requirements, "", *bare])
    if not made.exists() or made.read_text() != wanted:
        missing = make(folder, requirements, bare)
        if missing:
            return missing
        if finish is not None:
            finish(folder)
        made.write_text(wanted)
    if client:
        install_client(folder)
    sys.stdout.flush()
    python = folder / "bin/python"
    os.execv(python, [str(python), *sys.argv])
