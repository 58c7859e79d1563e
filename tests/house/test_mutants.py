#!/usr/bin/env python3
"""Every check of test_house.py can fail: a copy of the house, broken in one place at a time, must be refused by the check in question."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# check, file, what stands there (a regular expression), what the mutant has instead
MUTANTS = [
    ("Includes.test_rooms_include_only_what_they_may", "ipc/lane.h", r"#pragma once", '#pragma once\n#include "engine/job.h"'),
    ("Includes.test_public_headers_need_only_stdint_and_stddef", "include/jobcast/status.h", r"#ifdef", "#include <stdio.h>\n#ifdef"),
    ("Includes.test_third_party_headers_stay_in_their_room", "engine/job.cpp", r"\A", "// A job.\n#include <sqlite3.h>\n"),
    ("Includes.test_pure_parts_ask_nobody", "lws-plugin/hub.cpp", r"\A", "// A hub.\n#include <libwebsockets.h>\n"),
    ("Includes.test_pure_parts_ask_nobody", "lws-plugin/CMakeLists.txt", r"hub\.cpp", "hubb.cpp"),
    ("Includes.test_every_header_is_included", "base/unit.h", r"\A", None),
    ("Includes.test_public_headers_compile_as_c_and_as_cpp", "include/jobcast/status.h", r"#endif\s*\Z", "bool broken;\n#endif\n"),
    ("Shape.test_no_file_is_a_giant", "base/text.cpp", r"\Z", "\n" * 500),
    ("Shape.test_no_function_is_a_giant", "base/text.cpp", r"\Z", "void giant() {\n" + "  ;\n" * 80 + "}\n"),
    ("Shape.test_every_file_says_what_it_is", "base/text.cpp", r"\A//[^\n]*\n", ""),
    ("Shape.test_every_name_of_a_header_is_used", "base/text.h", r"(namespace jobcast \{\n)", "\\1void nobody_calls_this();\n"),
    ("Shape.test_every_name_of_a_header_is_used", "base/text.h", r"(namespace jobcast \{\n)", "\\1constexpr int kNobodyReadsThis = 1;\n"),
    ("Shape.test_every_name_of_a_header_is_used", "engine/job.h", r"(namespace jobcast::engine \{\n)", "\\1struct NobodyHasThis {\n};\n"),
    ("Shape.test_no_function_is_a_giant", "ipc/lane.h", r"\Z", "struct Tall {\n  void giant() {\n" + "    ;\n" * 80 + "  }\n};\n"),
    ("Shape.test_no_python_function_is_a_giant", "tests/cli/support.py", r"\Z", "\n\ndef giant():\n" + "    pass\n" * 80),
    ("Shape.test_every_file_says_what_it_is", "dev", r"\A(#!.*\n)#.*\n", "\\1"),
    ("Shape.test_every_member_and_value_of_a_header_is_used", "engine/job.h", r"(namespace jobcast::engine \{\n)", "\\1struct Job2 {\n  int nobody_reads_this = 0;\n};\n"),
    ("Shape.test_every_member_and_value_of_a_header_is_used", "engine/job.h", r"(namespace jobcast::engine \{\n)", "\\1class Job2 {\n  std::string path_, nobody_reads_this_;\n};\n"),
    ("Shape.test_every_member_and_value_of_a_header_is_used", "engine/job.h", r"(namespace jobcast::engine \{\n)", "\\1enum class Nobody { reads_this_value };\n"),
    ("Documents.test_options_of_the_daemons_agree", "man/jobcastd.8", r"log\\-level", "log\\\\-depth"),
    ("Documents.test_options_of_the_daemons_agree", "engine/options.cpp", r"\n  --socket PATH", "\n  --sock PATH"),
    ("Documents.test_options_of_the_daemons_agree", "lws-plugin/host/main.cpp", r'\{"loop", required', '{"loops", required'),
    ("Documents.test_events_of_the_ws_agree", "docs/protocol.md", r"\| `auth_expiring` \|", "| `auth_ending` |"),
    ("Documents.test_events_of_the_ws_agree", "lws-plugin/session_requests.cpp", r'answer\("pong"', 'answer("ping_pong"'),
    ("Documents.test_events_of_the_ws_agree", "lws-plugin/messages.cpp", r'\{"unsubscribe_job"', '{"leave_job"'),
    ("Shape.test_lock_files_name_no_host", "tests/package-lock.json", r"\{", '{"resolved": "x",'),
    ("Documents.test_the_readmes_commands_exist", "README.md", r"\Z", "\n./dev nonsense\n"),
    ("Documents.test_the_readmes_commands_exist", "README.md", r"\Z", "\n    jobcast nonsense\n`jobcast nonsense`\n"),
    ("Documents.test_the_readmes_commands_exist", "CONTRIBUTING.md", r"\Z", "\nbuild/bin/nonsense\n"),
    ("Documents.test_links_between_documents_lead_somewhere", "README.md", r"\Z", "\n[x](docs/nowhere.md)\n"),
    ("Documents.test_paths_in_documents_exist", "docs/architecture.md", r"\Z", "\nengine/nowhere.cpp\n"),
    ("Documents.test_paths_in_documents_exist", "base/text.cpp", r"\Z", "// See docs/nowhere.md\n"),
    ("Documents.test_error_codes_of_the_control_socket_are_the_codes_of_the_code", "docs/control-protocol.md", r"`full` \| -32005", "`full` | -32006"),
    ("Documents.test_error_codes_of_the_control_socket_are_the_codes_of_the_code", "ipc/control.cpp", r"(\{Errc::full, )-32005", "\\1-32099"),
    ("Documents.test_error_codes_of_the_ws_are_the_codes_of_the_code", "docs/protocol.md", r"\| `token_revoked` \|", "| `token_withdrawn` |"),
    ("Documents.test_control_methods_agree", "docs/control-protocol.md", r"### job\.cancel", "### job.stop"),
    ("Documents.test_engine_keys_agree", "docs/configuration.md", r"\| `grace_ms` \|", "| `mercy_ms` |"),
    ("Documents.test_engine_keys_agree", "engine/config.cpp", r'in\.integer\("waiting_max"', 'in.integer("waiting_most"'),
    ("Includes.test_rooms_include_only_what_they_may", "ipc/lane.h", r"#pragma once", "#pragma once\n#include <engine/job.h>"),
    ("Documents.test_ranges_and_defaults_of_the_keys_agree", "docs/configuration.md", r"\| `grace_ms` \| 5,000", "| `grace_ms` | 6,000"),
    ("Documents.test_ranges_and_defaults_of_the_keys_agree", "docs/configuration.md", r"`timeout-secs` \| 30 \| 1 – 3600", "`timeout-secs` | 30 | 1 – 360"),
    ("Documents.test_ranges_and_defaults_of_the_keys_agree", "engine/config.cpp", r"config\.slots, 16, 65'536", "config.slots, 16, 65'535"),
    ("Documents.test_counts_of_the_engine_agree", "engine/methods.cpp", r'\.set\("doorbells"', '.set("bells"'),
    ("Documents.test_plugin_options_agree", "lws-plugin/options.cpp", r'\{"wait-max", 60,', '{"wait-max", 61,'),
    ("Documents.test_keys_of_the_host_agree", "docs/configuration.md", r"\| `server-string` \|", "| `server-text` |"),
    ("Documents.test_metrics_agree", "docs/observability.md", r"`jobcast_users`", "`jobcast_people`"),
    ("Documents.test_nothing_is_counted_that_metrics_does_not_show", "lws-plugin/vhost.h", r"(struct Counters : Metrics \{\n)", "\\1  uint64_t unseen = 0;\n"),
    ("Documents.test_callbacks_of_lws_agree", "docs/lws.md", r"`RECEIVE_PONG`, ", ""),
    ("Documents.test_callbacks_of_lws_agree", "lws-plugin/plugin.cpp", r"case LWS_CALLBACK_RAW_RX: ", ""),
    ("Documents.test_events_of_the_ws_agree", "lws-plugin/messages.cpp", r'\{"subscribe_job",', '{"follow_job",'),
]


class Mutants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.copy = Path(cls.place.name) / "house"
        shutil.copytree(ROOT, cls.copy, ignore=shutil.ignore_patterns("build", ".git", "node_modules", "__pycache__", ".cache", "*.png"))

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def passes(self, check):
        done = subprocess.run([sys.executable, "-B", self.copy / "tests/house/test_house.py", check], capture_output=True, text=True,
                              env={**os.environ, "JOBCAST_HOUSE": str(self.copy)})
        self.assertIn("Ran 1 test", done.stderr, f"there is no check {check}")
        return done.returncode == 0

    def test_every_mutant_is_refused(self):
        for check, name, pattern, instead in MUTANTS:
            with self.subTest(check=check, file=name):
                path = self.copy / name
                sound = path.read_text(encoding="utf-8")
                if instead is None:  # the file itself under another name, so that nobody includes it
                    broken_path = path.with_name("nobody_" + path.name)
                    broken = sound
                else:
                    broken_path = path
                    broken, count = re.subn(pattern, instead if "\\" in instead and "\\1" in instead else instead.replace("\\", r"\\"), sound, count=1)
                    self.assertEqual(count, 1, f"{pattern} is not in {name}")
                broken_path.write_text(broken, encoding="utf-8")
                try:
                    self.assertFalse(self.passes(check), "the mutant lives")
                finally:
                    if broken_path == path:
                        path.write_text(sound, encoding="utf-8")
                    else:
                        broken_path.unlink()

    def test_every_check_has_a_mutant(self):
        text = (ROOT / "tests/house/test_house.py").read_text(encoding="utf-8")
        checks, current = set(), ""
        for line in text.splitlines():
            found = re.match(r"class (\w+)|    def (test_\w+)", line)
            current = found.group(1) if found and found.group(1) else current
            if found and found.group(2):
                checks.add(f"{current}.{found.group(2)}")
        # The formatter is not ours, and is not everywhere.
        self.assertEqual(checks - {check for check, *_ in MUTANTS}, {"Shape.test_the_code_is_formatted"})


if __name__ == "__main__":
    unittest.main()
