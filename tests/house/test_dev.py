#!/usr/bin/env python3
"""./dev and the runner of its tests, where that is cheap: what they say of what fails, and when a run counts as failed. Standard library only."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Scratch(unittest.TestCase):
    """A tree of its own with copies of what is tried, and commands of its own before those of the machine."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.top = Path(scratch.name) / "jobcast"
        self.commands = Path(scratch.name) / "bin"
        for directory in (self.top / "tests", self.top / "build", self.commands):
            directory.mkdir(parents=True)
        self.environment = {"PATH": f"{self.commands}:{os.environ['PATH']}", "HOME": scratch.name}

    def copy(self, *names):
        for name in names:
            (self.top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.top / name)

    def command(self, name, script):
        path = self.commands / name
        path.write_text("#!/bin/sh\n" + script + "\n", encoding="utf-8")
        path.chmod(0o755)

    def run_it(self, *words, **environment):
        done = subprocess.run([str(self.top / words[0]), *words[1:]], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                              env={**self.environment, **environment}, cwd=self.top)
        return done.returncode, done.stdout + done.stderr


class Dev(Scratch):
    def setUp(self):
        super().setUp()
        self.copy("dev", "bench/CMakeLists.txt", "tests/fuzz/CMakeLists.txt", "tests/soak", "tests/fresh", "tests/package-lock.json")
        self.command("dpkg-query", "exit 1")
        self.command("apt-get", 'echo "E: this mirror is away"; exit 100')
        self.command("sudo", '"$@"')
        self.command("cmake", 'echo "cmake: not reached"; exit 1')

    def test_what_it_does_not_know_is_refused_with_what_it_knows(self):
        for words, said in ((("nonsense",), "unknown command 'nonsense'"), (("build", "nonsense"), "release debug asan tsan fuzz coverage"),
                            (("bench", "nonsense"), "lane latch"), (("fuzz", "nonsense"), "json"), (("fuzz", "json", "soon"), "'soon'"),
                            (("soak", "nonsense"), "lane"), (("fresh", "nonsense"), "demo or test"), (("fresh", "demo", "woody"), "bookworm"),
                            (("test", "a", "b"), "one REGEX")):
            with self.subTest(words):
                code, output = self.run_it("dev", *words)
                self.assertEqual(code, 2, output)
                self.assertIn(said, output)
                self.assertNotIn("this mirror is away", output)

    def test_lists_need_nothing_installed(self):
        for words, said in ((("help",), "usage: ./dev"), ((), "usage: ./dev"), (("bench",), "lane"), (("fuzz",), "json"), (("soak",), "lane")):
            code, output = self.run_it("dev", *words)
            self.assertEqual(code, 0, output)
            self.assertIn(said, output)

    def test_a_package_that_cannot_be_installed_is_told_with_the_reason(self):
        for command in (("demo",), ("build",), ("test",), ("lint",), ("bench", "lane"), ("fuzz", "json"), ("soak", "lane")):
            with self.subTest(command):
                code, output = self.run_it("dev", *command)
                self.assertEqual(code, 1, output)
                self.assertIn("this mirror is away", output)
                self.assertRegex(output, r"dev: could not install .*: apt-get install ended with 100")
                self.assertNotIn("not reached", output)

    def test_without_root_and_sudo_it_says_what_root_must_type(self):
        for name in ("bash", "sh", "readlink", "dirname", "grep", "mkdir", "rm", "cat", "env", "awk", "sed"):
            self.command(name, f'exec {shutil.which(name)} "$@"')
        (self.commands / "sudo").unlink()
        self.command("id", "echo 1000")
        code, output = self.run_it("dev", "demo", PATH=str(self.commands))
        self.assertEqual(code, 1, output)
        self.assertRegex(output, r"needs root, and there is no sudo.* As root: apt-get install .*libwebsockets-dev")

    def test_on_another_system_it_says_what_it_needs(self):
        for name in ("bash", "readlink", "dirname", "cat", "env"):
            self.command(name, f'exec {shutil.which(name)} "$@"')
        (self.commands / "apt-get").unlink()
        code, output = self.run_it("dev", "demo", PATH=str(self.commands))
        self.assertEqual(code, 1, output)
        self.assertRegex(output, r"this is no Debian .*libwebsockets-dev")

    def test_clients_that_cannot_be_installed_are_told_with_the_reason_and_the_time(self):
        self.command("dpkg-query", 'for p; do :; done; [ "$p" ] && echo installed')
        self.command("node", "echo v20.0.0")
        self.command("npm", '[ "$1" = ci ] && { echo "npm error EAI_AGAIN"; exit 1; }; echo https://registry.example')
        code, output = self.run_it("dev", "test")
        self.assertEqual(code, 1, output)
        self.assertIn("EAI_AGAIN", output)
        self.assertIn("npm ci ended with 1", output)
        self.assertRegex(output, r"dev: \d+:\d\d  in all: FAILED")

    def test_a_part_that_is_off_asks_nothing_of_the_machine(self):
        # Only what the demo runs is needed to build it: this pkg-config and these switches hide what the tests need.
        config = self.commands / "pkg-config-without-cmocka"
        self.command(config.name, f'case "$*" in *cmocka*) exit 1;; esac; exec {shutil.which("pkg-config")} "$@"')
        configure = [shutil.which("cmake", path=os.environ["PATH"]), "-S", str(ROOT), "-G", "Ninja", f"-DPKG_CONFIG_EXECUTABLE={config}",
                     "-DCMAKE_DISABLE_FIND_PACKAGE_Python3=ON", "-DCMAKE_PROGRAM_PATH="]
        lean = subprocess.run([*configure, "-B", str(self.top / "lean"), "-DJOBCAST_TESTS=OFF", "-DJOBCAST_BENCH=OFF"], capture_output=True,
                              text=True, check=False)
        self.assertEqual(lean.returncode, 0, lean.stdout + lean.stderr)
        full = subprocess.run([*configure, "-B", str(self.top / "full")], capture_output=True, text=True, check=False)
        self.assertNotEqual(full.returncode, 0)
        self.assertIn("cmocka", full.stdout + full.stderr)


