"""The rules of the house that a machine can check. Each takes a Tree and returns complaints, one
string each, empty when the house is in order. CONTRIBUTING.md says why they are."""
import fnmatch
import re
import shutil
import subprocess

from source import functions, without_comments

# Which rooms a room may include the doors of. A room is in no set but those above it.
BELOW = {
    "kernels": set(),
    "error": set(),
    "coding": {"base", "error"},
    "base": {"error", "kernels"},
    "metrics": {"base", "error", "kernels"},
    "client": {"base", "error"},
    "gguf": {"base", "error", "kernels"},
    "rule": {"kernels"},
    "model": {"gguf", "rule", "base", "error", "kernels"},
    "moe": {"rule", "base", "error", "kernels"},
    "version": set(),
    "moed": {"error", "version"},
    "lane": set(),
    "remote": {"lane", "base", "error"},
    "backend": {"moed", "version", "moe", "model", "gguf", "rule", "metrics", "base", "error", "kernels"},
}
BELOW["wire"] = {"coding", "kserve", "base", "error", "kernels"}  # no models: bytes and rows
BELOW["kserve"] = {"wire", "base", "error", "kernels"}  # wire's second door
BELOW["batch"] = BELOW["backend"] | {"backend"}
BELOW["server"] = BELOW["batch"] | {"batch", "wire", "coding", "kserve", "lane"}
BELOW["load"] = {"client", "remote", "wire", "base", "error", "kernels"}
BELOW["cli"] = BELOW["server"] | {"server", "load", "client"}

SOURCES = ("src/", "include/", "kernels/")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)
TABLES = re.compile(r"(^|/)(grids?|tables?)/|_(grids?|table)\.[ch]$|\.def$")  # data, not code


# Doors beside the one that each room has, src/ROOM/ROOM.h; what is installed is one, too.
DOORS = {"src/base/file.h": "base", "src/base/log.h": "base", "src/model/rule.h": "rule",
         "src/model/scan.h": "model", "src/model/synth.h": "model",
         "src/wire/coding.h": "coding", "src/wire/kserve.h": "kserve",
         "include/moed/error.h": "error", "include/moed/moed.h": "moed",
         "include/moed/version.h": "version",
         "include/moed/lane.h": "lane", "include/moed/client.h": "remote"}


def room_of(path):
    if path in DOORS:
        return DOORS[path]
    parts = path.split("/")
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    return "kernels" if parts[0] == "kernels" else None


def door_of(target):
    """The door that an #include names, or None."""
    path = f"include/{target}" if target.startswith("moed/") else target
    match = re.fullmatch(r"src/(\w+)/(\w+)\.h", path)
    if path in DOORS:
        return DOORS[path]
    if match and match[1] == match[2]:
        return match[1]
    return "kernels" if target.startswith("kernels/") else None


def includes(text):
    """(bracket, target) of each #include."""
    return INCLUDE.findall(without_comments(text))


def rooms(tree):
    """A room includes only doors of rooms below it."""
    for path, text in tree.c_files(*SOURCES):
        room = room_of(path)
        if room not in BELOW:
            yield f"{path}: room {room} has no floor in tests/lint/rules.py"
            continue
        for _, target in includes(text):
            other = door_of(target)
            if other and other != room and other not in BELOW[room]:
                yield f"{path}: {room} may not include {target}"


def furniture(tree):
    """A header inside src/ROOM that is no door is included only by that room and its unit tests."""
    for path, text in tree.c_files():
        for _, target in includes(text):
            if ".." in target.split("/") and path.startswith(SOURCES):
                yield f"{path}: includes {target}: no ways up"
            match = re.match(r"src/(\w+)/", target)
            if match and not door_of(target) and not path.startswith((f"src/{match[1]}/",
                                                                     f"tests/unit/{match[1]}/")):
                yield f"{path}: includes {target}, which is {match[1]}'s furniture"


# Wings of rooms, lowest first: a wing includes itself and those before it. The first of backend is
# what stands in no wing; cpu and cuda stand side by side.
WINGS = {"server": (("http",), ("api",), ("lane",), ("life",)), "backend": (("",), ("cpu", "cuda"))}


def wing_of(path):
    """(room, wing) of a file in a room with wings, or None."""
    parts = path.split("/")
    if len(parts) > 2 and parts[0] == "src" and parts[1] in WINGS and not door_of(path):
        return parts[1], parts[2] if len(parts) > 3 else ""
    return None


