"""HTTP as nobody should speak it: framing, lengths, pipelining, dripping, origins, tickets."""
import json, re, socket, time, unittest
from support import KEEPS_PIPELINED, LWS_VERSION, LWSWS, Host, Ws, in_order, read_all, until


def responses(data):
    """(status, headers, body) of every answer in `data`."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        size = int(headers.get("content-length", 0))
        found.append((int(lines[0].split()[1]), headers, data[:size]))
        data = data[size:]
    return found


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host({"body-time": "1", "body-bytes": "4096", "origin": ["https://app.example", "http://other.example:81"], "engine-timeout": "500"},
                        global_options={"timeout-secs": "5"})

    @classmethod
    def tearDownClass(cls):
        cls.host.stop()

    def head(self, method, path, *lines, token=True):
        auth = [f"Authorization: Bearer {self.host.token}"] if token else []
        return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: h", *auth, *lines, "", ""]).encode()

    def one(self, data, timeout=5):
        return responses(self.host.raw(data, timeout))[0]

    def test_chunked_body_is_refused_with_411(self):
        status, headers, body = self.one(self.head("POST", "/jobcast/v1/jobs", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n")
        self.assertEqual(status, 411)
        self.assertEqual(headers["content-type"], "application/problem+json")
        self.assertEqual(json.loads(body)["status"], 411)

    def test_chunked_get_is_refused_too(self):
        get = self.head("GET", "/jobcast/v1/jobs", "Transfer-Encoding: chunked")
        self.assertEqual(self.one(get)[0], 411)
        self.assertTrue(in_order([status for status, _, _ in responses(self.host.raw(get + b"0\r\n\r\n", 5))], [411]))

    def test_a_request_names_one_host(self):
        for head, status in ((["GET / HTTP/1.1"], 400), (["GET / HTTP/1.0"], 200), (["GET / HTTP/1.1", "Host:"], 400), (["GET / HTTP/1.1", "Host: h"], 200),
                             (["GET / HTTP/1.1", "Host: h:81 "], 200), (["GET / HTTP/1.1", "Host: [::1]:81"], 200), (["GET / HTTP/1.1", "Host: a_b"], 200),
                             (["GET / HTTP/1.1", "Host: h, g"], 400), (["GET / HTTP/1.1", "Host: h/x"], 400), (["GET / HTTP/1.1", "Host: u@h"], 400),
                             (["GET / HTTP/1.1", "Host: h\0g"], 400), (["GET / HTTP/1.1", "Host : h"], 400), (["GET / HTTP/1.0", "Host: h", "Host: g"], 400)):
            with self.subTest(head):
                self.assertEqual(self.one("\r\n".join([*head, "Connection: close", "", ""]).encode())[0], status)

    def test_a_refused_request_is_counted_and_what_follows_it_is_not_read(self):
        before = self.host.metric("jobcast_http_malformed_total")
        live = b"GET /jobcast/health/live HTTP/1.1\r\nHost: h\r\n\r\n"
        answers = responses(self.host.raw(self.head("POST", "/jobcast/v1/jobs", "Transfer-Encoding : chunked") + b"0\r\n\r\n" + live))
        self.assertEqual([status for status, _, _ in answers], [400])
        self.assertEqual(self.host.metric("jobcast_http_malformed_total"), before + 1)

    def test_a_name_that_is_no_token_is_refused_where_lws_lists_names(self):
        for name in ("X Y", "X\x01Y", "X(Y)", " Xy", "\tXy", "Xy ", "Xy\t"):
            with self.subTest(name):
                self.assertEqual(self.one(self.head("GET", "/", name + ": a", "Connection: close"))[0], 400 if LWS_VERSION >= (4, 3, 0) else 200)

    def test_body_over_the_limit_is_refused_with_413_while_it_comes(self):
        self.assertEqual(self.one(self.head("POST", "/jobcast/v1/jobs", "Content-Length: 400000") + b"x" * 400000)[0], 413)
        self.assertEqual(self.one(self.head("POST", "/jobcast/v1/jobs", "Content-Length: 99999999999999"))[0], 413)

    def test_long_query_parameter_is_not_overlooked(self):
        for query, field in (("color=" + "x" * 3000, "color"), ("kind=" + "x" * 3000 + "&color=red", "color"), ("&&state=dead&limit=1", "state")):
            status, _, body = self.host.get("/jobcast/v1/jobs?" + query)
            self.assertEqual((status, json.loads(body).get("field")), (400, field))

    def test_length_that_is_no_number_is_refused(self):
        for length in ("-5", "+5", "5, 5", "1e3", "0x10", "99999999999999999999999"):
            data = self.host.raw(self.head("POST", "/jobcast/v1/jobs", f"Content-Length: {length}") + b"hello", 3)
            self.assertIn(data[8:13], (b" 400 ", b" 413 ", b""), length)  # lws may find fault with what follows first, and answers as HTTP/1.0
        for length in ("-5", "5 5"):
            self.assertNotIn(b" 200 ", self.host.raw(self.head("GET", "/jobcast/v1/jobs", f"Content-Length: {length}"), 3), length)

    def test_dripped_body_ends_in_time_with_408(self):
        with self.host.connect() as connection:
            connection.sendall(self.head("POST", "/jobcast/v1/jobs", "Content-Length: 1000"))
            start = time.monotonic()
            for _ in range(60):
                try:
                    connection.sendall(b"x")
                except OSError:
                    break
                connection.settimeout(0.05)
                try:
                    data = connection.recv(4096)
                    break
                except TimeoutError:
                    pass
            self.assertLess(time.monotonic() - start, 3)
            self.assertEqual(responses(data)[0][0], 408)

    def test_dripped_headers_are_not_waited_for_for_ever(self):
        with self.host.connect(20) as connection:
            connection.sendall(b"GET /jobcast/health/live HTTP/1.1\r\nHost: h\r\nX: ")
            self.assertEqual(read_all(connection), b"")

    def test_post_without_length_has_no_body(self):
        job = self.host.submit(run_at_ms=int(time.time() + 3600) * 1000)
        status, headers, body = self.one(self.head("POST", f"/jobcast/v1/jobs/{job}/cancel"))
        self.assertEqual(status, 200)
        self.assertEqual(headers["connection"], "close")
        self.assertEqual(json.loads(body)["state"], "cancelled")

    def test_pipelined_requests_are_answered_once_each_and_in_order(self):
        job = self.host.submit()
        get = self.head("GET", f"/jobcast/v1/jobs/{job}")
        found = responses(self.host.raw(get + self.head("GET", "/jobcast/health/live") + self.head("HEAD", "/jobcast/v1/queues"), 1))
        self.assertTrue(in_order([(status, len(body) > 0) for status, _, body in found], [(200, True), (200, True), (200, False)]), found)
        post = self.head("POST", "/jobcast/v1/jobs", "Content-Type: application/json", "Content-Length: 17") + b'{"kind":"puppet"}'
        found = responses(self.host.raw(post + get + self.head("POST", f"/jobcast/v1/jobs/{job}/cancel", "Content-Length: 0") + get, 1))
        self.assertTrue(in_order([status for status, _, _ in found][:2], [201, 200]))  # what is sent behind a POST without body ends the connection
        cancel = self.head("POST", f"/jobcast/v1/jobs/{job}/cancel", "Content-Length: 0")
        self.assertTrue(in_order([status for status, _, _ in responses(self.host.raw(cancel + cancel, 1))][:1], [200]))

    def test_five_pipelined_requests_for_the_engine_are_all_answered_or_the_connection_ends(self):
        for path in ("/jobcast/v1/queues", "/jobcast/v1/jobs?limit=1"):
            found = responses(self.host.raw(self.head("GET", path) * 5, 1))
            self.assertTrue(in_order([status for status, _, _ in found], [200] * 5), (path, found))

    def test_who_expects_a_100_before_the_body_is_told_to_continue(self):
        head = self.head("POST", "/jobcast/v1/jobs", "Content-Type: application/json", "Content-Length: 17", "Expect: 100-continue")
        with self.host.connect() as connection:
            connection.settimeout(3)
            connection.sendall(head)
            self.assertEqual(connection.recv(4096), b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.sendall(b'{"kind":"puppet"}')
            self.assertTrue(connection.recv(4096).startswith(b"HTTP/1.1 201"))
        old = self.host.raw(head.replace(b"HTTP/1.1", b"HTTP/1.0") + b'{"kind":"puppet"}', 1)
        self.assertRegex(old, rb"^HTTP/1\.\d 201")
        late = self.host.raw(self.head("POST", "/jobcast/v1/jobs", "Content-Length: 999999", "Expect: 100-continue"), 1)
        self.assertTrue(late.startswith(b"HTTP/1.1 413"), late)

    def test_empty_query_and_trailing_ampersand_name_no_parameter(self):
        for query in ("?", "?limit=1&", "?&limit=1", "?limit=1&&kind=puppet"):
            self.assertEqual(self.host.get("/jobcast/v1/jobs" + query)[0], 200, query)

    def test_body_pipelined_behind_another_request_ends_the_connection_unlooked_at(self):
        # lws 4.1 reads such a body from the wrong place and then loops for ever.
        post = self.head("POST", "/jobcast/v1/jobs", "Content-Type: application/json", "Content-Length: 17") + b'{"kind":"puppet"}'
        count = lambda: len(json.loads(self.host.get("/jobcast/v1/jobs?limit=200")[2])["jobs"])
        before = count()
        for first, end in ((self.head("GET", "/jobcast/health/live"), 200), (self.head("GET", "/"), 200), (self.head("GET", "/missing"), 404), (post, 201)):
            for second in (post, self.head("POST", "/jobcast/v1/jobs"), self.head("GET", "/jobcast/health/live", "Content-Length: 5") + b"hello", self.head("POST", "/index.html", "Content-Length: 5") + b"hello"):
                data = self.host.raw(first + second + second, 5)
                answered = data.count(b"HTTP/1.1 200 ") + data.count(b"HTTP/1.1 201 ")
                # Behind a page, which lws serves itself, later versions take all.
                self.assertTrue(answered == int(end < 300) if KEEPS_PIPELINED else answered <= (3 if first.startswith(b"GET / ") else 1), (first, second))
        until("the first of each are carried out, and nothing more", lambda: count() == before + 4)

    def test_pipelining_behind_a_held_poll_waits_and_burns_nothing(self):
        job = self.host.submit()
        etag = self.host.get(f"/jobcast/v1/jobs/{job}")[1]["etag"]
        cpu = self.host.cpu_seconds()
        found = responses(self.host.raw(self.head("GET", f"/jobcast/v1/jobs/{job}", f"If-None-Match: {etag}", "Prefer: wait=2") + self.head("GET", "/jobcast/health/live"), 4))
        self.assertTrue(in_order([status for status, _, _ in found], [304, 200]))
        self.assertLess(self.host.cpu_seconds() - cpu, 0.3)
        poll = self.head("GET", f"/jobcast/v1/jobs/{job}", f"If-None-Match: {etag}", "Prefer: wait=2")
        live = self.head("GET", "/jobcast/health/live")
        stream = self.head("GET", f"/jobcast/v1/jobs/{job}/events")
        for chain in (live + poll, live + poll + live, poll + poll + live, live + stream, live + stream + live, stream + live, self.head("GET", "/jobcast/v1/queues") * 3):
            cpu = self.host.cpu_seconds()
            data = self.host.raw(chain, 2.5)
            first = 304 if chain.startswith(poll) else 200
            self.assertTrue(in_order([int(data[9:12])] if data else [], [first if not KEEPS_PIPELINED else int(data[9:12])]), data)
            self.assertTrue(b"HTTP/1.1 200" in data or not KEEPS_PIPELINED, data)
            self.assertLess(self.host.cpu_seconds() - cpu, 0.5, chain)

    def test_get_with_a_body_is_answered_after_it(self):
        with self.host.connect() as connection:
            connection.sendall(self.head("GET", "/jobcast/health/live", "Content-Length: 5") + b"hel")
            connection.settimeout(0.2)
            with self.assertRaises(TimeoutError):
                connection.recv(4096)
            connection.sendall(b"lo" + (self.head("GET", "/jobcast/health/live") if KEEPS_PIPELINED else b""))
            self.assertEqual([status for status, _, _ in responses(read_all(connection))], [200] * (2 if KEEPS_PIPELINED else 1))

    def test_head_has_the_length_and_no_body(self):
        found = responses(self.host.raw(self.head("HEAD", "/jobcast/health/live", "Connection: close"), 2).replace(b"content-length: 17", b"x-length: 17"))
        self.assertEqual(found[0][0], 200)
        self.assertEqual(found[0][1]["x-length"], "17")
        self.assertEqual(len(found), 1)

    def test_http_1_0_is_answered_and_closed(self):
        data = self.host.raw(b"GET /jobcast/health/live HTTP/1.0\r\n\r\n", 5)
        self.assertIn(b'{"status":"live"}', data)

    def test_garbage_ends_the_connection_and_nothing_else(self):
        for data in (b"\x00" * 100, b"\x16\x03\x01\x02\x00" + b"\xff" * 300, b"GET\r\n\r\n", b"GET /jobcast/v1/jobs\r\n\r\n", b"FOO /jobcast/v1/jobs HTTP/1.1\r\n\r\n",
                     b"GET " + b"/a" * 40000 + b" HTTP/1.1\r\n\r\n", b"GET /jobcast/v1/jobs/%00%ff%zz HTTP/1.1\r\nHost: h\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                     b"GET /jobcast/v1/jobs HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n", b"GET /jobcast/../../../etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n",
                     b"GET /..%2f..%2f..%2fetc/passwd HTTP/1.1\r\nHost: h\r\n\r\n"):
            self.assertNotIn(b"root:", self.host.raw(data, 0.3))
            self.assertEqual(self.host.get("/jobcast/health/live")[0], 200)

    @unittest.skipIf(LWSWS, "lwsws has 4,096 bytes, not configurable")
    def test_headers_of_8_kib_are_taken(self):
        self.assertEqual(self.host.get("/jobcast/health/live", headers={"X-Filler": "y" * 8000})[0], 200)

    def test_h2c_upgrade_is_refused(self):
        data = self.host.raw(b"GET /jobcast/health/live HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n", 1)
        self.assertNotIn(b"101 ", data)

    def test_unknown_upgrades_are_refused_without_harm(self):
        for upgrade in ("h2", "TLS/1.0", "websocket2", "", ","):
            for path in ("/jobcast/health/live", "/", "/jobcast/ws"):
                data = self.host.raw(self.head("GET", path, "Connection: Upgrade", f"Upgrade: {upgrade}") + self.head("GET", "/jobcast/health/live"), 0.3)
                self.assertNotIn(b"101 ", data)
        self.assertEqual(self.host.get("/jobcast/health/live")[0], 200)

    def test_method_that_does_not_fit_is_405_with_allow(self):
        status, headers, _ = self.host.request("DELETE", "/jobcast/v1/jobs")
        self.assertEqual((status, headers["allow"]), (405, "GET, HEAD, POST, OPTIONS"))
        self.assertEqual(self.host.request("POST", "/jobcast/v1/queues")[0], 405)
        self.assertEqual(self.host.request("PUT", "/jobcast/v1/jobs", b"x")[0], 405)

    def test_problems_name_the_field(self):
        for body, field in (({"kind": "nope"}, "kind"), ({"kind": "puppet", "owner": "bob"}, "owner"), ({"kind": 3}, "kind")):
            status, headers, answer = self.host.request("POST", "/jobcast/v1/jobs", body)
            self.assertEqual((status, headers["content-type"]), (400, "application/problem+json"))
            self.assertEqual(json.loads(answer)["field"], field)
        self.assertEqual(self.host.request("POST", "/jobcast/v1/jobs", "{", headers={"Content-Type": "application/json"})[0], 400)
        self.assertEqual(self.host.request("POST", "/jobcast/v1/jobs", "kind=puppet", headers={"Content-Type": "text/plain"})[0], 415)
        self.assertEqual(self.host.get("/jobcast/v1/jobs?limit=0")[0], 400)
        self.assertEqual(self.host.get("/jobcast/v1/jobs?color=red")[0], 400)

    def test_scope_is_asked_for(self):
        reader = self.host.token_for("alice", scope="")
        self.assertEqual(self.host.request("POST", "/jobcast/v1/jobs", {"kind": "puppet"}, token=reader)[0], 403)
        self.assertEqual(self.host.get("/jobcast/v1/jobs", token=reader)[0], 200)
        self.assertEqual(self.host.get("/jobcast/v1/jobs?owner=bob")[0], 403)

    def test_no_token_or_a_wrong_one_is_401(self):
        status, headers, _ = self.host.get("/jobcast/v1/jobs", token=None)
        self.assertEqual(status, 401)
        self.assertEqual(headers["www-authenticate"], 'Bearer realm="jobcast"')
        status, headers, _ = self.host.get("/jobcast/v1/jobs", token=self.host.token + "x")
        self.assertEqual((status, headers["www-authenticate"]), (401, 'Bearer realm="jobcast", error="invalid_token"'))
        self.assertEqual(self.host.get("/jobcast/v1/jobs?ticket=" + self.host.token, token=None)[0], 401)

    def test_ticket_works_once(self):
        ticket = json.loads(self.host.request("POST", "/jobcast/v1/tickets")[2])["ticket"]
        self.assertEqual(self.host.get("/jobcast/v1/jobs?ticket=" + ticket, token=None)[0], 200)
        self.assertEqual(self.host.get("/jobcast/v1/jobs?ticket=" + ticket, token=None)[0], 401)
        self.assertEqual(self.host.get("/jobcast/v1/jobs", token=ticket)[0], 401)

    def test_origin_star_grants_no_credentials(self):
        host = Host({"origin": "*"}, plain=True)
        try:
            evil, cookie = {"Origin": "https://evil.example"}, {"Cookie": f"jobcast_token={host.token}"}
            status, headers, _ = host.request("OPTIONS", "/jobcast/v1/jobs", token=None, headers={**evil, "Access-Control-Request-Method": "POST"})
            self.assertEqual((status, headers["access-control-allow-origin"]), (204, "*"))
            self.assertNotIn("access-control-allow-credentials", headers)
            status, headers, body = host.get("/jobcast/v1/jobs", token=None, headers={**evil, **cookie})
            self.assertEqual(status, 401)
            self.assertIn("a cookie does not count", json.loads(body)["detail"])
            self.assertNotIn("access-control-allow-credentials", headers)
            self.assertEqual(host.get("/jobcast/v1/jobs", headers=evil)[0], 503)  # a token that the page sends itself counts: no engine here
            with Ws(host, headers={**evil, **cookie}) as ws:  # as if there were no cookie
                self.assertEqual(ws.status, 101)
                ws.send("ping")
                ws.next("connected")
                self.assertEqual(ws.next()["event"], "pong")
            own = {"Origin": f"http://127.0.0.1:{host.port}"}
            self.assertEqual(host.get("/jobcast/v1/jobs", token=None, headers={**own, **cookie})[0], 503)
        finally:
            host.stop()

    def test_answer_that_quotes_bytes_is_utf8(self):
        for path in ("/jobcast/v1/jobs?%ff=1&%ff=2", "/jobcast/v1/jobs?state=%c3", "/jobcast/v1/jobs?kind=%ff", "/jobcast/v1/jobs/%ff", "/jobcast/v1/jobs?ticket=%ff"):
            status, headers, body = self.host.get(path, token=None if "ticket" in path else "")
            self.assertGreaterEqual(status, 400)
            self.assertEqual(headers["content-type"], "application/problem+json")
            json.loads(body.decode())  # strict

    def test_cookie_counts_with_a_fitting_origin_only(self):
        cookie = {"Cookie": f"a=b; jobcast_token={self.host.token}"}
        ask = lambda method, **more: self.host.request(method, "/jobcast/v1/jobs", None if method == "GET" else {"kind": "puppet"}, headers={**cookie, **more}, token=None)[0]
        self.assertEqual(ask("GET"), 200)
        self.assertEqual(ask("POST"), 401)
        self.assertEqual(ask("POST", Origin="https://app.example"), 201)
        self.assertEqual(ask("POST", Origin="https://evil.example"), 401)
        self.assertEqual(ask("GET", Origin="https://evil.example"), 401)
        self.assertEqual(ask("POST", Origin=f"http://127.0.0.1:{self.host.port}"), 201)

    def test_cors_is_for_the_allow_list(self):
        preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        status, headers, _ = self.host.request("OPTIONS", "/jobcast/v1/jobs", headers={**preflight, "Origin": "https://app.example"}, token=None)
        self.assertEqual((status, headers["access-control-allow-origin"]), (204, "https://app.example"))
        self.assertIn("Authorization", headers["access-control-allow-headers"])
        _, headers, _ = self.host.request("OPTIONS", "/jobcast/v1/jobs", headers={**preflight, "Origin": "https://evil.example"}, token=None)
        self.assertNotIn("access-control-allow-origin", headers)
        _, headers, _ = self.host.get("/jobcast/v1/jobs", headers={"Origin": "http://other.example:81"})
        self.assertEqual(headers["access-control-allow-origin"], "http://other.example:81")
        self.assertEqual(headers["vary"], "Origin")

    def test_idempotency_key_answers_the_same_job(self):
        ask = lambda: self.host.request("POST", "/jobcast/v1/jobs", {"kind": "puppet"}, headers={"IDEMPOTENCY-Key": "order-66"})
        first, second = ask(), ask()
        self.assertEqual((first[0], second[0]), (201, 200))
        self.assertEqual(json.loads(first[2])["job_id"], json.loads(second[2])["job_id"])
        self.assertEqual(first[1]["location"], "/jobcast/v1/jobs/" + json.loads(first[2])["job_id"])

    def test_empty_idempotency_key_is_400_and_names_the_header(self):
        for key in ("", "  "):
            status, _, body = self.host.request("POST", "/jobcast/v1/jobs", {"kind": "puppet"}, headers={"Idempotency-Key": key})
            self.assertEqual((status, json.loads(body)["field"]), (400, "Idempotency-Key"))

    def test_list_is_304_until_something_changes(self):
        token = self.host.token_for("dora")  # no other test's job changes her list
        job = self.host.submit(token=token)
        etag = self.host.get("/jobcast/v1/jobs", token=token)[1]["etag"]
        again = lambda path: self.host.get(path, headers={"If-None-Match": etag}, token=token)[0]
        self.assertEqual(again("/jobcast/v1/jobs"), 304)
        self.assertEqual(again("/jobcast/v1/jobs?limit=5"), 200)
        self.host.engine.say("progress", job, 7)
        until("the change arrives", lambda: again("/jobcast/v1/jobs") == 200)

    def test_engine_that_does_not_answer_is_504(self):
        self.host.engine.say("quiet", "on")
        try:
            start = time.monotonic()
            status, headers, _ = self.host.get("/jobcast/v1/queues")
            self.assertEqual((status, headers["retry-after"]), (504, "1"))
            self.assertLess(time.monotonic() - start, 2)
        finally:
            self.host.engine.say("quiet", "off")

    def test_page_is_served_next_to_the_protocol(self):
        self.assertEqual(self.host.get("/", token=None)[2], b"<p>page</p>")
        self.assertEqual(self.host.get("/index.html", token=None)[0], 200)
        self.assertEqual(self.host.get("/missing.html", token=None)[0], 404)

    def test_metrics_are_openmetrics(self):
        status, headers, body = self.host.get("/jobcast/metrics", token=None)
        self.assertTrue(headers["content-type"].startswith("application/openmetrics-text"))
        text = body.decode()
        self.assertTrue(text.endswith("# EOF\n"))
        for line in text.splitlines():
            self.assertRegex(line, r"^(# (TYPE|HELP) jobcast_\w+ .+|jobcast_\w+ \d+|# EOF)$")


if __name__ == "__main__":
    unittest.main()
