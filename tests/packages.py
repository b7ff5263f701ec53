"""Packages of PyPI for a suite that needs some: a virtual environment under build-tests/, made once,
with the versions that the suite names."""
import os
import pathlib
import subprocess
import sys

WORK = pathlib.Path(__file__).resolve().parents[1] / "build-tests"


def enter(name, *requirements):
    """Runs this program again with the packages at hand, unless it has them; returns only when it
    has, or with the reason why it cannot."""
    folder = WORK / f"venv-{name}"
    if pathlib.Path(sys.prefix) == folder:
        return None
    python, made = folder / "bin/python", folder / "requirements"
    wanted = "\n".join(requirements)
    if not made.exists() or made.read_text() != wanted:
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
        for command in ([sys.executable, "-m", "venv", "--clear", folder], pip):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                said = (done.stderr.strip() or done.stdout.strip() or "no word of why").splitlines()
                return f"no {', '.join(requirements)}: {said[-1]}"
        made.write_text(wanted)
    sys.stdout.flush()
    os.execv(python, [str(python), *sys.argv])
