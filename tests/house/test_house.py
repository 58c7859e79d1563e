#!/usr/bin/env python3
"""The house's own rules: who may include whom, and that documents agree with the code. Standard library only."""

import re
import shutil
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("include", "base", "ipc", "engine", "lws-plugin", "examples", "bench")
CODE = (".h", ".cpp", ".c")

# Who may include what of the house, by room.
MAY_INCLUDE = {
    "include": ("jobcast/",),
    "base": ("base/", "jobcast/"),
    "ipc": ("ipc/", "base/", "jobcast/"),
    "engine": ("engine/", "ipc/", "base/", "jobcast/"),
    "lws-plugin": ("lws-plugin/", "ipc/", "base/", "jobcast/"),
}

# Each third-party header stays in one room.
ONLY_IN = {
    "cjson/cJSON.h": r"base/json\.cpp",
    "sqlite3.h": r"engine/store\w*\.(h|cpp)|bench/store\.cpp",
    "jwt.h": r"lws-plugin/auth\w*\.(h|cpp)|engine/cli/token\w*\.(h|cpp)",
    "openssl/": r"lws-plugin/auth\w*\.(h|cpp)|lws-plugin/host/tls_files\.cpp|engine/cli/token\w*\.(h|cpp)",
    "libwebsockets.h": r"lws-plugin/.*",
}
# The plugin's pure parts know no lws.
PURE = ("auth", "hub", "session", "frames", "messages", "snapshot", "options", "router", "waiter")

LINES_MAX = 700


def sources(*rooms):
    for room in rooms or ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in CODE and "node_modules" not in path.parts:
                yield path


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if found:
            yield number, found.group(1), found.group(2)


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


class Includes(unittest.TestCase):
    def test_rooms_include_only_what_they_may(self):
        for room, allowed in MAY_INCLUDE.items():
            for path in sources(room):
                for number, kind, name in includes(path):
                    if kind == '"':
                        self.assertTrue(name.startswith(allowed), f"{path.relative_to(ROOT)}:{number} includes {name}")

    def test_public_headers_need_only_stdint_and_stddef(self):
        for path in sources("include"):
            for number, kind, name in includes(path):
                if kind == "<":
                    self.assertIn(name, ("stdint.h", "stddef.h"), f"{path.relative_to(ROOT)}:{number}")

    def test_third_party_headers_stay_in_their_room(self):
        for path in sources():
            here = path.relative_to(ROOT).as_posix()
            for number, _, name in includes(path):
                for header, room in ONLY_IN.items():
                    if name.startswith(header):
                        self.assertRegex(here, f"^({room})$", f"{here}:{number} includes {name}")

    def test_the_plugins_pure_parts_know_no_lws(self):
        for path in sources("lws-plugin"):
            if path.parent.name == "lws-plugin" and path.stem.split("_")[0] in PURE:
                for number, _, name in includes(path):
                    self.assertNotEqual(name, "libwebsockets.h", f"{path.relative_to(ROOT)}:{number}")

    def test_public_headers_compile_as_c_and_as_cpp(self):
        for path in sources("include"):
            for compiler, standard in (("cc", "c11"), ("c++", "c++20")):
                if shutil.which(compiler):
                    language = "c" if compiler == "cc" else "c++"
                    done = subprocess.run([compiler, f"-std={standard}", "-x", language, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
                                           f"-I{ROOT}/include", "-include", "stddef.h", "-include", str(path), "/dev/null"], capture_output=True, text=True)
                    self.assertEqual(done.returncode, 0, done.stderr)


class Shape(unittest.TestCase):
    def test_no_file_is_a_giant(self):
        for path in sources():
            lines = path.read_text(encoding="utf-8").count("\n")
            self.assertLessEqual(lines, LINES_MAX, f"{path.relative_to(ROOT)} has {lines} lines: it wants to be two")

    def test_every_file_says_what_it_is(self):
        for path in sources():
            if path.suffix == ".h":
                self.assertRegex(path.read_text(encoding="utf-8"), r"^(//|/\*)", f"{path.relative_to(ROOT)} opens with no comment")

    def test_the_code_is_formatted(self):
        # One version, whatever this Debian calls its own: they differ in what they make of the same code. 12 and 13 both have it.
        formatter = shutil.which("clang-format-19")
        self.assertTrue(formatter, "clang-format-19 is not installed: ./dev test installs it")
        # C files keep C's habit of `char *name`, which .clang-format, made for C++, would turn.
        files = [str(p) for p in sources(*ROOMS, "tests") if p.suffix != ".c" and not p.is_relative_to(ROOT / "include")]
        done = subprocess.run([formatter, "--dry-run", "-Werror", *files], capture_output=True, text=True, cwd=ROOT)
        self.assertEqual(done.returncode, 0, f"run clang-format-19 -i (19, no other) on what it names:\n{done.stderr[:2000]}")

    def test_lock_files_name_no_host(self):
        for path in ROOT.rglob("package-lock.json"):
            if "node_modules" not in path.parts:
                self.assertNotIn('"resolved"', path.read_text(encoding="utf-8"))


