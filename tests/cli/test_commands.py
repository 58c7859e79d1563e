#!/usr/bin/env python3
"""The command as its users meet it: a demo, jobs, exit codes, and the bar on a real terminal."""

import json
import os
import re
import signal
import subprocess
import tempfile
import unittest
import urllib.request
import uuid

from support import BIN, Demo, Terminal, until

DEAL = {"hands": ["AsAhKsKh", "8c7d6c5d"], "mode": "exact"}
ABSENT = str(uuid.uuid4())


class WithDemo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.demo = Demo()

    @classmethod
    def tearDownClass(cls):
        assert cls.demo.stop() == 0, cls.demo.stderr()


class Commands(WithDemo):
    def ends_with(self, code, *words, **options):
        done = self.demo.run(*words, **options)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done

    def test_submit_prints_the_id_and_with_json_the_snapshot(self):
        job = self.demo.submit("plo-equity", DEAL, "--meta", '{"title":"aces"}', "--priority", "-5")
        self.assertEqual(str(uuid.UUID(job)), job)
        snapshot = json.loads(self.ends_with(0, "submit", "plo-equity", "--args", json.dumps(DEAL), "--json").stdout)
        self.assertEqual((snapshot["kind"], snapshot["owner"]), ("plo-equity", self.demo.said["user"]))
        seen = self.demo.reaches(job, "completed")
        self.assertEqual((seen["meta"], seen["priority"]), ({"title": "aces"}, -5))

    def test_args_come_from_a_file_or_from_standard_input(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(json.dumps(DEAL))
            file.flush()
            self.ends_with(0, "submit", "plo-equity", "--watch", "--args", "@" + file.name)
        self.ends_with(0, "submit", "plo-equity", "--watch", "--args", "-", input=json.dumps(DEAL))

    def test_watch_prints_every_snapshot_as_a_line_byte_for_byte(self):
        job = self.demo.submit("slow", {"seconds": 1})
        done = self.ends_with(0, "watch", "--json", job)
        lines = done.stdout.splitlines()
        snapshots = [json.loads(line) for line in lines]
        revs = [snapshot["rev"] for snapshot in snapshots]
        self.assertEqual(revs, sorted(set(revs)))
        self.assertGreater(len(lines), 5)
        shares = [s["progress"]["percent"] for s in snapshots if s["progress"]["percent"] is not None]
        self.assertEqual(shares, sorted(shares))
        self.assertEqual([s["state"] for s in snapshots if s["state"] == "completed"], ["completed"])
        self.assertEqual(lines[-1], self.demo.run("show", job, "--json").stdout.strip())
        self.assertEqual(self.ends_with(0, "watch", "--json", job).stdout, lines[-1] + "\n", "a job that is over is told once")

    def test_the_result_and_the_log_are_shown(self):
        job = self.demo.submit("plo-equity", DEAL)
        self.demo.reaches(job, "completed")
        self.assertEqual(json.loads(self.ends_with(0, "show", "--result", job).stdout)["boards"], 1086008)
        self.assertIn("completed in", self.ends_with(0, "show", job).stdout)
        failed = self.demo.submit("fails")
        self.demo.reaches(failed, "failed")
        self.assertEqual(self.ends_with(0, "logs", failed).stdout, "this kind always fails\n")
        page = json.loads(self.ends_with(0, "logs", "--json", failed).stdout)
        self.assertTrue(page["eof"])
        self.assertEqual(self.ends_with(0, "logs", "--tail", "6", failed).stdout, "fails\n")

    def test_logs_follow_until_the_job_is_over(self):
        job = self.demo.submit("slow", {"seconds": 1})
        self.assertEqual(self.ends_with(0, "logs", "-f", job).stdout, "".join(f"{n}\n" for n in range(1, 101)))

    def test_a_closed_standard_output_gets_no_socket_and_is_an_error(self):
        job = self.demo.submit("fails")
        self.demo.reaches(job, "failed")
        before = self.demo.run("stats", "--json").stdout
        shell = subprocess.run(["/bin/sh", "-c", '"$0" "$@" >&- <&-', BIN / "jobcast", "--state-dir", self.demo.dir, "logs", job],
                               stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual((shell.returncode, shell.stderr), (1, "jobcast: standard output: Bad file descriptor\n"))
        errors = [json.loads(text)["control"]["errors"] for text in (before, self.demo.run("stats", "--json").stdout)]
        self.assertEqual(errors[0], errors[1], "the log was sent to the engine as requests")

    def test_a_run_at_beyond_all_years_is_refused(self):
        for when in ("+999999999d", "+9223372036854775807s", "+99999999999999999999d", "9999999-01-01T00:00:00Z"):
            self.assertIn("--run-at is a time", self.ends_with(2, "submit", "fails", "--run-at", when).stderr)

    def test_lists_are_filtered_and_counted(self):
        owner = "owner-" + uuid.uuid4().hex
        jobs = [self.demo.submit("fails", {}, "--owner", owner) for _ in range(3)]
        for job in jobs:
            self.demo.reaches(job, "failed")
        listed = json.loads(self.ends_with(0, "list", "--owner", owner, "--state", "failed", "--limit", "2", "--json").stdout)
        self.assertEqual([job["job_id"] for job in listed["jobs"]], jobs[:0:-1])
        rest = self.ends_with(0, "list", "--owner", owner, "--cursor", listed["next_cursor"])
        self.assertIn(jobs[0], rest.stdout)
        self.assertRegex(rest.stdout, r"^JOB +KIND +OWNER")
        self.assertEqual(self.ends_with(0, "list", "--owner", owner, "--state", "running").stdout, "")
        self.assertRegex(self.ends_with(0, "queues").stdout, r"(?m)^default +\d/2")
        self.assertIn("worker_lost", self.ends_with(0, "stats").stdout)
        self.assertEqual(json.loads(self.ends_with(0, "stats", "--json").stdout)["pid"], self.demo.pid_of("jobcastd"))

    def test_a_key_answers_the_job_that_it_made(self):
        key = uuid.uuid4().hex
        first = self.demo.submit("fails", {}, "--idempotency-key", key)
        second = self.ends_with(0, "submit", "fails", "--idempotency-key", key)
        self.assertEqual(second.stdout.strip(), first)
        self.assertIn("no new job", second.stderr)

    def test_a_later_job_waits_and_can_be_cancelled_and_retried(self):
        job = self.demo.submit("fails", {}, "--run-at", "+1h")
        self.assertEqual(self.demo.show(job)["state"], "scheduled")
        self.assertIn("cancelled", self.ends_with(0, "cancel", job).stdout)
        self.assertEqual(json.loads(self.ends_with(0, "retry", job, "--json").stdout)["job_id"], job)
        self.demo.reaches(job, "failed")

    def test_exit_codes_tell_how_it_ended(self):
        self.ends_with(3, "submit", "fails", "--watch")
        job = self.demo.submit("slow", {"seconds": 60})
        watching = self.demo.start("watch", "--json", job)
        watching.stdout.readline()
        self.ends_with(0, "cancel", job)
        _, said = watching.communicate(timeout=30)
        self.assertEqual(watching.returncode, 4, said)
        self.ends_with(3, "watch", job, self.demo.submit("fails"))
        for words in (["show", ABSENT], ["watch", ABSENT], ["logs", ABSENT], ["cancel", ABSENT], ["retry", ABSENT], ["show", job, "--owner", "mallory"]):
            self.ends_with(5, *words)
        for words in (["submit"], ["submit", "no-such-kind"], ["submit", "fails", "--args", "[1]"], ["submit", "fails", "--args", "{"],
                      ["submit", "fails", "--args", "@/nonexistent"], ["submit", "fails", "--run-at", "soon"], ["submit", "fails", "--priority", "101"],
                      ["show", "not-an-id"], ["list", "--state", "busy"], ["lits"], ["list", "--limit", "0"]):
            self.ends_with(2, *words)
        for words in (["list"], ["watch", job], ["submit", "fails"], ["logs", job]):
            self.ends_with(6, *words, "--socket", "/nonexistent/engine.sock")
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            job = self.demo.submit("slow", {"seconds": 60})
            watching = self.demo.start("watch", "--json", job)
            watching.stdout.readline()
            watching.send_signal(number)
            _, said = watching.communicate(timeout=30)
            self.assertEqual(watching.returncode, code)
            self.assertIn("the job runs on", said)
            self.ends_with(0, "cancel", job)

    def test_errors_are_objects_with_json(self):
        error = json.loads(self.ends_with(5, "show", ABSENT, "--json").stderr)["error"]
        self.assertEqual(error["code"], "not_found")
        error = json.loads(self.ends_with(2, "submit", "no-such-kind", "--json").stderr)["error"]
        self.assertEqual((error["code"], error["field"]), ("invalid", "kind"))

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([BIN / "jobcast", "--version"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No space left", done.stderr)

    def test_the_demos_own_configs_are_good(self):
        for path, whose in (("engine.json", "engine"), ("host", "host")):
            done = json.loads(self.ends_with(0, "check-config", f"{self.demo.dir}/{path}", "--json").stdout)
            self.assertEqual((done["of"], done["ok"]), (whose, True))
        with tempfile.NamedTemporaryFile("w") as file:
            file.write('{"queue":{}}')
            file.flush()
            self.assertIn("queues", self.ends_with(1, "check-config", file.name).stderr)

    def test_a_token_of_the_demos_key_is_let_in(self):
        token = self.ends_with(0, "token", "--state-dir", self.demo.dir, "--user", "alice", "--expires-in", "60").stdout.strip()
        request = urllib.request.Request(f"http://127.0.0.1:{self.demo.said['port']}/jobcast/v1/jobs", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            self.assertEqual(json.load(answer)["jobs"], [])


class Bar(WithDemo):
    def watch(self, seconds, *words, **options):
        job = self.demo.submit("slow", {"seconds": seconds})
        self.addCleanup(self.demo.run, "cancel", job)
        return job, Terminal(BIN / "jobcast", "--socket", self.demo.said["engine_socket"], "watch", job, *words, **options)

    def test_the_bar_is_redrawn_in_place_and_ends_as_one_line(self):
        _, terminal = self.watch(2, env={"LC_ALL": "C.UTF-8", "NO_COLOR": ""})
        terminal.sees(r"▸ slow  ▕█+[▏▎▍▌▋▊▉]? *▏ +[1-9]\d?\.\d%.*/s  ETA ")
        self.assertFalse(terminal.cursor)
        self.assertIn("\x1b[36m", terminal.raw)
        self.assertEqual(terminal.ends(), 0)
        self.assertTrue(terminal.cursor)
        self.assertEqual(len(terminal.screen()), 1, terminal.screen())
        self.assertRegex(terminal.screen()[0], r"^✓ slow  completed in \d\.\d s$")
        self.assertGreater(len(set(re.findall(r"(\d+\.\d)%", terminal.raw))), 5)

    def test_no_color_and_an_ascii_locale_are_honoured(self):
        _, terminal = self.watch(1, env={"LC_ALL": "C", "NO_COLOR": "1"})
        terminal.sees(r"> slow  \[#+-+\]")
        self.assertEqual(terminal.ends(), 0)
        self.assertNotRegex(terminal.raw, r"\x1b\[[\d;]*m")
        self.assertTrue(terminal.raw.isascii())

    def test_a_dumb_terminal_gets_plain_lines(self):
        _, terminal = self.watch(1, env={"TERM": "dumb"})
        self.assertEqual(terminal.ends(), 0)
        self.assertNotIn("\x1b", terminal.raw)
        self.assertRegex(terminal.raw, r"slow running [1-9]0\.0% ")

    def test_a_resize_leaves_nothing_of_the_old_bar(self):
        _, terminal = self.watch(8, env={"LC_ALL": "C.UTF-8"})
        for columns in (30, 120, 16, 80):
            terminal.sees("%")
            terminal.resize(columns)
            drawn = len(terminal.raw)
            # A bar of the old width may still be on its way.
            until(f"one bar alone within {columns} columns", lambda: terminal.pump(0.05) and "%" in terminal.raw[drawn:]
                  and len(terminal.screen()) == 1 and len(terminal.screen()[0]) < columns)
        self.assertEqual(terminal.ends(), 0)
        self.assertEqual(len(terminal.screen()), 1, terminal.screen())

    def test_an_interrupt_gives_the_cursor_back(self):
        job, terminal = self.watch(60, env={"LC_ALL": "C.UTF-8"})
        terminal.sees("ETA")
        os.write(terminal.fd, b"\x03")
        self.assertEqual(terminal.ends(), 130)
        self.assertTrue(terminal.cursor)
        self.assertIn("the job runs on", " ".join(terminal.screen()))
        self.assertEqual(self.demo.show(job)["state"], "running")

    def test_several_jobs_have_a_line_each(self):
        jobs = [self.demo.submit("slow", {"seconds": 1}) for _ in range(3)] + [self.demo.submit("fails")]
        terminal = Terminal(BIN / "jobcast", "--socket", self.demo.said["engine_socket"], "watch", *jobs, env={"LC_ALL": "C.UTF-8"})
        terminal.sees("ETA")
        self.assertEqual(terminal.ends(), 3)
        self.assertEqual(len(terminal.screen()), 4, terminal.screen())
        for job, sign in zip(jobs, "✓✓✓✗"):
            self.assertTrue(any(line.startswith(sign) and job[28:] in line for line in terminal.screen()), terminal.screen())


if __name__ == "__main__":
    unittest.main()
