"""Other people's programs, run to their end."""
import shutil
import subprocess
import unittest

import harness


def needs(program):
    """Skips a test where the program is not installed."""
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


def run(*command, data=None, patience=harness.PATIENCE, folder=None):
    """What it printed, as bytes; an error with all that it said if it failed."""
    done = subprocess.run([str(word) for word in command], input=data, capture_output=True,
                          timeout=patience, check=False, cwd=folder)
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit status {done.returncode}\n"
                             f"{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}")
    return done.stdout