def wings(tree):
    """Arrows between the wings of a room run one way, down."""
    for path, text in tree.c_files(*SOURCES):
        if not wing_of(path):
            continue
        room, wing = wing_of(path)
        floor_of = {name: floor for floor, names in enumerate(WINGS[room]) for name in names}
        if wing not in floor_of:
            yield f"{path}: {room} has no wing {wing} in tests/lint/rules.py"
            continue
        for _, target in includes(text):
            there = wing_of(target)
            if there and there[0] == room and there[1] != wing and floor_of[there[1]] >= floor_of[wing]:
                yield f"{path}: {wing or room} may not include {target}"


def include_style(tree):
    """What is installed is <moed/x.h>; everything else of ours stands in quotes."""
    for path, text in tree.c_files():
        for bracket, target in includes(text):
            if target.startswith("moed/") and bracket == '"':
                yield f'{path}: "{target}" is installed: <{target}>'
            if target.startswith(("kernels/", "src/")) and bracket == "<":
                yield f'{path}: <{target}> is ours: "{target}"'
            if target.startswith("moed/") and f"include/{target}" not in DOORS:
                yield f"{path}: <{target}> is not installed"


def file_length(tree):
    """Files of at most 500 lines, tables of data aside."""
    for path, text in tree.c_files():
        lines = text.count("\n")
        if lines > 500 and not TABLES.search(path):
            yield f"{path}: {lines} lines, the limit is 500"


def door_length(tree):
    """Doors of at most 130 lines, installed headers of at most 150."""
    for path, text in tree.c_files("include/moed/", "src/"):
        if not path.endswith(".h") or not door_of(path.removeprefix("include/")):
            continue
        lines = text.count("\n")
        limit = 150 if path.startswith("include/") else 130
        if lines > limit:
            yield f"{path}: {lines} lines, the limit of a door is {limit}"


def function_length(tree):
    """No function over 100 lines; under 1 % over 60."""
    everything = [f for path, text in tree.c_files(*SOURCES) for f in functions(path, text)]
    longer = [f for f in everything if f.lines > 60]
    for f in longer:
        if f.lines > 100:
            yield f"{f.path}:{f.line}: {f.name} has {f.lines} lines, the limit is 100"
    if len(longer) > 0 and len(longer) >= 0.01 * len(everything):
        names = ", ".join(f"{f.name} ({f.lines})" for f in longer)
        yield f"{len(longer)} of {len(everything)} functions are over 60 lines: {names}"


# Functions whose parameters somebody else has decided.
GIVEN = {
    "on_access",  # libmicrohttpd's MHD_AccessHandlerCallback
    "no_certificate",  # GnuTLS's gnutls_certificate_retrieve_function3
}


def parameter_count(tree):
    """At most 6 parameters outside kernels."""
    for path, text in tree.c_files("src/"):
        for f in functions(path, text):
            if f.parameters > 6 and f.name not in GIVEN:
                yield f"{path}:{f.line}: {f.name} has {f.parameters} parameters, the limit is 6"


def calls(tree, names, allowed):
    pattern = re.compile(rf"(?<![\w.>])({names})\s*\(")
    for path, text in tree.c_files(*SOURCES):
        if path.startswith(allowed):
            continue
        for number, line in enumerate(without_comments(text).split("\n"), 1):
            match = pattern.search(line)
            if match:
                yield f"{path}:{number}: {match[1]} belongs to {', '.join(allowed)}"


def no_exit(tree):
    """Nothing below the command line exits, aborts or asserts."""
    yield from calls(tree, "exit|_exit|quick_exit|abort|assert", ("src/cli/main.c",))


def no_environment(tree):
    """Only the command line reads the environment."""
    yield from calls(tree, "getenv|secure_getenv|setenv|putenv", ("src/cli/",))


MACHINE_PATH = re.compile(r"(?<![\w.])/(work|home/\w+|Users/\w+|root|tmp/b-)[/\w]")


def no_machine_paths(tree):
    """No path of the machine on which something was written."""
    for path, text in sorted(tree.files.items()):
        if path.startswith("tests/lint/"):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            match = MACHINE_PATH.search(line)
            if match:
                yield f"{path}:{number}: a path of one machine: {match.group()}"


