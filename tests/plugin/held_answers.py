"""Streams and long polls whose client leaves, half-leaves or chatters; and a host that is stopped, overtaken or short of descriptors."""
import json, os, signal, socket, struct, subprocess, tempfile, time, unittest
from support import LIB, LWS_VERSION, LWSWS, OTHER_LWS, Host, Ws, in_order, open_ws, read_all, until


class Held(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host({"sse-keepalive": "1"})

    @classmethod
    def tearDownClass(cls):
        cls.host.stop()

    def open(self, what):
        job = self.host.submit()
        connection = self.host.connect()
        etag = self.host.get(f"/jobcast/v1/jobs/{job}")[1]["etag"]
        path = f"/jobcast/v1/jobs/{job}" + ("/events" if what == "stream" else "")
        extra = "" if what == "stream" else f"If-None-Match: {etag}\r\nPrefer: wait=50\r\n"
        before = self.host.metric("jobcast_sse_streams_total") + self.host.metric("jobcast_http_polls_total")
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {self.host.token}\r\n{extra}\r\n".encode())
        until("it is held", lambda: self.host.metric("jobcast_sse_streams_total") + self.host.metric("jobcast_http_polls_total") > before)
        return job, connection

    def test_client_that_leaves_is_noticed_and_costs_nothing(self):
        def reset(connection):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        ways = {"closes": lambda c: c.close(), "half-closes": lambda c: c.shutdown(socket.SHUT_WR), "resets": reset,
                "chatters and closes": lambda c: (c.sendall(b"x" * 1000), c.close())}
        for what in ("stream", "poll"):
            for name, leave in ways.items():
                with self.subTest(what=what, way=name):
                    gone = self.host.metric("jobcast_http_holders_gone_total")
                    _, connection = self.open(what)
                    cpu = self.host.cpu_seconds()
                    leave(connection)
                    start = time.monotonic()
                    until("it is noticed", lambda: self.host.metric("jobcast_http_holders_gone_total") > gone or (self.host.metric("jobcast_sessions") == 0 and self.host.metric("jobcast_waiters") == 0), 3)
                    time.sleep(0.5)
                    self.assertLess(self.host.cpu_seconds() - cpu, 0.3, f"spins: {time.monotonic() - start:.1f} s")
                    connection.close()
        until("nothing is left", lambda: self.host.metric("jobcast_sessions") == 0 and self.host.metric("jobcast_waiters") == 0)

    def test_client_that_chatters_into_a_poll_burns_nothing_and_is_answered_in_order(self):
        job, connection = self.open("poll")
        connection.sendall(b"GET /jobcast/health/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        cpu = self.host.cpu_seconds()
        time.sleep(1)
        self.assertLess(self.host.cpu_seconds() - cpu, 0.3)
        self.host.engine.say("progress", job, 3)
        data = read_all(connection)
        self.assertTrue(in_order([word for word in (b'"done":3', b'"live"') if word in data], [b'"done":3', b'"live"']), data)
        connection.close()

    def test_poll_answers_with_the_change(self):
        job, connection = self.open("poll")
        start = time.monotonic()
        self.host.engine.say("progress", job, 4)
        self.assertIn(b'"done":4', connection.recv(65536))
        self.assertLess(time.monotonic() - start, 0.2)
        connection.close()

    def test_poll_gives_nothing_after_the_end_of_its_token(self):
        job = self.host.submit()
        etag = self.host.get(f"/jobcast/v1/jobs/{job}")[1]["etag"]
        with self.host.connect() as connection:
            connection.sendall(f"GET /jobcast/v1/jobs/{job} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {self.host.token_for('alice', seconds=2)}\r\n"
                               f"If-None-Match: {etag}\r\nPrefer: wait=50\r\n\r\n".encode())
            self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 401"))

    def test_stream_begins_with_a_time_to_come_back_that_differs(self):
        times = set()
        for _ in range(4):
            _, connection = self.open("stream")
            data = b""
            while b"job_update" not in data:
                data += connection.recv(65536)
            first = data.split(b"\r\n\r\n", 1)[1].split(b"\n\n")[0]
            self.assertRegex(first, rb"^retry: \d+$")
            times.add(int(first[7:]))
            connection.close()
        self.assertGreater(len(times), 1)
        self.assertTrue(all(500 <= time < 3500 for time in times), times)

    def test_stream_is_kept_alive_by_comments(self):
        _, connection = self.open("stream")
        data = b""
        while b"\n:\n\n" not in data and not data.endswith(b"\n\n:\n\n"):
            data += connection.recv(65536)
        connection.close()

    def test_stream_of_a_client_that_takes_nothing_is_ended(self):
        job = self.host.submit(meta={"filler": "x" * 1000})
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", self.host.port))
        connection.sendall(f"GET /jobcast/v1/jobs/{job}/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {self.host.token}\r\n\r\n".encode())
        connection.recv(4096)
        before = self.host.metric("jobcast_sse_stalled_total")
        self.host.engine.say("flood", job, 3000)
        until("it is ended", lambda: self.host.metric("jobcast_sse_stalled_total") > before, 10)
        until("nothing is left", lambda: self.host.metric("jobcast_sessions") == 0)
        connection.close()

    def test_stream_resumes_after_the_last_event_id(self):
        job, connection = self.open("stream")
        self.host.engine.say("progress", job, 1)
        data = b""
        while b'"done":1' not in data:
            data += connection.recv(65536)
        last = data.rsplit(b"id: ", 1)[1].split(b"\n")[0].decode()
        connection.close()
        with self.host.connect() as again:
            again.sendall(f"GET /jobcast/v1/jobs/{job}/events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: {last}\r\nAuthorization: Bearer {self.host.token}\r\n\r\n".encode())
            head = again.recv(65536)
            self.assertNotIn(b'"done":1', head)
            self.host.engine.say("finish", job, "completed")
            data = b""
            while b"job_completed" not in data:
                data += again.recv(65536)

    def test_stream_of_a_user_shows_all_of_his_jobs(self):
        with self.host.connect() as connection:
            connection.sendall(f"GET /jobcast/v1/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {self.host.token_for('carol')}\r\n\r\n".encode())
            self.assertIn(b"text/event-stream", connection.recv(65536))
            theirs = self.host.submit()
            status, _, body = self.host.request("POST", "/jobcast/v1/jobs", {"kind": "puppet"}, token=self.host.token_for("carol"))
            mine = json.loads(body)["job_id"]
            data = b""
            while mine.encode() not in data:
                data += connection.recv(65536)
            self.assertNotIn(theirs.encode(), data)


class EngineComesAndGoes(unittest.TestCase):
    def test_engine_that_dies_is_stale_and_back_within_a_second(self):
        with Host() as host:
            job = host.submit()
            host.engine.say("progress", job, 50)
            with open_ws(host) as ws:
                ws.send("subscribe_job", {"job_id": job})
                ws.next("subscribed")
                fresh = until("the snapshot is known", lambda: (lambda a: b'"done":50' in a[2] and a)(host.get(f"/jobcast/v1/jobs/{job}")))
                host.engine.kill()
                self.assertEqual(ws.next("engine")["data"], {"stale": True})
                status, headers, body = host.get(f"/jobcast/v1/jobs/{job}")
                self.assertEqual((status, headers["jobcast-stale"], body), (200, "1", fresh[2]))
                status, headers, _ = host.request("POST", "/jobcast/v1/jobs", {"kind": "puppet"})
                self.assertEqual((status, headers["retry-after"]), (503, "1"))
                self.assertEqual(host.get("/jobcast/health/ready", token=None)[0], 503)
                self.assertEqual(host.get("/jobcast/health/live", token=None)[0], 200)
                time.sleep(2)  # as long as the delays have grown
                start = time.monotonic()
                host.engine.start()
                self.assertEqual(ws.next("engine")["data"], {"stale": False})
                self.assertLess(time.monotonic() - start, 1)
                lost = ws.next("job_completed")["data"]
                self.assertEqual((lost["state"], lost["reason"], lost["progress"]["done"]), ("failed", "worker_lost", 50))

    def test_reader_that_was_overtaken_catches_up(self):
        with Host() as host:
            job = host.submit()
            with open_ws(host) as ws:
                ws.send("subscribe_job", {"job_id": job})
                ws.next("subscribed")
                os.kill(host.pid, signal.SIGSTOP)
                host.engine.say("flood", job, 500)
                host.engine.say("finish", job, "completed")
                os.kill(host.pid, signal.SIGCONT)
                self.assertEqual(ws.next("job_completed")["data"]["state"], "completed")
            self.assertGreaterEqual(host.metric("jobcast_lane_laps_total"), 1)

    def test_without_an_engine_the_host_idles(self):
        with Host(plain=True) as host:
            self.assertEqual(host.get("/jobcast/v1/jobs")[0], 503)
            cpu = host.cpu_seconds()
            time.sleep(2)
            self.assertLess(host.cpu_seconds() - cpu, 0.05)


class Process(unittest.TestCase):
    def test_idle_host_sleeps(self):
        with Host() as host, open_ws(host):
            cpu = host.cpu_seconds()
            time.sleep(3)
            self.assertLess(host.cpu_seconds() - cpu, 0.03)

    def test_connections_are_capped_and_nothing_spins(self):
        with Host({"connections-max": "20"}) as host:
            connections = [open_ws(host) for _ in range(20)] + [host.connect(2) for _ in range(40)]  # idle ones would make room for each other
            time.sleep(0.3)
            cpu = host.cpu_seconds()
            time.sleep(1)
            self.assertLess(host.cpu_seconds() - cpu, 0.1)
            for connection in connections:
                connection.close()
            until("they are let in again", lambda: self.lets_in(host))
            self.assertGreaterEqual(host.metric("jobcast_connections_refused_total"), 30)

    def lets_in(self, host):
        try:
            return host.get("/jobcast/health/live")[0] == 200
        except OSError:
            return False

    @unittest.skipIf(LWSWS, "the trick with the soft limit is jobcast-host's")
    def test_descriptors_never_run_out(self):
        with Host(global_options={"rlimit-nofile": "256"}) as host:
            connections = [host.connect(2) for _ in range(400)]
            time.sleep(0.3)
            cpu = host.cpu_seconds()
            time.sleep(1)
            self.assertLess(host.cpu_seconds() - cpu, 0.1)
            for connection in connections:
                connection.close()
            until("they are let in again", lambda: self.lets_in(host))

    @unittest.skipIf(LWSWS, "lwsws ends without a word")
    def test_end_of_the_host_tells_clients_to_come_back(self):
        host = Host()
        with open_ws(host) as ws:
            host.parent.send_signal(signal.SIGTERM)
            self.assertEqual(ws.closed_with(), 1001)
        host.stop()

    def test_verbose_reaches_the_plugins_log(self):
        for arguments, said in (((), False), (("-v",), True)):
            host = Host(plain=True, arguments=arguments)
            with Ws(host) as ws:
                session = ws.next("connected")["data"]["session"]
            log = host.stop()
            self.assertIn("event=vhost_ready", log)
            if not LWSWS:
                self.assertEqual(f"event=ws_opened session={session}" in log, said, log)

    def test_rotated_key_ends_what_its_tokens_let_in(self):
        host = Host({"key-grace": "2"})
        job = host.submit()
        etag = host.get(f"/jobcast/v1/jobs/{job}")[1]["etag"]
        ticket = json.loads(host.request("POST", "/jobcast/v1/tickets")[2])["ticket"]
        with Ws(host) as ws, host.connect() as stream, host.connect() as poll:
            ws.authenticate(host.token)
            stream.sendall(f"GET /jobcast/v1/jobs/{job}/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {host.token}\r\n\r\n".encode())
            poll.sendall((f"GET /jobcast/v1/jobs/{job} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {host.token}\r\n"
                          f"If-None-Match: {etag}\r\nPrefer: wait=60\r\n\r\n").encode())
            self.assertIn(b"200 OK", stream.recv(65536))
            key = os.urandom(32).hex().encode()
            path = os.path.join(host.dir, "key")
            with open(path + ".new", "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(key)
            os.rename(path + ".new", path)
            begin = time.monotonic()
            ws.next("auth_expiring")
            self.assertEqual(ws.next("auth_error")["data"]["code"], "token_revoked")
            self.assertIn(b"token_revoked", read_all(stream))
            self.assertIn(b"HTTP/1.1 401", poll.recv(65536))
            self.assertLess(time.monotonic() - begin, 8)
            self.assertEqual(host.get("/jobcast/v1/jobs")[0], 401)
            self.assertEqual(host.get(f"/jobcast/v1/jobs?ticket={ticket}", token=None)[0], 401)
            host.key = key
            ws.authenticate(host.token_for("alice"))
        host.stop()

    def test_key_that_strangers_can_read_is_refused(self):
        with tempfile.TemporaryDirectory() as dir:
            path = os.path.join(dir, "key")
            with open(path, "w") as file:
                file.write("x" * 32)
            os.chmod(path, 0o644)
            host = Host({"key": "HS256:" + path}, plain=True)
            self.assertEqual(host.get("/jobcast/v1/jobs")[0], 503)
            self.assertIn("chmod o-rwx " + path, host.stop())

    @unittest.skipIf(LWSWS, "SIGTERM is no end for lwsws")
    def test_sigterm_ends_the_host_at_once_while_a_ws_and_a_stream_are_open(self):
        for loop in ("poll", "libuv"):
            host = Host(arguments=("--loop", loop))
            job = host.submit()
            with open_ws(host), host.connect() as stream, host.connect():
                stream.sendall(f"GET /jobcast/v1/jobs/{job}/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {host.token}\r\n\r\n".encode())
                self.assertIn(b"200", stream.recv(65536))
                host.parent.send_signal(signal.SIGTERM)
                self.assertEqual(host.parent.wait(5), 0)
            host.stop()

    def test_option_that_makes_no_sense_is_named_and_the_vhost_answers_503(self):
        for options, word in (({"colour": "red"}, "colour"), ({"body-bytes": "many"}, "body-bytes"), ({"key": "HS256:/nonexistent"}, "key"), ({"origin": "app.example"}, "origin")):
            host = Host(options, plain=True)
            try:
                self.assertEqual(host.get("/jobcast/v1/jobs")[0], 503)
                self.assertEqual(host.get("/jobcast/health/live")[0], 200)
                with Ws(host) as ws:
                    self.assertEqual(ws.status, 503)
            finally:
                self.assertIn(word, host.stop())

    def test_library_of_another_version_than_the_headers_is_refused_by_name(self):
        env = {"LD_PRELOAD": OTHER_LWS, "ASAN_OPTIONS": "verify_asan_link_order=0"}
        said = r"compiled for libwebsockets " + r"\.".join(map(str, LWS_VERSION)) + r"\S* but running with 4\.0\.99-other: build jobcast again"
        if LWSWS:
            host = Host(plain=True, env=env)
            self.assertEqual(host.get("/jobcast/v1/jobs")[0], 503)
            self.assertRegex(host.stop(), said)
        else:
            with self.assertRaisesRegex(AssertionError, said):  # it ends before it is ready
                Host(plain=True, env=env)

    def test_plugin_exports_one_name(self):
        names = subprocess.run(["nm", "-D", "--defined-only", os.path.join(LIB, "libprotocol_jobcast.so")], capture_output=True, text=True, check=True).stdout
        self.assertEqual([line.split()[-1] for line in names.splitlines()], ["jobcast"])

    @unittest.skipIf(LWSWS, "jobcast-host's option")
    def test_libuv_serves_as_well(self):
        with Host(arguments=("--loop", "libuv")) as host:
            job = host.submit()
            with open_ws(host) as ws:
                ws.send("subscribe_job", {"job_id": job})
                ws.next("subscribed")
                host.engine.say("finish", job, "completed")
                self.assertEqual(ws.next("job_completed")["data"]["job_id"], job)


if __name__ == "__main__":
    unittest.main()
