#!/usr/bin/env python3
"""`jobcast demo`: what it says, what it keeps alive, and that it leaves nothing behind."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import unittest
import urllib.request
from pathlib import Path

from support import BIN, PATIENCE_S, Demo, alive, descendants, until


def comm(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class Running(unittest.TestCase):
    def setUp(self):
        self.demo = Demo()

    def tearDown(self):
        if self.demo.child.poll() is None:
            self.assertEqual(self.demo.stop(), 0, self.demo.stderr())

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.demo.said['port']}{path}", timeout=10) as answer:
            return answer.status, answer.read()

    def test_the_first_line_says_where_everything_is(self):
        said = self.demo.said
        self.assertEqual(list(said), ["url", "port", "engine_socket", "state_dir", "user", "token", "admin_token", "pids"])
        self.assertEqual(said["url"], f"http://127.0.0.1:{said['port']}/#{said['token'].split('.')[2]}")
        self.assertEqual(self.get("/demo/token.txt")[1].decode(), said["token"].rsplit(".", 1)[0], "what is no secret of the token")
        self.assertEqual(said["pids"], {"engine": self.demo.pid_of("jobcastd"), "host": self.demo.pid_of("jobcast-host")})
        self.assertEqual(stat.S_IMODE(os.stat(f"{said['state_dir']}/hs256.key").st_mode), 0o600)
        self.assertEqual(self.get("/jobcast/health/ready")[0], 200)
        self.assertIn(b"<job-status-panel", self.get("/")[1])

    def test_a_killed_engine_comes_back_and_a_watcher_watches_on(self):
        job = self.demo.submit("slow", {"seconds": 5})
        watching = self.demo.start("watch", job)
        self.demo.reaches(job, "running")
        self.assertIn("slow", watching.stdout.readline())
        workers = descendants(self.demo.pid_of("jobcastd"))
        engine = self.demo.pid_of("jobcastd")
        os.kill(engine, signal.SIGKILL)
        until("a new engine", lambda: self.demo.pid_of("jobcastd") not in (None, engine))
        _, said = watching.communicate(timeout=PATIENCE_S)
        self.assertEqual(watching.returncode, 0, said)
        self.assertIn("the engine is gone", said)
        self.assertIn("the engine is back", said)
        ended = self.demo.show(job)
        self.assertEqual((ended["state"], ended["attempt"]), ("completed", 2))
        until("its workers are gone", lambda: not any(map(alive, workers)))
        self.assertIn(f"jobcastd (process {engine}) ended with signal 9 (Killed); starting it again", self.demo.stderr())

    def test_a_killed_worker_ends_completed(self):
        job = self.demo.submit("slow", {"seconds": 2})
        self.demo.reaches(job, "running")
        engine = self.demo.pid_of("jobcastd")
        worker = until("its worker", lambda: [pid for pid in descendants(engine) if comm(pid) == "sh"])[0]
        os.kill(worker, signal.SIGKILL)
        self.assertEqual(self.demo.reaches(job, "completed")["attempt"], 2)

    def test_a_killed_host_comes_back_on_its_port(self):
        host = self.demo.pid_of("jobcast-host")
        os.kill(host, signal.SIGKILL)

        def answers():
            try:
                return self.get("/jobcast/health/ready")[0] == 200
            except OSError:
                return False
        until("the host answers again", answers)
        self.assertNotEqual(self.demo.pid_of("jobcast-host"), host)
        self.assertIn(f"jobcast-host (process {host}) ended with signal 9", self.demo.stderr())

    def test_an_interrupt_ends_it_with_its_jobs(self):
        jobs = [self.demo.submit("slow", {"seconds": 60}) for _ in range(2)]
        for job in jobs:
            self.demo.reaches(job, "running")
        self.assertGreater(len(descendants(self.demo.child.pid)), 3)
        self.assertEqual(self.demo.stop(signal.SIGINT), 0)

    def test_what_a_killed_demo_started_ends_by_itself(self):
        self.demo.reaches(self.demo.submit("slow", {"seconds": 60}), "running")
        started = descendants(self.demo.child.pid)
        self.demo.child.kill()
        self.demo.child.wait()
        until("nothing is left", lambda: not any(map(alive, started)))
        self.demo.gone()


class StartAndEnd(unittest.TestCase):
    def refused(self, *words, program=BIN / "jobcast", code=None):
        done = subprocess.run([program, "demo", "--json", *words], capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
        self.assertEqual(done.stdout, "")
        self.assertNotEqual(done.returncode, 0)
        if code is not None:
            self.assertEqual(done.returncode, code)
        return done.stderr

    def stage(self):
        """The programs in a directory of the test's own, to be tampered with."""
        top = Path(tempfile.mkdtemp(prefix="jobcast-cli-"))
        self.addCleanup(shutil.rmtree, top)
        (top / "bin").mkdir()
        shutil.copy(BIN / "jobcast", top / "bin/jobcast")
        for name in ("jobcastd", "jobcast-host", "plo-equity"):
            (top / "bin" / name).symlink_to(BIN / name)
        (top / "lib").symlink_to(BIN.parent / "lib")
        return top / "bin"

    def test_a_temporary_state_directory_is_removed(self):
        for words in ([], ["--state-dir", ""]):
            child = subprocess.Popen([BIN / "jobcast", "demo", "--json", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            said = json.loads(child.stdout.readline())
            self.assertTrue(os.path.isdir(said["state_dir"]))
            child.terminate()
            self.assertEqual(child.wait(timeout=PATIENCE_S), 0)
            child.stdout.close()
            self.assertFalse(os.path.exists(said["state_dir"]))

    def test_people_are_told_an_address_and_what_to_try_below_the_log(self):
        child = subprocess.Popen([BIN / "jobcast", "demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        text = ""
        while "Ctrl-C" not in text:
            line = child.stdout.readline()
            self.assertTrue(line, text)
            text += line
        log, headline = text.split("\njobcast is running.", 1)
        self.assertIn("engine_attached", log)
        self.assertNotIn("level=", headline)
        url = next(line for line in headline.splitlines() if "http" in line)
        self.assertRegex(url, r"^  http://127\.0\.0\.1:\d+/#[\w-]{43}$")
        self.assertLessEqual(len(url), 80)
        self.assertIn("submit plo-equity", headline)
        for part, name in (("engine", "jobcastd"), ("host", "jobcast-host")):
            pid = int(re.search(rf"the {part}:\n    kill -9 (\d+)\n", headline).group(1))
            self.assertEqual(comm(pid), name)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(timeout=PATIENCE_S), 0)
        child.stdout.close()

    def test_sample_jobs_are_there_to_be_seen_and_only_once(self):
        with tempfile.TemporaryDirectory(prefix="jobcast-cli-") as top:
            seen = []
            for _ in range(2):
                demo = Demo(state_dir=f"{top}/state", keep=True, samples=True)
                seen.append(sorted(job["job_id"] for job in json.loads(demo.run("list", "--json", check=True).stdout)["jobs"]))
                self.assertEqual(demo.stop(), 0)
            self.assertEqual(len(seen[0]), 3)
            self.assertEqual(seen[0], seen[1])

    def test_a_second_run_finds_its_jobs_and_its_key(self):
        with tempfile.TemporaryDirectory(prefix="jobcast-cli-") as top:
            first = Demo(state_dir=f"{top}/state", keep=True)
            job = first.submit("fails")
            ended = first.reaches(job, "failed")
            token = first.said["token"]
            self.assertEqual(first.stop(), 0)
            second = Demo(state_dir=f"{top}/state", keep=True)
            try:
                self.assertEqual(second.show(job), ended)
                request = urllib.request.Request(f"http://127.0.0.1:{second.said['port']}/jobcast/v1/jobs/{job}", headers={"Authorization": f"Bearer {token}"})
                with urllib.request.urlopen(request, timeout=10) as answer:
                    self.assertEqual(json.load(answer), ended)
                self.assertIn("another demo runs", self.refused("--state-dir", f"{top}/state"))
            finally:
                self.assertEqual(second.stop(), 0)

    def test_a_state_directory_may_have_any_name(self):
        with tempfile.TemporaryDirectory(prefix="jobcast-cli-") as top:
            for name in ("two words, 'quoted'", 'a #1 "b" \\ é'):
                demo = Demo(state_dir=f"{top}/{name}", keep=True)
                demo.reaches(demo.submit("plo-equity", {"hands": ["AsAhKsKh", "8c7d6c5d"]}), "completed")
                self.assertEqual(demo.stop(), 0)

    def test_the_commands_to_try_can_be_pasted_into_a_shell(self):
        with tempfile.TemporaryDirectory(prefix="jobcast-cli-") as top:
            child = subprocess.Popen([BIN / "jobcast", "demo", "--state-dir", f"{top}/it's mine"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            text = ""
            while "Ctrl-C" not in text:
                line = child.stdout.readline()
                self.assertTrue(line, text)
                text += line
            command = next(line for line in text.splitlines() if "submit plo-equity" in line)
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=4 * PATIENCE_S, stdin=subprocess.DEVNULL)
            child.terminate()
            self.assertEqual(child.wait(timeout=PATIENCE_S), 0)
            child.stdout.close()
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_demo_that_follows_a_killed_one_waits_for_its_engine_to_end(self):
        with tempfile.TemporaryDirectory(prefix="jobcast-cli-") as top:
            kinds = Path(top, "kinds")
            kinds.write_text(json.dumps({"deaf": {"argv": ["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"],
                                                  "grace_ms": 1500, "progress": "none"}}))
            first = Demo("--kinds", kinds, state_dir=f"{top}/state", keep=True)
            job = first.submit("deaf")
            until("it is deaf", lambda: first.run("logs", job).stdout == "deaf\n")
            engine = first.pid_of("jobcastd")
            first.child.kill()
            first.child.wait()
            first.gone()
            second = Demo("--kinds", kinds, state_dir=f"{top}/state", keep=True)
            self.assertIn(f"the engine of an earlier demo (process {engine}) is still ending", second.stderr())
            self.assertFalse(alive(engine))
            self.assertEqual(second.show(job)["job_id"], job)
            self.assertEqual(second.stop(), 0)

    def test_a_port_that_is_taken_is_named(self):
        with socket.socket() as taken, tempfile.TemporaryDirectory(prefix="jobcast-cli-") as top:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            said = self.refused("--port", port, "--state-dir", f"{top}/state", code=1)
            self.assertIn(port, said)
            self.assertIn("jobcast-host", said)
            self.assertEqual(os.listdir(top), [], "what it made is gone again")

    def test_a_missing_program_is_named(self):
        place = self.stage()
        (place / "jobcastd").unlink()
        self.assertIn("jobcastd is missing (sought in", self.refused(program=place / "jobcast", code=1))

    def test_a_bad_state_directory_is_named(self):
        with tempfile.TemporaryDirectory(prefix="jobcast-cli-") as top:
            Path(top, "mine").write_text("precious")
            self.assertIn("neither empty nor a demo's", self.refused("--state-dir", top))
            self.assertIn("mine", self.refused("--state-dir", f"{top}/mine"))
            self.assertIn("too long a path", self.refused("--state-dir", f"{top}/{'x' * 100}"))
            self.assertEqual(os.listdir(top), ["mine"])

    def test_a_part_that_does_not_start_ends_the_demo(self):
        place = self.stage()
        (place / "jobcast-host").unlink()
        (place / "jobcast-host").write_text("#!/bin/sh\necho 'no, not today' >&2\nexit 9\n")
        (place / "jobcast-host").chmod(0o755)
        said = self.refused(program=place / "jobcast", code=1)
        self.assertIn("no, not today", said)
        self.assertIn("jobcast-host (process", said)
        self.assertIn("exit code 9", said)

    def test_a_part_that_does_not_stay_up_is_given_up(self):
        place = self.stage()
        (place / "jobcastd").unlink()
        (place / "jobcastd").write_text(f'#!/bin/sh\n[ -e "$0.once" ] && exit 9\n: > "$0.once"\nexec {BIN}/jobcastd "$@"\n')
        (place / "jobcastd").chmod(0o755)
        demo = Demo(program=place / "jobcast")
        os.kill(demo.said["pids"]["engine"], signal.SIGKILL)
        self.assertEqual(demo.child.wait(timeout=PATIENCE_S), 1)
        demo.gone()
        self.assertIn("again and again: giving up", demo.stderr())
        self.assertFalse(any(map(alive, demo.said["pids"].values())))

    def test_further_kinds_are_taken_in(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write('{"echo":{"argv":["/bin/echo"],"argv_from_args":["text"],"progress":"none"}}')
            file.flush()
            demo = Demo("--kinds", file.name)
        job = demo.submit("echo", {"text": "hello"})
        demo.reaches(job, "completed")
        self.assertEqual(demo.run("logs", job).stdout, "hello\n")
        self.assertEqual(demo.stop(), 0)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write('{"echo":{"argv":["echo"]}}')
            file.flush()
            self.assertIn("kinds.echo.argv", self.refused("--kinds", file.name, code=1))


class Installed(unittest.TestCase):
    def test_what_is_installed_finds_its_parts(self):
        with tempfile.TemporaryDirectory(prefix="jobcast-cli-") as top:
            subprocess.run(["cmake", "--install", BIN.parent, "--prefix", top], check=True, stdout=subprocess.DEVNULL)
            demo = Demo(program=f"{top}/bin/jobcast")
            config = Path(demo.dir, "host/conf.d/jobcast").read_text() + Path(demo.dir, "host/conf").read_text()
            self.assertIn(f"file://{top}/share/jobcast/client", config)
            self.assertRegex(config, rf'"plugin-dir":"{top}/lib[^"]*/jobcast"')
            demo.reaches(demo.submit("plo-equity", {"hands": ["AsAhKsKh", "8c7d6c5d"], "board": "2c2d2h9s"}), "completed")
            self.assertEqual(demo.stop(), 0)
            for page in ("man1/jobcast.1", "man8/jobcastd.8", "man8/jobcast-host.8"):
                self.assertIn(".SH NAME", Path(top, "share/man", page).read_text())
            for script in ("bash-completion/completions/jobcast", "zsh/vendor-completions/_jobcast", "fish/vendor_completions.d/jobcast.fish"):
                self.assertIn("check-config", Path(top, "share", script).read_text())
            self.assertEqual(subprocess.run(["bash", "-n", f"{top}/share/bash-completion/completions/jobcast"]).returncode, 0)


if __name__ == "__main__":
    unittest.main()