def opening_comment(tree):
    """A C file opens with a comment that says what it owns."""
    for path, text in tree.c_files():
        if not text.startswith(("/*", "//")):
            yield f"{path}: does not open with a comment"


def no_leftovers(tree):
    """No to-do marks, no code in comments."""
    for path, text in tree.c_files():
        for number, line in enumerate(text.split("\n"), 1):
            if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                yield f"{path}:{number}: {line.strip()}"
            elif re.match(r"\s*//.*;\s*$", line) or re.match(r"\s*#\s*if\s+0\b", line):
                yield f"{path}:{number}: code that is switched off: {line.strip()}"


FOLDERS = "tests|src|include|kernels|deploy"
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def named_files(path, text):
    """(line, name) of what a document or the comments of a C file call tests/…, src/… or NAME.md."""
    pattern = re.compile(rf"`((?:{FOLDERS})/[a-zA-Z0-9_./*-]+)`") if path.endswith(".md") else \
        re.compile(rf"(?<![\w./<\"-])((?:{FOLDERS})/[a-zA-Z0-9_./*-]*\w|[A-Z]\w+\.md)\b")
    parts = [(0, text)] if path.endswith(".md") else \
        [(match.start(), match.group()) for match in COMMENT.finditer(text)]
    for offset, part in parts:
        for match in pattern.finditer(part):
            yield text.count("\n", 0, offset + match.start()) + 1, match[1]


def documents_name_files_that_exist(tree):
    """What documents and comments call tests/…, src/… or API.md is there."""
    sources = [(path, text) for path, text in tree.c_files()]
    documents = [(path, text) for path, text in sorted(tree.files.items()) if path.endswith(".md")]
    for path, text in documents + sources:
        for line, name in named_files(path, text):
            if f"{name}/".startswith("tests/golden/"):  # cases are not among the tree's files
                continue
            known = name if "/" in name else f"*{name}"
            if not any(fnmatch.fnmatch(file, known.rstrip("/")) or file.startswith(name.rstrip("/") + "/")
                       for file in tree.files):
                yield f"{path}:{line}: names {name}, which is not there"


# Where the version is written: each must find it, in the same words.
VERSIONS = {
    "meson.build": r"\n  version: '([\d.]+)'",
    "include/moed/version.h": r'define MOED_VERSION\s+"([\d.]+)"',
    "deploy/clients/python/pyproject.toml": r'\nversion = "([\d.]+)"',
    "deploy/kubernetes/overlays/*/kustomization.yaml": r'newTag: "([\d.]+)(?:-cuda)?"',
    "CHANGELOG.md": r"\n## ([\d.]+)",  # the first is the newest
}


def one_version(tree):
    """The version is the same wherever it is written."""
    found = {}
    for pattern, words in VERSIONS.items():
        for path in fnmatch.filter(tree.files, pattern):
            match = re.search(words, tree.files[path])
            if match:
                found[path] = match[1]
            elif "newTag" not in words or "newTag" in tree.files[path]:
                yield f"{path}: expected a version, found none"
    if len(set(found.values())) > 1:
        yield ", ".join(f"{path} says {version}" for path, version in found.items())


def clang_format(tree):
    """clang-format would change nothing."""
    for path, text in tree.c_files():
        if path.endswith(".def"):
            continue
        command = ["clang-format", f"--assume-filename={path}", "--output-replacements-xml"]
        found = subprocess.run(command, input=text, cwd=tree.root, text=True, capture_output=True)
        if found.returncode != 0 or "<replacement " in found.stdout:
            yield f"{path}: clang-format -i {path} would change it"


CLANG_FORMAT = 14  # each version has its own taste; CONTRIBUTING.md names this one


def clang_format_missing():
    if not shutil.which("clang-format"):
        return "clang-format is not installed"
    said = subprocess.run(["clang-format", "--version"], capture_output=True, text=True).stdout
    version = re.search(r"version (\d+)", said)
    if version and int(version[1]) != CLANG_FORMAT:
        return f"found clang-format {version[1]}, the house's is {CLANG_FORMAT}"
    return None


RULES = [rooms, wings, furniture, include_style, file_length, door_length, function_length,
         parameter_count, no_exit, no_environment, no_machine_paths, opening_comment,
         no_leftovers, documents_name_files_that_exist, one_version, clang_format]
NEEDS = {clang_format: clang_format_missing}
