#!/usr/bin/env python3
"""The house's own rules: who may include whom, and that documents agree with the code. Standard library only."""

import ast
import os
import re
import shutil
import subprocess
import unittest
from collections import Counter
from pathlib import Path

ROOT = Path(os.environ.get("JOBCAST_HOUSE", Path(__file__).resolve().parents[2]))
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
# Pure parts take time and input as parameters: these headers would let them ask for themselves. (The plugin's are those of the library
# jobcast_plugin_core, but for the key files.)
PURE_ENGINE = ("attempt_outcome", "cancel_ladder", "job", "progress", "revisions", "scheduler", "snapshot")
ASKING = ("libwebsockets.h", "sys/socket.h", "sys/epoll.h", "sqlite3.h", "fcntl.h", "fstream", "poll.h")
READS_FILES = ("auth", "auth_keys")

LINES_MAX = 500
FUNCTION_LINES_MAX = 80
# Longer for a while; none may be added, and none of these may grow.
LONG = {"tests/engine/test_store.cpp": 520, "tests/plugin/test_auth.cpp": 610, "tests/plugin/test_hub.cpp": 580, "tests/plugin/test_session.cpp": 575}

# Names of headers that only tests use, with the reason why they stand in a header.
FOR_TESTS = {
    "number_options": "docs/configuration.md is compared with the table",
    "routes": "docs/protocol.md is compared with the table",
    "rpc_code": "docs/control-protocol.md is compared with the table",
    "set_paused": "queue.pause, which will call it, is not there yet; what a paused queue shows is",
}


def sources(*rooms):
    for room in rooms or ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in CODE and "node_modules" not in path.parts:
                yield path


def every_source():
    yield from sources(*ROOMS, "tests")
    for folder in ("tests", "client"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".mjs", ".js", ".py") and "node_modules" not in path.parts:
                yield path
    yield from scripts()


def scripts():
    """Programs without a suffix, such as ./dev."""
    for path in [*ROOT.glob("*"), *(path for room in (*ROOMS, "tests", "client", "conf") for path in (ROOT / room).rglob("*"))]:
        if path.suffix in ("", ".sh") and path.is_file() and "node_modules" not in path.parts and path.read_bytes().startswith(b"#!"):
            yield path


def code_of(path):
    """Without comments and the contents of strings. At once, for a string may hold what begins a comment, and a comment a quote."""
    tokens = r"""/\*.*?\*/|//[^\n]*|'(?:\\.|[^'\\\n])'|("(?:[^"\\\n]|\\.)*")"""
    return re.sub(tokens, lambda token: '""' if token.group(1) else "", path.read_text(encoding="utf-8"), flags=re.S)


def declared_in(code):
    """(name, whether it is a constant) of what a header lets others use: types, functions, constants; not what is private or inside a body."""
    found, scopes = [], []
    for line in map(str.strip, code.splitlines()):
        kind = re.match(r"(?:template <.*> ?)?(namespace|struct|class|enum|extern)\b(?: class)?(?: alignas\(\d+\))? ?(\w+)?", line)
        hidden = any(scopes)
        if scopes and re.match(r"(private|protected|public):$", line):
            scopes[-1] = line == "private:"
        elif not hidden and kind and kind.group(1) in ("struct", "class") and kind.group(2) and "{" in line:
            found.append((kind.group(2), False))
        elif not hidden and line and not line.startswith("#"):
            function = re.match(r"(?:\[\[nodiscard\]\] |static |virtual |constexpr |inline |explicit |friend )*(?!return|else|using|typedef)"
                                r"[\w:<>,&*\[\] ]*?[ &*>](\w+)\(", line)
            if function and "operator" not in line and "override" not in line and not re.match(r"[\w:]+ = ", line):
                found.append((function.group(1), False))
            constant = re.match(r"(?:static |inline )*constexpr .*?\b(k[A-Z]\w*)\b", line)
            if constant:
                found.append((constant.group(1), True))
        opened = line.count("{") - line.count("}")
        scopes += [kind is None or kind.group(1) == "class"] * max(opened, 0)  # a body hides, and so does a class until "public:"
        del scopes[len(scopes) + min(opened, 0):]
    return found


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if found:
            yield number, found.group(1), found.group(2)


