#!/usr/bin/env python3
"""Every count of docs/observability.md moves: what a scrape shows is counted for real. What is hard to bring about here, another test asserts."""
import json, os, re, resource, threading, time, unittest

from support import Host, Ws, until

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def documented():
    return set(re.findall(r"^\| `(jobcast_\w+)` \|", read("docs/observability.md"), re.M))


# Counts that no test moves for sure, with the reason.
UNMOVED = dict.fromkeys(("jobcast_verifications_put_off_total", "jobcast_verifications_waited_total"),
                        "it takes a quarter of a core's time in signatures, which a busy machine does not give")


def asserted_elsewhere(name):
    """Whether a line of another test would fail if this count stood still: a comparison with more than zero, or than it was. A line that prints it, or
    that wants zero, proves nothing."""
    declaration = re.compile(rf'(?:Counter|Gauge) (\w+)\{{\*this, "{name.removesuffix("_total")}"')
    member = next(found.group(1) for path in files("lws-plugin", ".h") if (found := declaration.search(read(path))))
    count = rf'(?:"{name}"|\b(?:stats\(\)|counters)\.{member}\b)'
    risen = re.compile(rf'{count}\)*(?: > |, [1-9]| [=>]= [1-9]|, \w+ \+ [1-9])|assertGreater\([^;]*{count}|waits_for\("{name}"\)')
    return any(risen.search(read(path)) for path in files("tests", (".py", ".cpp", ".mjs")) if not path.endswith("plugin/metrics.py"))


def files(folder, ends):
    for place, below, names in os.walk(os.path.join(ROOT, folder)):
        below[:] = [name for name in below if name != "node_modules"]
        yield from (os.path.relpath(os.path.join(place, name), ROOT) for name in names if name.endswith(ends))


class Metrics(unittest.TestCase):
    def setUp(self):
        self.moved = set()

    def look(self, host):
        for line in host.get("/jobcast/metrics", token=None)[2].decode().splitlines():
            if not line.startswith("#") and int(line.split()[1]) > 0:
                self.moved.add(line.split()[0])

    def ordinary_hours(self, host):
        followed = host.submit()
        client = Ws(host)
        client.authenticate(host.token)
        client.send("subscribe_job", {"job_id": followed})
        client.next("subscribed")
        host.engine.say("progress", followed, 7)
        client.next("job_update")
        self.assertEqual(host.request("POST", "/jobcast/v1/tickets")[0], 201)
        stream = host.connect()
        stream.sendall(f"GET /jobcast/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {host.token}\r\n\r\n".encode())
        until("a stream is open", lambda: host.metric("jobcast_sse_streams_total") == 1)
        stream.close()
        etag = host.get(f"/jobcast/v1/jobs/{followed}")[1]["etag"]
        poll = threading.Thread(target=host.get, args=(f"/jobcast/v1/jobs/{followed}",), kwargs={"headers": {"If-None-Match": etag, "Prefer": "wait=20"}})
        poll.start()
        until("the poll is held", lambda: host.metric("jobcast_waiters") == 1)
        self.look(host)
        host.engine.say("finish", followed, "completed")
        client.next("job_completed")
        poll.join()
        return client

    def mistakes(self, host):
        self.assertEqual(host.get("/jobcast/v1/jobs/nonsense")[0], 404)
        host.raw(b"GET /jobcast/health/live%0a HTTP/1.1\r\nHost: x\r\n\r\n", 2)
        with Ws(host, headers={"Authorization": "Bearer nonsense"}) as refused:
            self.assertNotEqual(refused.status, 101)
        with Ws(host) as stranger:
            stranger.send("authenticate", {"token": "nonsense"})
            stranger.next("auth_error")
        with Ws(host) as talker:
            talker.socket.sendall(talker.frame(1, b"x" * 2000))
            talker.closed_with()
        late = host.connect()
        late.sendall(b"POST /jobcast/v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + host.token.encode() + b"\r\nContent-Length: 100\r\n\r\n{")
        until("the body is late", lambda: host.metric("jobcast_http_bodies_late_total") > 0)
        late.close()

    def silence(self, host, client):
        """The client answers no ping, and the engine no call."""
        until("the silent client is dropped", lambda: host.metric("jobcast_ws_silent_total") > 0)
        client.socket.close()
        host.engine.say("quiet", "on")
        large = {"kind": "puppet", "args": {"text": "x" * 60_000}}
        calls = [threading.Thread(target=host.request, args=("POST", "/jobcast/v1/jobs", large)) for _ in range(12)]
        for call in calls:
            call.start()
        until("more waits than a socket takes", lambda: host.metric("jobcast_engine_calls_waiting_bytes") > 0)
        self.look(host)
        host.engine.say("quiet", "off")
        for call in calls:
            call.join()
        host.engine.say("quiet", "on")
        cut_off = threading.Thread(target=host.get, args=("/jobcast/v1/queues",))
        cut_off.start()
        time.sleep(0.3)  # the engine has the call
        host.engine.kill()
        cut_off.join()
        until("a call fails", lambda: host.get("/jobcast/v1/queues")[0] >= 500)

    def held_starts(self, host):
        """Starts that are held are shown until they succeed."""
        engine = host.engine.child.pid
        limits = resource.prlimit(engine, resource.RLIMIT_NOFILE)
        self.assertEqual(host.metric("jobcast_engine_starts_held"), 0)
        resource.prlimit(engine, resource.RLIMIT_NOFILE, (1 + max(int(fd) for fd in os.listdir(f"/proc/{engine}/fd")), limits[1]))
        self.assertEqual(host.request("POST", "/jobcast/v1/jobs", {"kind": "puppet"})[0], 201)
        until("the start is held", lambda: host.metric("jobcast_engine_starts_held") == 1)
        self.assertGreater(host.metric("jobcast_engine_starts_put_off"), 0)
        self.look(host)
        host.engine.say("quiet", "on")
        self.assertNotIn(b"starts_held", host.get("/jobcast/metrics", token=None)[2])
        host.engine.say("quiet", "off")
        resource.prlimit(engine, resource.RLIMIT_NOFILE, limits)
        until("it is started", lambda: host.metric("jobcast_engine_starts_held") == 0)

    def test_every_documented_count_moves(self):
        with Host({"message-bytes": 1024, "engine-calls-max": 8, "body-time": 1, "ping-interval": 1, "ping-timeout": 1}) as host:
            client = self.ordinary_hours(host)
            self.mistakes(host)
            self.held_starts(host)
            self.silence(host, client)
            self.look(host)
        names = documented()
        self.assertGreater(len(names), 40)
        self.assertFalse(self.moved - names, "counts that docs/observability.md does not name")
        self.assertFalse({name for name in names - self.moved - set(UNMOVED) if not asserted_elsewhere(name)}, "counts that nothing moves")


if __name__ == "__main__":
    unittest.main()
