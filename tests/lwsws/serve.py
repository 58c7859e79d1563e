#!/usr/bin/env python3
"""Takes the options of `jobcast demo` and prints its JSON line, with a real lwsws in jobcast-host's place: for JOBCAST_TEST_SERVER.

demo finds its programs beside itself, so it gets a folder of its own in which `jobcast-host` is this file. Called under that name it
translates nothing: lwsws reads the configuration that demo wrote for jobcast-host, word for word, but for port 0, which lwsws does not know.
lwsws's serving child survives the end of its parent, so both are ended here, and both end when this process is killed.
Standard library only."""

import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 15, 36
libc = ctypes.CDLL(None)


def demo(options):
    binaries = Path(os.environ["JOBCAST_BIN"]).resolve()
    lwsws = subprocess.run([str(HERE / "get-lwsws"), "--cached"], check=True, capture_output=True, text=True).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="jobcast-lwsws-") as tree:
        folder = Path(tree) / "bin"
        folder.mkdir()
        shutil.copy2(binaries / "jobcast", folder)  # a copy: demo looks where the file itself stands
        for name in ("jobcastd", "plo-equity"):
            (folder / name).symlink_to(binaries / name)
        plugins = Path(tree) / "lib"  # of its own: lws 4.1 gives up the scan at the first file that is no plugin
        plugins.mkdir()
        (plugins / "libprotocol_jobcast.so").symlink_to(binaries.parent / "lib" / "libprotocol_jobcast.so")
        host = folder / "jobcast-host"
        host.write_text(f'#!/bin/sh\nexec {sys.executable} "{Path(__file__).resolve()}" --as-host "$@"\n')
        host.chmod(0o755)
        child = subprocess.Popen([str(folder / "jobcast"), "demo", *options], env={**os.environ, "JOBCAST_LWSWS": lwsws})
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda caught, _: child.send_signal(caught))
        return child.wait()


def children(pid):
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def end_with_this_process():
    """A process that kills those whose numbers are written to what this returns, once this process is gone, however it went."""
    heard, told = os.pipe()
    if os.fork() != 0:
        os.close(heard)
        return told
    os.close(told)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    words = b""
    while more := os.read(heard, 256):
        words += more
    for pid in words.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass
    os._exit(0)


def host(options):
    config = Path(options[options.index("--config") + 1] if "--config" in options else options[options.index("-c") + 1])
    if "--check-config" in options:
        return 0
    libc.prctl(PR_SET_NAME, b"jobcast-host")
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    site = config / "conf.d" / "jobcast"
    text = site.read_text()
    port = int(re.search(r'"port":"(\d+)"', text).group(1))
    if port == 0:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        site.write_text(text.replace('"port":"0"', f'"port":"{port}"'))
    site.write_text(site.read_text().replace('"interface":"127.0.0.1"', '"interface":"lo"'))
    told = end_with_this_process()
    parent = subprocess.Popen([os.environ["JOBCAST_LWSWS"], "-n", "-c", str(config), "-d", "7"], stdout=sys.stderr)
    os.write(told, b"%d\n" % parent.pid)
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(True))
    ready = False
    while not stopping and parent.poll() is None:
        if not ready:
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                ready = True
                os.write(told, b"".join(b"%d\n" % pid for pid in children(parent.pid)))
                print(json.dumps({"port": port}), flush=True)
            except OSError:
                pass
        time.sleep(0.02 if not ready else 0.1)
    serving = children(parent.pid)
    for pid in serving:
        os.kill(pid, signal.SIGINT)
    parent.kill()
    for pid in [parent.pid, *serving]:
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass
    return 0 if stopping else 1


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(host(words[1:]) if words[:1] == ["--as-host"] else demo(words))