def number_of(word):
    """What a number of the documents or of the code comes to, None where it is none."""
    names = {"kDayMs": 86_400_000, "kYearMs": 365 * 86_400_000}
    word = re.sub(r"(?<=\d)(?:[',](?=\d{3})|LL)", "", word.strip()).replace("^", "**")
    word = re.sub(r"\bk\w+", lambda name: str(names.get(name.group(), name.group())), word)
    return eval(word, {"__builtins__": {}}) if re.fullmatch(r"[\d.*<+ -]+", word) else None  # pylint: disable=eval-used


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


class Includes(unittest.TestCase):
    def test_rooms_include_only_what_they_may(self):
        for room, allowed in MAY_INCLUDE.items():
            for path in sources(room):
                for number, kind, name in includes(path):
                    if kind == '"' or name.split("/")[0] in ROOMS:
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

    def test_pure_parts_ask_nobody(self):
        core = re.search(r"add_library\(jobcast_plugin_core STATIC(.*?)\)", text("lws-plugin/CMakeLists.txt"), re.S).group(1)
        stems = [("lws-plugin", name[:-4]) for name in re.findall(r"[\w/]+\.cpp", core) if name[:-4] not in READS_FILES]
        stems += [("engine", name) for name in PURE_ENGINE]
        self.assertGreater(len(stems), 15)
        for room, stem in stems:
            self.assertTrue((ROOT / room / f"{stem}.cpp").exists(), f"{room}/{stem}.cpp is said to be pure and does not exist")
            for path in filter(Path.exists, (ROOT / room / f"{stem}{end}" for end in (".h", ".cpp"))):
                for number, _, name in includes(path):
                    self.assertNotIn(name, ASKING, f"{path.relative_to(ROOT)}:{number}")

    def test_every_header_is_included(self):
        # The public ones are for others.
        used = {name for path in sources(*ROOMS, "tests") for _, kind, name in includes(path) if kind == '"'}
        for path in sources():
            here = path.relative_to(ROOT).as_posix()
            if path.suffix == ".h" and not here.startswith("include/"):
                self.assertIn(here, used, f"nobody includes {here}")

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
        for path in every_source():
            here, lines = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8").count("\n")
            self.assertLessEqual(lines, LONG.get(here, LINES_MAX), f"{here} has {lines} lines: it wants to be two")

    def test_no_function_is_a_giant(self):
        # As clang-format has it: what opens with a brace at the end of a line ends with one that is indented alike. In a class that is a method.
        for path in sources(*ROOMS, "tests"):
            begun = {}
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                indent = re.match(r" *", line).group(0)
                if re.match(r" *[^\s#}/].*\{$", line) and 'R"' not in line and not re.match(r" *(namespace|extern|struct|class|enum|union|constexpr|static const|const .*= \{|public|private)", line):
                    begun.setdefault(indent, (number, line))
                elif line.startswith(indent + "}") and indent in begun:
                    start, head = begun.pop(indent)
                    lines = number - start + 1
                    self.assertLessEqual(lines, FUNCTION_LINES_MAX, f"{path.relative_to(ROOT)}:{start} has {lines} lines: {head}")

    def test_no_python_function_is_a_giant(self):
        for path in (ROOT / "tests").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if "node_modules" not in path.parts else ():
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    lines = node.end_lineno - node.lineno + 1
                    self.assertLessEqual(lines, FUNCTION_LINES_MAX, f"{path.relative_to(ROOT)}:{node.lineno} has {lines} lines: {node.name}")

    def test_every_file_says_what_it_is(self):
        for path in every_source():
            self.assertRegex(path.read_text(encoding="utf-8"), r'^(#!.*\n)?(//|/\*|"""|# )', f"{path.relative_to(ROOT)} opens with no comment")

    def test_every_name_of_a_header_is_used(self):
        files = {path: code_of(path) for path in sources()}
        words = {path: re.findall(r"\w+", code) for path, code in files.items()}
        declarations = 0
        for header in files:
            if header.suffix != ".h" or header.relative_to(ROOT).parts[0] in ("include", "examples", "bench"):
                continue
            source = header.with_suffix(".cpp")
            for name, constant in declared_in(files[header]):
                declarations += 1
                if name in FOR_TESTS or words[header].count(name) > 1 or any(name in words[other] for other in files if other not in (header, source)):
                    continue
                own = words.get(source, []).count(name)  # a constant has no definition there, a function has
                self.assertGreater(own, 0 if constant else 1, f"{header.relative_to(ROOT)} declares {name}, which nothing but tests uses")
        self.assertGreater(declarations, 500)

    def test_every_member_and_value_of_a_header_is_used(self):
        # What the whole house writes a single time. (Of two that have one name, one may be dead unseen.)
        code = {path: code_of(path) for path in sources(*ROOMS, "tests")}
        count = Counter(word for text_of in code.values() for word in re.findall(r"\w+", text_of))
        found = 0
        for path in sources("base", "ipc", "engine", "lws-plugin"):
            names = {name for values in re.findall(r"\benum(?: class)? ?\w*(?: : \w+)? ?\{(.*?)\}", code[path], re.S) for name in re.findall(r"(?:^|,)\s*(\w+)", values)}
            for line in code[path].splitlines() if path.suffix == ".h" else ():
                member = re.match(r"\s+(?!return|using|delete|case|goto|throw|static_assert|const )(?:[\w:]+(?:<.*>)?[ *&]+)+(\w[^()]*);$", line)
                names |= set(re.findall(r"(?:^|, )[*&]?(\w+)(?=\[| =|,|\{|$)", member.group(1))) if member else set()
            found += len(names)
            for name in names:
                self.assertGreater(count[name], 1, f"{path.relative_to(ROOT)} declares {name}, which nobody reads or writes")
        self.assertGreater(found, 800)

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
        table = "".join(path.read_text(encoding="utf-8") for path in sources("engine"))
        for command in set(re.findall(r"(?m)(?:^|`|\$ |bin/)jobcast ([a-z][a-z-]+)", text("README.md") + text("CONTRIBUTING.md"))):
            self.assertIn(f'.name = "{command}"', table, f"jobcast {command}")
        targets = "".join(path.read_text(encoding="utf-8") for path in ROOT.rglob("CMakeLists.txt") if "build" not in path.relative_to(ROOT).parts)
        for program in set(re.findall(r"build/bin/([\w-]+)", text("README.md") + text("CONTRIBUTING.md"))):
            self.assertRegex(targets, rf"add_executable\({program}\b|\b{program.removeprefix('bench_')}\b", f"build/bin/{program}")

    def test_links_between_documents_lead_somewhere(self):
        for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]:
            for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
                if not re.match(r"[a-z]+:", target):
                    self.assertTrue((path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}")

    def test_paths_in_documents_exist(self):
        folders = "|".join((*ROOMS, "client", "cmake", "conf", "docs", "man", "tests"))
        checked = 0
        for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), *every_source()]:
            for token in re.findall(rf"(?<![\w/.<-])((?:{folders})/[\w./*-]*\w[\w*/]*)", path.read_text(encoding="utf-8")):
                if path.suffix not in (".md", ".h", ".cpp", ".c") or re.search(r"^client/v|^tests/node_modules|^docs/pictures", token):
                    continue
                if path.suffix != ".md" and not re.search(rf"//.*{re.escape(token)}", path.read_text(encoding="utf-8")):
                    continue  # in code the compiler looks after it
                checked += 1
                places = (ROOT, ROOT / "include", path.parent)
                self.assertTrue(any(list(place.glob(token)) or list(place.glob(token + ".*")) or list(place.glob(token + "-*")) for place in places),
                                f"{path.relative_to(ROOT)} names {token}")
        self.assertGreater(checked, 50)

    def test_error_codes_of_the_control_socket_are_the_codes_of_the_code(self):
        documented = dict(re.findall(r"^\| `(\w+)` \| (-\d+) \|", text("docs/control-protocol.md"), re.M))
        codes = dict(re.findall(r"\{Errc::(\w+), (-\d+)\}", text("ipc/control.cpp")))
        self.assertTrue(codes)
        self.assertEqual(documented, codes)

    def test_error_codes_of_the_ws_are_the_codes_of_the_code(self):
        section = re.search(r"(?ms)^### Errors\n(.*?)^### ", text("docs/protocol.md")).group(1)
        errors, auth_errors = (set(re.findall(r"^\| `(\w+)` \|", part, re.M)) for part in section.split("Codes of `auth_error`"))
        code = {path.name: path.read_text(encoding="utf-8") for path in sources("lws-plugin")}
        said = set(re.findall(r'return "(\w+)";', re.search(r"const char\* error_code\(.*?^\}", code["messages.cpp"], re.S | re.M).group(0)))
        said |= set(re.findall(r'refuse\([^;]*?"(\w+)",', code["session_requests.cpp"]))
        said |= set(re.findall(r"Errc::(\w+)", re.search(r"const char\* error_code\(.*?^\}", code["messages.cpp"], re.S | re.M).group(0))) & errors
        self.assertFalse(said - errors - auth_errors, "codes that docs/protocol.md does not name")
        spoken = "".join(code.values())
        names = set(re.findall(r"case Errc::\w+: return \"(\w+)\"", text("base/result.h")))
        for name in errors | auth_errors:
            self.assertTrue(f'"{name}"' in spoken or name in names, f"docs/protocol.md names {name}, which nobody says")
        self.assertFalse(set(re.findall(r'"(token_\w+|\w+_mismatch|too_many_\w+|clock_not_\w+)"', spoken)) - auth_errors, "codes of auth_error that the document does not name")

    def test_control_methods_agree(self):
        documented = set(re.findall(r"^### ([\w.]+)$", text("docs/control-protocol.md"), re.M))
        served = set(re.findall(r'\{"((?:job|queue|engine|worker)\.\w+|attach)"', "".join(p.read_text() for p in sources("engine"))))
        self.assertEqual(documented, served)

    def test_engine_keys_agree(self):
        section = re.search(r"(?ms)^## The engine\n(.*?)^## ", text("docs/configuration.md")).group(1)
        documented, prefix = set(), ""
        for line in section.splitlines():
            heading, row = re.match(r"### .*`([\w.<>]+)`$", line), re.match(r"\| `([\w.]+)` \|(?:[^|]*\|){3}$", line)
            prefix = heading.group(1) + "." if heading else prefix
            documented |= {prefix + row.group(1)} if row else set()
        read, prefix = set(), ""
        where = {"read_kind": "kinds.<name>.", "read_attempts": "kinds.<name>.", "read_environment": "kinds.<name>.", "read_on_stop": "kinds.<name>.",
                 "check_program": "kinds.<name>.", "read_queue": "queues.<name>.", "read_control": "control."}
        for line in text("engine/config.cpp").splitlines():
            function = re.match(r"\S.* (\w+)\(.*\{$", line)
            prefix = where.get(function.group(1), "") if function else prefix
            reads = r'(?<!file)\.(?:required_string|optional_integer|string|choice|integer|number|boolean|strings|object|array|any|has)\(\s*"(\w+)"'
            read |= {prefix * (key != "control") + key for key in re.findall(reads + r'|absolute_path\(in, "(\w+)"|read_named\(in, "(\w+)"', line) for key in key if key}
        self.assertGreater(len(read), 30)
        self.assertEqual(read, documented)

    def rows(self, section):
        """{key: (default, least, most)} of the rows whose range reads "least – most", of a section of docs/configuration.md."""
        words = re.search(rf"(?ms)^## {section}.*?(?=^## |\Z)", text("docs/configuration.md")).group(0)
        cells = re.findall(r"^\| `([\w.-]+)` \| ([^|]*) \| (?:[^|]*, )?([\d,]+) – ([\d,^]+)( years?)?[^|]* \|", words, re.M)
        return {key.split(".")[-1]: (default, number_of(least), number_of(most) * (365 * 86_400_000 if years else 1)) for key, default, least, most, years in cells}

    def compare(self, rows, code, struct):
        """With the ranges of calls that read, and the values that the fields of a struct begin with."""
        begins = {name: value for line in re.findall(r"(?m)^  (?:\w+) (\w+ = [^;]*);", struct) for name, value in re.findall(r"(\w+) = ([^,]+)", line)}
        compared = 0
        for key, field, least, most in re.findall(r'\.(?:integer|number)\(\s*"([\w-]+)",\s*(?:[\w]+\.)?([^,]+(?:\([^)]*\))?), ([^,]+), ([^,()]+)\)', code):
            if key not in rows:
                continue
            compared += 1
            default, *bounds = rows[key]
            self.assertEqual([number_of(least), number_of(most)], bounds, f"range of {key} in docs/configuration.md")
            if re.fullmatch(r"[\d,.]+", default) and field in begins:
                self.assertEqual(number_of(begins[field]), number_of(default), f"default of {key} in docs/configuration.md")
        return compared

    def test_ranges_and_defaults_of_the_keys_agree(self):
        self.assertGreater(self.compare(self.rows("The engine"), text("engine/config.cpp"), text("engine/config.h")), 18)
        self.assertGreater(self.compare(self.rows("jobcast-host"), text("lws-plugin/host/config.cpp"), text("lws-plugin/host/config.h")), 5)

    def test_counts_of_the_engine_agree(self):
        code = re.search(r"void Methods::stats\(.*?^\}", text("engine/methods.cpp"), re.S | re.M).group(0)
        counted = set(re.findall(r'\.set\("(\w+)"', code))
        section = re.search(r"(?ms)^### engine.stats\n`\{\}` → `(.*?)`$", text("docs/control-protocol.md")).group(1)
        documented = set(re.findall(r"\w+", re.sub(r"jobs: \{[^}]*\}", "jobs", section)))
        self.assertGreater(len(counted), 20)
        self.assertEqual(counted, documented)

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

    def test_callbacks_of_lws_agree(self):
        handled = set(re.findall(r"case LWS_CALLBACK_(\w+):", text("lws-plugin/plugin.cpp")))
        table = re.search(r"(?s)\| lws calls \|.*?\n\n|\| lws calls \|.*", text("docs/lws.md")).group(0)
        documented = {name for cell in re.findall(r"(?m)^\| (`[^|]*) \|", table) for name in re.findall(r"`(\w+)`", cell)}
        self.assertGreater(len(handled), 25)
        self.assertEqual(handled, documented)

    def test_events_of_the_ws_agree(self):
        documented = set(re.findall(r"^#+ `(\w+)`", text("docs/protocol.md"), re.M)) | set(re.findall(r"^\| `(\w+)` \|", text("docs/protocol.md"), re.M))
        client = set(re.findall(r'^\s*\{"(\w+)",', text("lws-plugin/messages.cpp"), re.M))
        self.assertTrue(client)
        self.assertFalse(client - documented, "client events that docs/protocol.md does not name")
        requests = set(re.findall(r"^#### `(\w+)`", text("docs/protocol.md"), re.M))
        self.assertEqual(client, requests)
        table = re.search(r"(?ms)^### Events\n(.*?)^### ", text("docs/protocol.md")).group(1)
        said = {name for path in sources("lws-plugin") for line in path.read_text(encoding="utf-8").splitlines()
                if re.search(r"\b(answer|append_event)\(", line) for name in re.findall(r'"(\w+)"', re.sub(r'R"\(.*?\)"', "", line))}
        self.assertEqual(said, set(re.findall(r"^\| `(\w+)` \|", table, re.M)))

    def test_options_of_the_daemons_agree(self):
        for program, source in (("jobcastd", "engine/options.cpp"), ("jobcast-host", "lws-plugin/host/main.cpp")):
            code = text(source)
            taken = set(re.findall(r'\{"([\w-]+)", (?:no|required)_argument', code))
            helped = set(re.findall(r"(?m)^  (?:    |-\w, )?--([\w-]+)", code))
            page = set(re.findall(r"(?<![\w-])--([\w-]+)", text(f"man/{program}.8").replace("\\", "")))
            self.assertEqual(helped, taken, f"--help of {program}")
            self.assertEqual(page, taken, f"man/{program}.8")


if __name__ == "__main__":
    unittest.main()
