"""The ws door: upgrades, frames, limits, silence, and clients that do not read."""
import base64, json, os, socket, struct, time, unittest
from support import LWSWS, Host, Ws, open_ws, read_all, until


class Upgrades(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host({"origin": "https://b.example, https://app.example"})

    @classmethod
    def tearDownClass(cls):
        cls.host.stop()

    def status(self, **named):
        with Ws(self.host, timeout=3, **named) as ws:
            return ws.status

    def test_upgrade_is_taken(self):
        with Ws(self.host) as ws:
            self.assertEqual(ws.status, 101)
            self.assertIn("sec-websocket-protocol: jobcast.v1", ws.head.lower())
            self.assertEqual(ws.next()["event"], "connected")

    def test_short_key_is_refused(self):
        self.assertEqual(self.status(key="AAAA"), 400)
        self.assertEqual(self.status(key="!" * 24), 400)

    def test_upgrade_by_post_is_refused(self):
        self.assertNotEqual(self.status(method="POST", headers={"Content-Length": "0"}), 101)

    def test_other_version_is_refused(self):
        self.assertEqual(self.status(version="12"), 426)

    def test_other_path_is_refused(self):
        self.assertEqual(self.status(path="/jobcast"), 404)
        self.assertEqual(self.status(path="/"), 404)

    def test_other_subprotocol_is_refused(self):
        for protocol in ("chat", "JOBCAST.V1", None, "jobcast"):
            self.assertNotEqual(self.status(protocol=protocol), 101, protocol)
        self.assertEqual(self.status(protocol="chat, jobcast.v1"), 101)

    def test_long_subprotocol_is_refused_without_harm(self):
        self.assertNotEqual(self.status(protocol="jobcast.v1, " + "x" * 500), 101)
        self.assertEqual(self.status(), 101)

    def test_foreign_origin_is_refused(self):
        self.assertEqual(self.status(headers={"Origin": "https://evil.example"}), 403)
        self.assertEqual(self.status(headers={"Origin": "null"}), 403)
        self.assertEqual(self.status(headers={"Origin": "https://app.example"}), 101)
        self.assertEqual(self.status(headers={"Origin": f"http://127.0.0.1:{self.host.port}"}), 101)

    def test_permessage_deflate_is_not_agreed_to(self):
        with Ws(self.host, headers={"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}) as ws:
            self.assertEqual(ws.status, 101)
            self.assertNotIn("permessage-deflate", ws.head)
            ws.socket.sendall(bytes([0xC1, 0x80]) + os.urandom(4))  # a compressed first message: what kills lws's extension
            ws.closed_with()
        self.assertEqual(self.status(), 101)

    def test_bearer_at_the_upgrade_authenticates(self):
        with Ws(self.host, headers={"Authorization": "Bearer " + self.host.token}) as ws:
            self.assertEqual(ws.next("authenticated")["data"]["user_id"], "alice")
        with Ws(self.host, timeout=3, headers={"Authorization": "Bearer x.y.z"}) as ws:
            self.assertEqual(ws.status, 401)
            self.assertIn('www-authenticate: bearer realm="jobcast", error="invalid_token"', ws.head.lower())

    def test_cookie_at_the_upgrade_authenticates_for_our_own_page_only(self):
        cookie = {"Cookie": "jobcast_token=" + self.host.token}
        with Ws(self.host, headers={**cookie, "Origin": "https://app.example"}) as ws:
            self.assertEqual(ws.next("authenticated")["data"]["user_id"], "alice")
        self.assertEqual(self.status(headers={**cookie, "Origin": "https://evil.example"}), 403)

    def test_ticket_at_the_upgrade_works_once(self):
        ticket = json.loads(self.host.request("POST", "/jobcast/v1/tickets")[2])["ticket"]
        with Ws(self.host, path="/jobcast/ws?ticket=" + ticket) as ws:
            self.assertEqual(ws.next("authenticated")["data"]["user_id"], "alice")
        self.assertEqual(self.status(path="/jobcast/ws?ticket=" + ticket), 401)
        self.assertEqual(self.status(path="/jobcast/ws?ticket=" + self.host.token), 401)

    def test_plain_get_is_told_to_upgrade(self):
        self.assertEqual(self.host.get("/jobcast/ws")[0], 426)


class Frames(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host({"message-bytes": "8192", "message-fragments": "20", "ping-interval": "1", "ping-timeout": "1", "auth-timeout": "1"})

    @classmethod
    def tearDownClass(cls):
        cls.host.stop()

    def test_fragments_are_put_together(self):
        with open_ws(self.host) as ws:
            text = json.dumps({"event": "ping", "data": {}, "id": "f"}).encode()
            ws.socket.sendall(ws.frame(1, text[:5], fin=False))
            ws.socket.sendall(ws.frame(9, b"between"))
            ws.socket.sendall(ws.frame(0, text[5:9], fin=False) + ws.frame(0, b"", fin=False) + ws.frame(0, text[9:]))
            kinds = [ws.next_frame() for _ in range(2)]
            self.assertIn((10, b"between"), kinds)
            self.assertIn(b'"pong"', b"".join(payload for _, payload in kinds))

    def test_message_in_many_packets_is_put_together(self):
        with open_ws(self.host) as ws:
            data = ws.frame(1, json.dumps({"event": "ping", "data": {"x": "y" * 5000}, "id": 9}).encode())
            for at in range(0, len(data), 500):
                ws.socket.sendall(data[at:at + 500])
                time.sleep(0.001)
            self.assertEqual(ws.next()["id"], 9)

    def test_message_over_the_limit_closes_with_1009(self):
        with open_ws(self.host) as ws:
            ws.socket.sendall(ws.frame(1, b"x" * 9000))
            self.assertEqual(ws.closed_with(), 1009)
        with open_ws(self.host) as ws:
            ws.socket.sendall(ws.frame(1, b"x", fin=False) + ws.frame(0, b"x", fin=False) * 30)
            self.assertEqual(ws.closed_with(), 1009)
        with open_ws(self.host) as ws:
            ws.socket.sendall(bytes([0x81, 0xFF]) + struct.pack(">Q", 1 << 62) + os.urandom(4) + b"x" * 3000)
            self.assertIn(ws.closed_with(), (1009, 1007, 0))

    def test_binary_closes_with_1003(self):
        with open_ws(self.host) as ws:
            ws.socket.sendall(ws.frame(2, b"\x00\x01"))
            self.assertEqual(ws.closed_with(), 1003)

    def test_token_without_an_end_in_sight_is_taken(self):
        for seconds in (10 ** 10, 10 ** 13, 2 ** 53 - 1 - int(time.time()) - 5):
            with Ws(self.host) as ws:
                self.assertEqual(ws.authenticate(self.host.token_for("alice", seconds=seconds))["data"]["user_id"], "alice")

    def test_nonsense_is_answered_with_an_error(self):
        with open_ws(self.host) as ws:
            for payload in (b"{", b"[]", b'{"event":"no_such"}', b'{"event":"ping","data":{},"data":{}}'):
                ws.socket.sendall(ws.frame(1, payload))
                self.assertEqual(ws.next()["event"], "error", payload)

    def test_text_that_is_no_utf8_closes_with_1007(self):
        good = '{"event":"ping","id":"κόσμε 🂡"}'.encode()
        for frames in ([(1, b"\xff\xfe", True)], [(1, good[:-4], False), (0, b"\xed\xa0\x80\"}", True)]):
            with open_ws(self.host) as ws:
                ws.socket.sendall(ws.frame(1, good[:23], False) + ws.frame(0, good[23:]))  # a character in two frames
                ws.next("pong")
                ws.socket.sendall(b"".join(ws.frame(opcode, payload, fin) for opcode, payload, fin in frames))
                self.assertEqual(ws.closed_with(), 1007)

    def test_reserved_opcodes_and_bits_do_no_harm(self):
        for data in (bytes([0x83, 0x80, 0, 0, 0, 0]), bytes([0xF1, 0x80, 0, 0, 0, 0]), bytes([0x8B, 0x80, 0, 0, 0, 0]), bytes([0x80, 0x81, 0, 0, 0, 0, 120]), bytes([0x89, 0xFE, 0x01, 0x00]) + b"x" * 260):
            with open_ws(self.host) as ws:
                ws.socket.sendall(data)
                ws.socket.settimeout(1)
                try:
                    ws.closed_with()
                except TimeoutError:
                    pass
        with open_ws(self.host):
            pass

    def test_unmasked_frame_does_no_harm(self):
        with open_ws(self.host) as ws:
            ws.socket.sendall(ws.frame(1, b'{"event":"ping","data":{}}', mask=False))
            ws.socket.settimeout(1)
            try:
                ws.closed_with()
            except TimeoutError:
                pass
        with open_ws(self.host):
            pass

    def test_who_does_not_authenticate_is_closed(self):
        with Ws(self.host) as ws:
            start = time.monotonic()
            self.assertGreaterEqual(ws.closed_with(), 4000)
            self.assertLess(time.monotonic() - start, 4)

    def test_half_a_frame_is_not_waited_for_for_ever(self):
        with open_ws(self.host) as ws:
            ws.socket.sendall(ws.frame(1, b"x" * 100)[:50])
            start = time.monotonic()
            try:
                while True:
                    ws.next_frame()
            except (EOFError, ConnectionResetError):
                pass
            self.assertLess(time.monotonic() - start, 6)

    def test_who_answers_pings_stays_and_who_does_not_is_dropped(self):
        with open_ws(self.host) as alive, open_ws(self.host) as dead:
            start = time.monotonic()
            pings = 0
            while time.monotonic() - start < 4:
                opcode, payload = alive.next_frame()
                self.assertEqual(opcode, 9)
                pings += 1
                alive.socket.sendall(alive.frame(10, payload))
            self.assertGreaterEqual(pings, 2)
            with self.assertRaises((EOFError, ConnectionResetError)):
                while True:
                    dead.next_frame()
            alive.send("ping", id="still")
            self.assertEqual(alive.next("pong")["id"], "still")


class Slow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host({"messages-per-second": "20", "messages-burst": "40"})

    @classmethod
    def tearDownClass(cls):
        cls.host.stop()

    def test_who_does_not_read_sees_whole_frames_and_the_end(self):
        job = self.host.submit(meta={"filler": "x" * 1000})  # so that the socket's buffers are soon full
        with Ws(self.host) as ws:
            ws.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            ws.authenticate(self.host.token)
            ws.send("subscribe_job", {"job_id": job})
            ws.next("subscribed")
            published = lambda: self.host.engine.call("engine.stats")["progress"]["published"]
            before = published()
            self.host.engine.say("flood", job, 2500)
            self.host.engine.say("finish", job, "completed")
            time.sleep(0.2)
            ws.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # what has been held up now comes fast
            revs, ends = [], 0
            while not ends:
                message = ws.next()
                if message["event"] in ("job_update", "job_completed"):
                    revs.append(message["data"]["rev"])
                    ends += message["event"] == "job_completed"
            self.assertEqual(revs, sorted(set(revs)))
            self.assertLess(len(revs), published() - before)
            self.assertEqual(message["data"]["state"], "completed")

    def test_flood_of_messages_is_answered_and_then_ended(self):
        with open_ws(self.host) as ws:
            for n in range(300):
                ws.send("ping", id=n)
            self.assertEqual(ws.closed_with(), 4529)
        with open_ws(self.host):
            pass

    def test_flood_that_goes_on_after_its_end_is_not_read(self):
        with open_ws(self.host) as ws:
            cpu, end, flood = self.host.cpu_seconds(), time.monotonic() + 1.5, ws.frame(1, b'{"event":"ping"}') * 1000
            ws.socket.settimeout(1.5)
            try:
                while time.monotonic() < end:
                    ws.socket.sendall(flood)
            except OSError:
                pass
            self.assertLess(self.host.cpu_seconds() - cpu, 0.3)

    def test_flood_of_pings_is_ended(self):
        for opcode in (9, 10):
            with self.subTest(opcode=opcode), open_ws(self.host) as ws, open_ws(self.host) as other:
                floods = self.host.metric("jobcast_ws_flooded_total")
                end, flood = time.monotonic() + 12, ws.frame(opcode, b"") * 2000
                ws.socket.settimeout(6)
                try:
                    while time.monotonic() < end:
                        ws.socket.sendall(flood)
                except OSError:
                    pass
                self.assertLess(time.monotonic(), end)
                self.assertEqual(self.host.metric("jobcast_ws_flooded_total"), floods + 1)
                other.send("ping")
                other.next("pong")

    def test_pings_and_large_messages_are_no_flood(self):
        floods = self.host.metric("jobcast_ws_flooded_total")
        with open_ws(self.host) as ws:
            end = time.monotonic() + 6
            while time.monotonic() < end:
                ws.socket.sendall(ws.frame(9, b"x" * 100) * 20)
                ws.socket.sendall(ws.frame(1, json.dumps({"event": "ping", "data": {}, "filler": "x" * 60_000}).encode()))
                ws.next()
                time.sleep(0.2)
        self.assertEqual(self.host.metric("jobcast_ws_flooded_total"), floods)

    def test_client_that_slept_finds_the_newest_state_and_no_old_ones(self):
        job = self.host.submit()
        stream = self.host.connect()
        stream.sendall(f"GET /jobcast/v1/jobs/{job}/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {self.host.token}\r\n\r\n".encode())
        stream.recv(4096)
        with open_ws(self.host) as ws:
            ws.send("subscribe_job", {"job_id": job})
            ws.next("subscribed")
            self.host.engine.say("flood", job, 4000)  # some 2 MB of snapshots, which the kernel would take
            self.host.engine.say("finish", job, "completed")
            old = 0
            while ws.next()["event"] != "job_completed":
                old += 1
            self.assertLess(old, 2000)
        data = b""
        while b"job_completed" not in data:
            data += stream.recv(65536)
        stream.close()
        self.assertLess(data.count(b"job_update"), 2000)

    def test_many_clients_each_get_every_end(self):
        jobs = [self.host.submit() for _ in range(5)]
        clients = [open_ws(self.host, self.host.token_for("alice")) for _ in range(30)]
        for ws in clients:
            for job in jobs:
                ws.send("subscribe_job", {"job_id": job})
            for _ in jobs:
                ws.next("subscribed")
        for job in jobs:
            self.host.engine.say("flood", job, 50)
            self.host.engine.say("finish", job, "completed")
        for ws in clients:
            ended = [ws.next("job_completed")["data"]["job_id"] for _ in jobs]
            self.assertEqual(sorted(ended), sorted(jobs))
            ws.close()

    def test_closing_with_data_in_flight_does_no_harm(self):
        job = self.host.submit()
        for _ in range(30):
            ws = open_ws(self.host)
            ws.send("subscribe_job", {"job_id": job})
            self.host.engine.say("flood", job, 20)
            ws.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            ws.close()
        until("all are gone", lambda: self.host.metric("jobcast_sessions") == 0)


if __name__ == "__main__":
    unittest.main()
