"""A demo, a terminal and a few waits for the command's tests. Standard library only; no test sleeps to synchronise."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
from pathlib import Path

BIN = Path(os.environ.get("JOBCAST_BIN", Path(__file__).resolve().parents[2] / "build/bin"))
PATIENCE_S = 30


def until(what, condition, seconds=PATIENCE_S):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def alive(pid):
    """Zombies do not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found


def jobcast(*words, check=False, **options):
    """Runs the command to its end; standard input is empty unless given."""
    options.setdefault("input", "")
    done = subprocess.run([BIN / "jobcast", *words], capture_output=True, text=True, timeout=120, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"jobcast {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return done


class Demo:
    """`jobcast demo --json` on a state directory of its own."""

    def __init__(self, *words, program=BIN / "jobcast", state_dir=None, keep=False, samples=False):
        self.keep = keep
        self.temporary = state_dir or tempfile.mkdtemp(prefix="jobcast-cli-")
        self.errors = tempfile.TemporaryFile("w+")
        self.child = subprocess.Popen([program, "demo", "--json", "--state-dir", self.temporary, *([] if samples else ["--no-samples"]), *words], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=self.errors, text=True)
        line = self.child.stdout.readline()
        if not line:
            code = self.child.wait()
            self.gone()
            raise AssertionError(f"the demo ended with {code}: {self.stderr()}")
        self.said = json.loads(line)
        self.dir = self.said["state_dir"]

    def stderr(self):
        if not self.errors.closed:
            self.said_errors = Path(f"/proc/self/fd/{self.errors.fileno()}").read_text()
        return self.said_errors

    def gone(self):
        """It has ended: gives back what the test held of it."""
        self.stderr()
        self.errors.close()
        self.child.stdout.close()
        if not self.keep:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def run(self, *words, **options):
        return jobcast(*words, env={**os.environ, "JOBCAST_SOCKET": self.said["engine_socket"]}, **options)

    def start(self, *words, **options):
        """A command that runs on; its output is piped."""
        return subprocess.Popen([BIN / "jobcast", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**os.environ, "JOBCAST_SOCKET": self.said["engine_socket"]}, **options)

    def submit(self, kind, args=None, *words):
        return self.run("submit", kind, "--args", json.dumps(args or {}), *words, check=True).stdout.strip()

    def show(self, job):
        return json.loads(self.run("show", job, "--json", check=True).stdout)

    def reaches(self, job, state):
        return until(f"{job} is {state}", lambda: (seen := self.show(job))["state"] == state and seen)

    def pid_of(self, part):
        for pid in Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split():
            try:
                if Path(f"/proc/{pid}/comm").read_text().strip() == part and alive(pid):
                    return int(pid)
            except OSError:
                pass
        return None

    def stop(self, number=signal.SIGTERM):
        """Ends it and answers its exit code; whatever it had started must be gone."""
        started = descendants(self.child.pid)
        self.child.send_signal(number)
        code = self.child.wait(timeout=PATIENCE_S)
        left = [pid for pid in started if alive(pid)]
        self.gone()
        if left:
            raise AssertionError(f"left behind: {left}")
        return code


class Terminal:
    """A program on a pseudo-terminal, and what a person would see of it."""

    def __init__(self, *words, columns=80, rows=24, env=None):
        self.columns, self.rows = columns, rows
        self.raw = ""
        self.lines, self.row, self.column, self.cursor, self.wraps = ["$ jobcast", ""], 1, 0, True, True  # what stood there before stays
        self.exit = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execve(words[0], [str(word) for word in words], {**os.environ, "TERM": "xterm", **(env or {})})
            finally:
                os._exit(127)
        self.resize(columns)

    def resize(self, columns):
        """As most terminals do: lines that have become too long wrap."""
        wrapped, row = [], 0
        for i, line in enumerate(self.lines):
            if i == self.row:
                row = len(wrapped) + self.column // columns
            wrapped += [line[at:at + columns] for at in range(0, max(1, len(line)), columns)]
        self.lines, self.row, self.column, self.columns = wrapped, row, self.column % columns, columns
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, columns, 0, 0))

    def pump(self, seconds):
        """Takes in what comes within the time. False: the program has ended."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            text = os.read(self.fd, 65536).decode("utf-8", "replace")
        except OSError:
            text = ""
        if not text:
            if self.exit is None:
                self.exit = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return False
        self.raw += text
        self._show(text)
        return True

    def _show(self, text):
        for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|.", text, re.S):
            if part == "\r":
                self.column = 0
            elif part == "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
            elif part.startswith("\x1b["):
                self._control(part[2:-1], part[-1])
            else:
                if self.column == self.columns and self.wraps:
                    self._show("\r\n")
                self.column = min(self.column, self.columns - 1)
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[:self.column] + part + line[self.column + 1:]
                self.column += 1

    def _control(self, number, what):
        if what == "A":
            self.row = max(0, self.row - int(number or 1))
        elif what == "K":
            self.lines[self.row] = self.lines[self.row][:self.column]
        elif what == "J":
            self.lines[self.row] = self.lines[self.row][:self.column]
            del self.lines[self.row + 1:]
        elif what in "hl" and number == "?7":
            self.wraps = what == "h"
        elif what in "hl" and number == "?25":
            self.cursor = what == "h"
        elif what != "m":
            raise AssertionError(f"an escape sequence that was not expected: {number}{what}")

    def screen(self):
        """What the program shows, below what stood there before."""
        lines = [line.rstrip() for line in self.lines if line.strip()]
        if lines[0] != "$ jobcast":
            raise AssertionError(f"what stood above was overwritten: {lines}")
        return lines[1:]

    def sees(self, pattern, seconds=PATIENCE_S):
        def look():
            self.pump(0.05)
            return re.search(pattern, "\n".join(self.screen()))
        try:
            return until(pattern, look, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen: {self.screen()}") from None

    def ends(self, seconds=PATIENCE_S):
        end = time.monotonic() + seconds
        while self.pump(0.05):
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"it does not end; the screen: {self.screen()}")
        os.close(self.fd)
        return self.exit