class Documents(unittest.TestCase):
    def test_the_readmes_commands_exist(self):
        helped = subprocess.run([str(ROOT / "dev"), "help"], capture_output=True, text=True, check=True).stdout
        for command in set(re.findall(r"\./dev (\w+)", text("README.md") + text("CONTRIBUTING.md"))):
            self.assertRegex(helped, rf"(?m)^  {command}\b", f"./dev {command}")

    def test_links_between_documents_lead_somewhere(self):
        for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]:
            for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
                if not re.match(r"[a-z]+:", target):
                    self.assertTrue((path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}")

    def test_error_codes_of_the_control_socket_are_the_codes_of_the_code(self):
        documented = dict(re.findall(r"^\| `(\w+)` \| (-\d+) \|", text("docs/control-protocol.md"), re.M))
        codes = set(re.findall(r"-32\d{3}", text("ipc/control.cpp")))
        self.assertTrue(documented)
        for name, number in documented.items():
            self.assertIn(number, codes, f"{name} {number}")

    def test_control_methods_agree(self):
        documented = set(re.findall(r"^### ([\w.]+)$", text("docs/control-protocol.md"), re.M))
        served = set(re.findall(r'\{"((?:job|queue|engine|worker)\.\w+|attach)"', "".join(p.read_text() for p in sources("engine"))))
        self.assertEqual(documented, served)

    def test_engine_keys_agree(self):
        read = set(re.findall(r'\.(?:required_string|optional_integer|string|choice|integer|number|boolean|strings|object|array|any|has)\(\s*"(\w+)"', text("engine/config.cpp")))
        documented = set(re.findall(r"`(?:[\w.*<>]+\.)?(\w+)`", text("docs/configuration.md")))
        self.assertTrue(read)
        self.assertFalse(read - documented, "keys that docs/configuration.md does not name")

    def test_plugin_options_agree(self):
        code = text("lws-plugin/options.cpp").replace("'", "")
        numbers = {name: [fallback.replace("_", ""), f"{least} – {most}", unit] for name, fallback, least, most, unit in
                   re.findall(r'^\s*\{"([\w-]+)", (\d+), (\d+), (\d+), "([^"]*)"', code, re.M)}
        words = set(re.findall(r'"([\w-]+)"', re.search(r"kTexts = .*", code).group(0)))
        table = re.search(r"(?ms)^## The plugin.*?(?=^## |\Z)", text("docs/configuration.md"))
        self.assertIsNotNone(table, "docs/configuration.md has a section 'The plugin'")
        rows = {row[0]: [cell.replace(",", "") for cell in row[1:]] for row in
                re.findall(r"^\| `([\w-]+)` \| ([^|]*?) ?\| ([^|]*?) ?\| ?([^|]*?) ?\|", table.group(0), re.M)}
        self.assertTrue(numbers and words)
        self.assertEqual(set(numbers) | words, set(rows))
        for name, row in numbers.items():
            self.assertEqual(row, rows[name], f"default, range and unit of {name}")

    def test_keys_of_the_host_agree(self):
        code = text("lws-plugin/host/config.cpp")
        read = set(re.findall(r'\bin\.(?:text|number|flag|pairs|array|has)\(\s*"([\w-]+)"', code))
        section = re.search(r"(?ms)^## jobcast-host.*?(?=^## |\Z)", text("docs/configuration.md")).group(0)
        documented = {name for row in re.findall(r"^\| (`[^|]*) \|", section, re.M) for name in re.findall(r"`([\w-]+)`", row)}
        self.assertTrue(read)
        self.assertEqual(read - {"global", "vhosts"}, documented)

    def test_metrics_agree(self):
        declared = re.findall(r'^\s+(Counter|Gauge) \w+\{\*this, "(\w+)",', "".join(p.read_text() for p in sources("lws-plugin")), re.M)
        self.assertEqual(len(declared), len({name for _, name in declared}), "a metric's name is declared twice")
        counted = {(name + "_total" * (kind == "Counter"), kind.lower()) for kind, name in declared}
        documented = set(re.findall(r"^\| `(\w+)` \| (\w+) \|", text("docs/observability.md"), re.M))
        self.assertTrue(counted)
        self.assertEqual(counted, documented)

    def test_nothing_is_counted_that_metrics_does_not_show(self):
        tables = 0
        for path in sources("lws-plugin"):
            for name, members in re.findall(r"struct (\w+) : Metrics \{\n(.*?)^\s*\};", path.read_text(encoding="utf-8"), re.M | re.S):
                tables += 1
                for line in members.splitlines():
                    self.assertRegex(line, r"^\s+(Counter|Gauge) \w+\{\*this, |^\s*//|^\s+\"", f"{path.relative_to(ROOT)}: {name} holds what is not shown")
            self.assertNotRegex(path.read_text(encoding="utf-8"), r"struct (Stats|Counters) \{", f"{path.relative_to(ROOT)}: counts outside of Metrics")
        self.assertGreater(tables, 3)

    def test_events_of_the_ws_agree(self):
        documented = set(re.findall(r"^#+ `(\w+)`", text("docs/protocol.md"), re.M)) | set(re.findall(r"^\| `(\w+)` \|", text("docs/protocol.md"), re.M))
        client = set(re.findall(r'^\s*\{"(\w+)",', text("lws-plugin/messages.cpp"), re.M))
        self.assertTrue(client)
        self.assertFalse(client - documented, "client events that docs/protocol.md does not name")


if __name__ == "__main__":
    unittest.main()
