"""Lets PyPI's torch run without the CUDA libraries that it is linked with.

They are 3 GB and never called on a machine without a GPU, but the loader wants a file of each name
with each symbol. Those are made here by the C compiler: functions that return 100, which is CUDA's
"no device"."""
import pathlib
import re
import subprocess
import tempfile

CUDA = r"lib(?:cu|nv|nccl)\S+"
DRIVER = "libcuda.so.1"  # torch itself goes without it


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def make_library(path, versions, names):
    """A library of functions `names`, all of which have the one version, if there is any."""
    code = "".join(f"int {name}(void) {{ return 100; }}\n" for name in sorted(names))
    script = "".join(f"{version} {{ global: *; }};\n" for version in versions) or "{ global: *; };\n"
    with tempfile.NamedTemporaryFile("w", suffix=".map") as file:
        file.write(script)
        file.flush()
        subprocess.run(["cc", "-w", "-fno-builtin", "-shared", "-fPIC", "-x", "c", "-", "-o", path,
                        f"-Wl,-soname,{path.name},--version-script,{file.name}"],
                       input=code, text=True, check=True)


def stub(environment):
    """Puts the libraries that are missing beside torch's own, where its loader looks last."""
    (folder,) = pathlib.Path(environment).glob("lib/python3*/site-packages/torch/lib")
    files = [str(file) for file in folder.glob("lib*.so")]
    symbols = output_of("nm", "-D", "--undefined-only", *files)
    heads = output_of("objdump", "-p", *files)
    versions = {library: set(re.findall(r"0x\w+ 0x\w+ \d+ (\S+)", lines)) for library, lines in
                re.findall(r"required from (\S+):\n((?:\s+0x.*\n)+)", heads)}
    for library in sorted(set(re.findall(rf"NEEDED\s+({CUDA})", heads)) - {DRIVER}):
        of_it = versions.get(library, set())
        names = {name for version in of_it
                 for name in re.findall(rf" U (\w+)@{re.escape(version)}$", symbols, re.M)}
        if not of_it:  # a library without versions: whatever has none
            names = set(re.findall(r" U ((?:cu|nccl|nv)\w+)$", symbols, re.M))
        make_library(folder / library, of_it, names)
