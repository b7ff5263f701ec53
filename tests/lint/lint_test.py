#!/usr/bin/env python3
"""Each rule fires on a bad sample and stays quiet on a good one."""
import unittest

import commits
import figures
import rules
from source import Tree, functions

GOOD = """/* good: a file that breaks no rule. */
#include "src/base/base.h"

static int twice(int x)
{
    return 2 * x;
}
"""


def function_of(lines, parameters="void"):
    body = "    step();\n" * (lines - 3)
    return f"/* sample */\nstatic int long_one({parameters})\n{{\n{body}}}\n"


# rule -> (path, text) that it must complain about
BAD = {
    rules.rooms: ("src/gguf/open.c", '/* x */\n#include "src/backend/backend.h"\n'),
    rules.wings: ("src/server/http/loop.c", '/* x */\n#include "src/server/api/service.h"\n'),
    rules.furniture: ("src/server/http/loop.c", '/* x */\n#include "src/batch/queue.h"\n'),
    rules.include_style: ("src/gguf/open.c", '/* x */\n#include "moed/gguf.h"\n'),
    rules.file_length: ("src/gguf/open.c", "/* x */\n" + "int x;\n" * 500),
    rules.door_length: ("src/gguf/gguf.h", "/* x */\n" + "int x;\n" * 130),
    rules.function_length: ("src/gguf/open.c", function_of(101)),
    rules.parameter_count: ("src/gguf/open.c", function_of(9, ", ".join(["int x"] * 7))),
    rules.no_exit: ("src/server/http/loop.c", "/* x */\n    abort();\n"),
    rules.no_environment: ("src/server/http/loop.c", '/* x */\n    getenv("HOME");\n'),
    rules.no_machine_paths: ("README.md", "cd /home/someone/moed\n"),
    rules.opening_comment: ("src/gguf/open.c", "int x;\n"),
    rules.no_leftovers: ("src/gguf/open.c", "/* TO" + "DO: later */\n"),
    rules.documents_name_files_that_exist: ("src/README.md", "`tests/unit/none.c` holds it\n"),
    rules.one_version: ("CHANGELOG.md", "# Changelog\n"),
    rules.clang_format: ("src/gguf/open.c", "/* x */\nint   x ;\n"),
}


class Rules(unittest.TestCase):
    def skip_without_tool(self, rule):
        reason = rules.NEEDS.get(rule, lambda: None)()
        if reason:
            self.skipTest(reason)

    def test_every_rule_has_a_bad_sample(self):
        self.assertEqual(set(rules.RULES), set(BAD))

    def test_each_fires_on_its_bad_sample(self):
        for rule, (path, text) in BAD.items():
            with self.subTest(rule=rule.__name__):
                self.skip_without_tool(rule)
                self.assertTrue(list(rule(Tree({path: text}))))

    def test_none_fires_on_a_good_file(self):
        for rule in rules.RULES:
            with self.subTest(rule=rule.__name__):
                self.skip_without_tool(rule)
                self.assertEqual(list(rule(Tree({"src/gguf/open.c": GOOD}))), [])

    def test_rooms_of_one_floor_do_not_meet(self):
        for room, door in (("batch", "wire"), ("wire", "batch"), ("gguf", "model"),
                           ("moe", "backend"), ("kernels", "base")):
            path = f"src/{room}/x.c" if room != "kernels" else "kernels/x.c"
            tree = Tree({path: f'#include "src/{door}/{door}.h"\n'})
            self.assertTrue(list(rules.rooms(tree)), f"{room} included {door}")

    def test_the_first_long_function_counts_among_few(self):
        self.assertTrue(list(rules.function_length(Tree({"src/gguf/open.c": function_of(61)}))))
        self.assertFalse(list(rules.function_length(Tree({"src/gguf/open.c": function_of(60)}))))

    def test_comments_are_read_like_documents(self):
        rule = rules.documents_name_files_that_exist
        for text in ("/* see NONE.md */\n", "/* x */\nint x; // as tests/unit/none.c has it\n"):
            self.assertTrue(list(rule(Tree({"src/gguf/open.c": text}))), text)

    def test_versions_that_differ(self):
        files = {"meson.build": "project('moed', 'c',\n  version: '0.2.0',\n", "CHANGELOG.md": "# X\n\n## 0.2.0\n## 0.1.0\n",
                 "deploy/kubernetes/overlays/a/kustomization.yaml": 'newTag: "0.2.0-cuda"\n'}
        self.assertEqual(list(rules.one_version(Tree(files))), [])
        for path, text in (("CHANGELOG.md", "# X\n\n## 0.2.1\n"), ("meson.build", "project('moed')\n"),
                           ("deploy/kubernetes/overlays/a/kustomization.yaml", 'newTag: "0.1.0"\n')):
            self.assertTrue(list(rules.one_version(Tree({**files, path: text}))), path)

    def test_unit_tests_may_see_their_own_rooms_furniture(self):
        text = '/* x */\n#include "src/batch/queue.h"\n'
        self.assertFalse(list(rules.furniture(Tree({"tests/unit/batch/queue_test.c": text}))))
        self.assertTrue(list(rules.furniture(Tree({"tests/unit/wire/json_test.c": text}))))


class Functions(unittest.TestCase):
    def test_callbacks_and_attributes_are_counted_right(self):
        text = """/* x */
static int first(int (*compare)(const void *, const void *), int b)
{
    return b;
}

static void
    __attribute__((format(printf, 1, 2))) second(const char *format, ...)
{
    /* } */
}
"""
        found = [(f.name, f.line, f.lines, f.parameters) for f in functions("x.c", text)]
        self.assertEqual(found, [("first", 2, 4, 2), ("second", 7, 5, 2)])


class Figures(unittest.TestCase):
    def test_circles_are_found(self):
        self.assertEqual(figures.knots([("a", "b"), ("b", "c"), ("a", "c")]), 0)
        self.assertEqual(figures.knots([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]), 3)


class Commits(unittest.TestCase):
    def test_a_good_subject_passes(self):
        for subject in ("server: give the HTTP host hooks", "kernels/cpu: decode codes once a block"):
            self.assertEqual(list(commits.complaints(subject)), [])

    def test_bad_subjects_do_not(self):
        for subject in ("Mend things", "server: mend this; and that", "server: end in a stop.",
                        "server: " + "long " * 20):
            self.assertTrue(list(commits.complaints(subject)), subject)


if __name__ == "__main__":
    unittest.main()
