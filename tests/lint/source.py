"""What the rules look at: the project's files as text, and the C functions in them."""
import dataclasses
import os
import pathlib
import re


SKIPPED = re.compile(r"\.git|\.venv|build.*|golden|corpus|__pycache__")


@dataclasses.dataclass
class Function:
    path: str
    name: str
    line: int
    lines: int
    parameters: int


class Tree:
    """Paths (relative, with /) to texts. Rules see only this, so their self-test can make one."""

    def __init__(self, files, root=None):
        self.files = files
        self.root = root  # where the files lie, for rules that run a tool; None in the self-test

    @classmethod
    def of_repository(cls, root):
        """Every text file but those of builds, of git and of the golden cases (data)."""
        files = {}
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if not SKIPPED.fullmatch(name)]
            for name in names:
                if name == ".git":  # a work tree's
                    continue
                path = pathlib.Path(folder, name)
                try:
                    files[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
                except (UnicodeDecodeError, OSError):
                    continue
        return cls(files, root)

    def c_files(self, *folders):
        """(path, text) of C and CUDA sources and headers under `folders`; all of them if none."""
        for path, text in sorted(self.files.items()):
            if path.endswith((".c", ".h", ".inc", ".cu", ".cuh", ".def")):
                if not folders or path.startswith(folders):
                    yield path, text


# The house style puts a function's braces at the start of their lines, so no parser is needed.
BODY = re.compile(r"^\{\n(.*?)^\}\n", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"(\w+)\s*\($")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def without_comments(text):
    """The text with comments blanked, lines kept."""
    return COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def signature_before(text, end):
    """Start of the signature that ends at `end`: after the last blank line, ; or } line."""
    start = end
    while start > 0:
        line = text.rfind("\n", 0, start - 1) + 1
        content = text[line:start].rstrip()
        if not content or content[-1] in ";}" or content[0] == "#" or content.endswith("*/"):
            break
        start = line
    return start


def split_parameters(signature):
    """(name, number of parameters) of `type name(type a, type (*b)(int, int))`."""
    opening = signature.find("(")
    while opening >= 0 and "__attribute__" in signature[max(0, opening - 14):opening]:
        opening = signature.find("(", signature.find("))", opening))
    if opening < 0:
        return None, 0
    depth, count, end = 0, 1, opening
    for end in range(opening, len(signature)):
        depth += {"(": 1, ")": -1}.get(signature[end], 0)
        count += signature[end] == "," and depth == 1
        if depth == 0:
            break
    inside = signature[opening + 1:end].strip()
    name = NAME.search(signature[:opening + 1])
    return (name.group(1) if name else None), (0 if inside in ("", "void") else count)


def functions(path, text):
    """Every function defined in a C file."""
    text = without_comments(text)
    for body in BODY.finditer(text):
        start = signature_before(text, body.start())
        name, parameters = split_parameters(text[start:body.start()])
        if name:
            line = text.count("\n", 0, start) + 1
            yield Function(path, name, line, text.count("\n", start, body.end()), parameters)