class Runner(Scratch):
    """tests/run with tests of its own: shell scripts, declared as CTest reads them."""

    def setUp(self):
        super().setUp()
        self.copy("tests/run")
        self.declared = ""
        self.expect("")
        (self.top / "build/CMakeCache.txt").write_text("JOBCAST_SANITIZE:STRING=\n", encoding="utf-8")

    def expect(self, text):
        (self.top / "tests/expected_skips").write_text(text, encoding="utf-8")

    def declare(self, name, script, *labels):
        self.command(name, script)
        self.declared += f'add_test({name} "{self.commands / name}")\nset_tests_properties({name} PROPERTIES LABELS "{";".join(labels)}")\n'
        (self.top / "build/CTestTestfile.cmake").write_text(self.declared, encoding="utf-8")

    def tries(self, ci=True):
        return self.run_it("tests/run", "build", **({"CI": "1"} if ci else {}))

    def fails_once(self, name, *labels):
        self.declare(name, f'[ -e "{self.top}/{name}.tried" ] || {{ touch "{self.top}/{name}.tried"; exit 1; }}', *labels)

    def test_a_skipped_case_that_nobody_expects_fails_ci(self):
        for name, printed in (("cmocka", "[  SKIPPED ] a_case"), ("unittest", "a_case (mod.Class.a_case) ... skipped 'why'\nOK (skipped=1)"),
                              ("tap", "    ok 3 - a case # SKIP why\n# skipped 1"), ("text", "﹣ a case (0.1ms) # SKIP")):
            self.declare(name, f"cat <<'X'\n{printed}\nX")
            self.expect("".join(f"{other} a_case always  because\n" for other in ("cmocka", "unittest", "tap") if other != name))
            code, output = self.tries()
            self.assertEqual(code, 1, output)
            self.assertIn(f"{name} skipped a_case, which tests/expected_skips does not name", output)
            self.assertEqual(self.tries(ci=False)[0], 0)
        self.expect("".join(f"{name} a_case always  because\n" for name in ("cmocka", "unittest", "tap", "text")))
        code, output = self.tries()
        self.assertEqual(code, 0, output)
        self.assertIn("tests: skipped: tap a_case (always)", output)

    def test_an_expected_skip_where_its_reason_does_not_hold_fails_ci(self):
        self.declare("cmocka", "echo '[  SKIPPED ] a_case'")
        self.expect("cmocka a_case sanitized  because\n")
        code, output = self.tries()
        self.assertEqual(code, 1, output)
        self.assertIn("only where sanitized", output)

    def test_skips_without_names_and_runs_without_tests_fail_ci(self):
        self.declare("quiet", "echo 'OK (skipped=2)'")
        self.declare("nothing", "printf 'Ran 0 tests in 0.0s\\n\\nOK\\n'")
        code, output = self.tries()
        self.assertEqual(code, 1, output)
        self.assertIn("quiet skipped 2 cases without naming them", output)
        self.assertIn("nothing passed without running anything", output)

    def test_a_second_try_is_for_timing_alone_and_told_by_name(self):
        self.fails_once("measures", "unit", "timing")
        code, output = self.tries()
        self.assertEqual(code, 0, output)
        self.assertIn("second try of measures", output)
        self.assertEqual((self.top / "build/second_tries").read_text(encoding="utf-8"), "measures\n")
        self.fails_once("proves", "unit", "concurrent")
        code, output = self.tries()
        self.assertEqual(code, 1, output)
        self.assertIn("FAILED: proves", output)
        self.assertNotIn("second try of proves", output)

    def test_outside_ci_there_is_no_second_try(self):
        self.fails_once("measures", "timing")
        code, output = self.tries(ci=False)
        self.assertEqual(code, 1, output)

    def test_a_timing_test_that_fails_twice_fails(self):
        self.declare("measures", "exit 1", "timing")
        self.assertEqual(self.tries()[0], 1)

    def test_three_second_tries_in_one_run_fail_it(self):
        for name in ("one", "two"):
            self.fails_once(name, "timing")
        self.assertEqual(self.tries()[0], 0)
        self.fails_once("three", "timing")  # in a later stage of the same run
        code, output = self.tries()
        self.assertEqual(code, 1, output)
        self.assertIn("3 second tries in one run", output)


if __name__ == "__main__":
    unittest.main()
