#!/usr/bin/env python3
"""Figures of the house: sizes of files and functions, arrows between and inside rooms, comments.
Usage: figures.py [FOLDER], by default this repository. An arrow is an #include of one of our headers."""
import pathlib
import re
import statistics
import sys

import rules
from source import Tree, functions, without_comments

ROOT = pathlib.Path(__file__).resolve().parents[2]


def folder(path):
    return path.rsplit("/", 1)[0]


def target_of(path, target, files):
    """The file that an #include of `path` names, or None where it is none of ours."""
    for name in (f"{folder(path)}/{target}", target, f"include/{target}"):
        if name in files:
            return name
    return None


def arrows(sources):
    """(from, to) of every #include between two of our files."""
    for path, text in sources:
        for _, target in rules.includes(text):
            found = target_of(path, target, dict(sources))
            if found:
                yield path, found


def knots(edges):
    """Files that include each other in a circle, counted: the arrows that no order makes run one way."""
    below = {}
    for a, b in edges:
        below.setdefault(a, set()).add(b)

    def reaches(start, goal):
        seen, todo = set(), [start]
        while todo:
            at = todo.pop()
            if at == goal:
                return True
            if at not in seen:
                seen.add(at)
                todo += below.get(at, ())
        return False

    return sum(reaches(b, a) for a, b in edges)


def main(arguments):
    root = pathlib.Path(arguments[0]) if arguments else ROOT
    tree = Tree.of_repository(root)
    sources = [(path, text) for path, text in tree.c_files(*rules.SOURCES) if not rules.TABLES.search(path)]
    lines = [text.count("\n") for _, text in sources]
    found = [f for path, text in sources for f in functions(path, text)]
    edges = list(arrows(sources))
    # A folder stands for its files: an arrow up is one between two folders of which each includes the other.
    between = {(folder(a), folder(b)) for a, b in edges if folder(a) != folder(b)}
    both = sum((b, a) in between for a, b in between) // 2
    code = sum(len(re.sub(r"\s", "", without_comments(text))) for _, text in sources)
    whole = sum(len(re.sub(r"\s", "", text)) for _, text in sources)
    print(f"files {len(sources)}, lines {sum(lines)}, median {statistics.median(lines):.0f}, largest {max(lines)}, "
          f"over 500: {sum(n > 500 for n in lines)}")
    print(f"functions {len(found)}, median {statistics.median(f.lines for f in found):.0f} lines, over 60: "
          f"{sum(f.lines > 60 for f in found)}, over 6 parameters outside kernels: "
          f"{sum(f.parameters > 6 for f in found if f.path.startswith('src/') and f.name not in rules.GIVEN)}")
    print(f"arrows {len(edges)}, in circles of files {knots(edges)}; pairs of folders that include each other {both}")
    print(f"comments {100 * (whole - code) / whole:.0f} % of what is not white space")
    print(f"headers in include/moed {sum(path.startswith('include/moed/') for path, _ in sources)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
