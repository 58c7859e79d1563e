"""One client never locks out another: what one user does at the utmost, and what another sees of it meanwhile. And what may have been carried
out is told apart from what certainly was not."""
import json, multiprocessing, os, select, socket, statistics, subprocess, sys, tempfile, threading, time, unittest
from support import Host, Ws, b64, open_ws, read_all, until

LATER = {"kind": "puppet", "run_at_ms": 4_000_000_000_000}  # jobs that never start, and cost no process


def at_once(count, work):
    """Calls work(0) … work(count - 1) in threads of their own; their results."""
    results = [None] * count

    def run(n):
        try:
            results[n] = work(n)
        except OSError as trouble:
            results[n] = trouble

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def statuses(answers):
    return sorted({answer[0] if isinstance(answer, tuple) else str(answer) for answer in answers}, key=str)


class Fairness(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host()
        cls.bob = cls.host.token_for("bob")

    @classmethod
    def tearDownClass(cls):
        cls.host.stop()

    def jobs_of(self, token):
        jobs, cursor = [], ""
        while cursor is not None:
            page = json.loads(self.host.get(f"/jobcast/v1/jobs?limit=200{cursor and '&cursor=' + cursor}", token=token)[2])
            jobs += page["jobs"]
            cursor = page["next_cursor"]
        return jobs

    def watched(self, work):
        """What bob's questions were answered while `work` ran, and the longest wait."""
        seen, longest, done = [], 0.0, threading.Event()

        def ask():
            nonlocal longest
            while not done.is_set() or not seen:
                start = time.monotonic()
                seen.append(self.host.get("/jobcast/v1/queues", token=self.bob)[0])
                longest = max(longest, time.monotonic() - start)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            result = work()
        finally:
            done.set()
            asking.join()
        return result, seen, longest

    def test_seventy_submits_of_60_kb_do_not_keep_another_waiting(self):
        body = {**LATER, "args": {"text": "x" * 60_000}}
        answers, seen, longest = self.watched(lambda: at_once(70, lambda n: self.host.request("POST", "/jobcast/v1/jobs", body)))
        self.assertEqual(statuses(answers), [201])
        self.assertEqual(set(seen), {200})
        self.assertLess(longest, 5)  # an unanswered call would have taken 10 s

    def test_body_that_grows_when_it_is_escaped_does_not_stall_the_link(self):
        body = b'{"kind":"puppet","run_at_ms":4000000000000,"args":{"text":"' + rb"\b\f" * 20_000 + b'"}}'
        connects = self.host.metric("jobcast_engine_connects_total")
        for _ in range(18):
            start = time.monotonic()
            status, _, answer = self.host.request("POST", "/jobcast/v1/jobs", body, headers={"Content-Type": "application/json"})
            self.assertEqual(status, 400, answer)
            self.assertEqual(json.loads(answer)["field"], "args")
            self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(self.host.metric("jobcast_engine_connects_total"), connects)

    def test_longest_body_that_may_be_configured_costs_its_own_request_alone(self):
        bodies = [b'{"n":[' + b",".join([b"1e14"] * 150_000) + b"]}", b'{"t":"' + rb"\b" * 400_000 + b'"}', b'{"t":"' + b"x" * 1_000_000 + b'"}']
        with Host({"body-bytes": "1048576", "message-bytes": "1048576"}) as host:
            for args in bodies:
                body = b'{"kind":"puppet","args":' + args + b"}"
                status, _, answer = host.request("POST", "/jobcast/v1/jobs", body, headers={"Content-Type": "application/json"})
                self.assertIn((status, json.loads(answer)["field"]), [(400, "args"), (413, "args")])
                with open_ws(host) as ws:
                    ws.socket.sendall(ws.frame(1, b'{"event":"submit_job","data":' + body + b"}"))
                    self.assertEqual(ws.next("error")["data"]["field"], "args")
            self.assertEqual(host.metric("jobcast_engine_connects_total"), 1)

    def test_tickets_of_one_user_leave_the_others_theirs(self):
        for _ in range(1200):
            status, _, body = self.host.request("POST", "/jobcast/v1/tickets")
            self.assertEqual(status, 201)
        newest = json.loads(body)["ticket"]
        status, _, body = self.host.request("POST", "/jobcast/v1/tickets", token=self.bob)
        self.assertEqual(status, 201)
        for ticket in (newest, json.loads(body)["ticket"]):
            self.assertEqual(self.host.get(f"/jobcast/v1/queues?ticket={ticket}", token=None)[0], 200)
        with Ws(self.host, headers={"Authorization": "Bearer " + self.bob}) as ws:
            self.assertEqual(ws.next("authenticated")["data"]["user_id"], "bob")

    def test_polls_of_one_user_leave_the_others_theirs(self):
        with Host({"streams-max": "12", "streams-per-user": "8"}) as host:
            def hold(token, job, etag):
                connection = host.connect()
                connection.sendall(f"GET /jobcast/v1/jobs/{job} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nIf-None-Match: {etag}\r\n"
                                   "Prefer: wait=50\r\n\r\n".encode())
                return connection

            bob, held = host.token_for("bob"), []
            for token, count in ((host.token, 20), (bob, 4)):
                job = json.loads(host.request("POST", "/jobcast/v1/jobs", LATER, token=token)[2])["job_id"]
                etag = host.get(f"/jobcast/v1/jobs/{job}", token=token)[1]["etag"]
                held += [hold(token, job, etag) for _ in range(count)]
            until("both hold what they may", lambda: host.metric("jobcast_http_polls_total") == 12)
            refused = [connection for connection in held[:20] if connection in select.select(held, [], [], 0)[0]]
            self.assertEqual(len(refused), 12)
            self.assertIn(b"429", refused[0].recv(65536)[:16])
            for connection in held:
                connection.close()
            until("none is counted any more", lambda: host.metric("jobcast_waiters") == 0)

    def test_body_is_not_waited_for_before_its_sender_has_shown_a_token(self):
        head = b"POST /jobcast/v1/jobs HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n"
        for more in (b"", b"Expect: 100-continue\r\n", b"Authorization: Bearer a.b.c\r\n", b"Cookie: jobcast_token=a.b.c\r\nOrigin: http://h\r\n"):
            with self.subTest(more=more), self.host.connect(5) as connection:
                connection.sendall(head + more + b"\r\n")
                self.assertEqual(connection.recv(65536)[:12], b"HTTP/1.1 401")
        # The token counts once: a ticket is used up by the head and still lets the body in.
        ticket = json.loads(self.host.request("POST", "/jobcast/v1/tickets")[2])["ticket"]
        self.assertEqual(self.host.request("POST", f"/jobcast/v1/jobs?ticket={ticket}", LATER, token=None)[0], 201)
        self.assertEqual(self.host.request("POST", f"/jobcast/v1/jobs?ticket={ticket}", LATER, token=None)[0], 401)

    def test_connections_that_do_nothing_keep_nobody_out(self):
        with Host({"connections-max": "20"}) as host, open_ws(host) as ws:
            idle = []
            try:
                for n in range(60):
                    idle.append(host.connect(5))
                    if n % 2:
                        idle[-1].sendall(b"GET /jobcast/health/live HTTP/1.1\r\nHost: h\r\n")  # and no end of it
                    self.assertEqual(host.get("/jobcast/v1/queues", token=host.token_for("bob"))[0], 200)
                self.assertGreater(host.metric("jobcast_connections_evicted_total"), 30)
                ws.send("ping", {}, 1)  # one that serves somebody is not closed for others
                self.assertEqual(ws.next("pong")["id"], 1)
            finally:
                for connection in idle:
                    connection.close()

    def test_one_program_leaves_the_others_control_connections_and_attachments(self):
        attach = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "attach", "params": {}}) + "\n"
        taken, attached = [], 0
        try:
            for _ in range(80):
                taken.append(socket.socket(socket.AF_UNIX))
                taken[-1].settimeout(5)
                taken[-1].connect(self.host.engine.socket)
                try:
                    taken[-1].sendall(attach.encode())
                    answer = json.loads(taken[-1].recv(65536).splitlines()[0])
                except (BrokenPipeError, ConnectionResetError):
                    continue
                attached += "result" in answer
                if "error" in answer:
                    self.assertIn("this process has", answer["error"]["message"])
            self.assertGreaterEqual(attached, 4)
            other = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode()); print(s.recv(65536).decode())"
            said = subprocess.run([sys.executable, "-c", other, self.host.engine.socket, attach], capture_output=True, text=True, timeout=20).stdout
            self.assertIn('"result"', said)
        finally:
            for connection in taken:
                connection.close()
        self.assertEqual(self.host.get("/jobcast/v1/queues", token=self.bob)[0], 200)


class Signer:
    """A key pair, and tokens signed with it."""

    def __init__(self, alg, directory):
        self.alg, self.private, self.public = alg, f"{directory}/{alg}.key", f"{directory}/{alg}.pem"
        kind = ["rsa_keygen_bits:2048"] if alg == "RS256" else ["ec_paramgen_curve:P-256"]
        self.openssl("genpkey", "-algorithm", "RSA" if alg == "RS256" else "EC", "-pkeyopt", *kind, "-out", self.private)
        self.openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)

    def openssl(self, *arguments, data=b""):
        return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout

    def token(self, user):
        head = b64(json.dumps({"alg": self.alg, "typ": "JWT"}).encode())
        text = f"{head}." + b64(json.dumps({"sub": user, "scope": "jobs:submit jobs:cancel", "exp": int(time.time()) + 3600}).encode())
        signature = self.openssl("dgst", "-sha256", "-sign", self.private, data=text.encode())
        if self.alg == "ES256":  # JWS wants r and s as they are, OpenSSL gives DER
            r_end = 4 + signature[3]
            signature = b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (signature[4:r_end], signature[r_end + 2:]))
        return f"{text}.{b64(signature)}"

    def forge(self, token, port, until_s):
        """Another signature in each request, without waiting for the answers."""
        head, payload, _ = token.split(".")
        size = 256 if self.alg == "RS256" else 64
        while time.monotonic() < until_s:
            try:
                with socket.create_connection(("127.0.0.1", port), 2) as connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    while time.monotonic() < until_s:
                        connection.sendall("".join(f"GET /jobcast/v1/queues HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {head}.{payload}."
                                                   f"{b64(os.urandom(size))}\r\n\r\n" for _ in range(24)).encode())
                        if select.select([connection], [], [], 0.001)[0] and not connection.recv(65536):
                            break
            except OSError:
                pass


class Forged(unittest.TestCase):
    """Three programs at the others' address send forged tokens at full speed."""

    def under_attack(self, alg, work, seconds=20):
        with tempfile.TemporaryDirectory() as directory:
            signer = Signer(alg, directory)
            with Host({"key": f"{alg}:{signer.public}"}) as host:
                known = signer.token("known")
                self.assertEqual(host.get("/jobcast/v1/queues", token=known)[0], 200)
                newcomers = [signer.token(f"new{n}") for n in range(24)]
                fork = multiprocessing.get_context("fork")
                forgers = [fork.Process(target=signer.forge, args=(known, host.port, time.monotonic() + seconds)) for _ in range(3)]
                for forger in forgers:
                    forger.start()
                try:
                    until("they have used up the time for signatures", lambda: host.metric("jobcast_verifications_total") > 200)
                    work(host, known, newcomers)
                finally:
                    for forger in forgers:
                        forger.kill()
                        forger.join()

    def test_forged_tokens_cost_those_whose_token_is_known_nothing(self):
        def work(host, known, _):
            head, payload, signature = known.split(".")
            forged, waits = f"{head}.{payload}.A{signature[1:-2]}", {200: [], 401: []}
            waited = host.metric("jobcast_verifications_waited_total")
            for n in range(60):
                start = time.monotonic()
                status = host.get("/jobcast/v1/queues", token=[known, forged[:-8] + f"{n:08}"][n % 2])[0]
                waits[status].append(time.monotonic() - start)
            self.assertEqual([len(waits[status]) for status in waits], [30, 30])
            # It waits for no verification; the others do, unless the machine is so busy that the host has no time to use up.
            if host.metric("jobcast_verifications_waited_total") - waited >= 60:
                self.assertLess(2 * statistics.median(waits[200]), statistics.median(waits[401]))
        self.under_attack("RS256", work)

    def test_newcomer_at_the_forgers_address_is_let_in_at_the_first_try(self):
        def work(host, _, newcomers):
            tokens, longest = iter(newcomers), 0.0
            for _ in range(6):
                start = time.monotonic()
                self.assertEqual(host.get("/jobcast/v1/queues", token=next(tokens))[0], 200)
                status, _, body = host.request("POST", "/jobcast/v1/jobs", {**LATER, "args": {"text": "x" * 60_000}}, token=next(tokens))
                self.assertEqual(status, 201, body)
                with open_ws(host, next(tokens)):
                    pass
                with Ws(host, headers={"Authorization": "Bearer " + next(tokens)}) as ws:
                    self.assertEqual(ws.status, 101, ws.head)
                    ws.next("authenticated")
                longest = max(longest, time.monotonic() - start)
            self.assertLess(longest, 4)
        for alg in ("RS256", "ES256"):
            with self.subTest(alg=alg):
                self.under_attack(alg, work)


class Stopped(unittest.TestCase):
    """The engine stands still: SIGSTOP."""

    def setUp(self):
        self.host = Host({"engine-timeout": "1000"})

    def tearDown(self):
        self.host.stop()

    def ready(self):
        return self.host.get("/jobcast/health/ready", token=None)[0]

    def test_ready_says_no_while_the_engine_stands_still(self):
        self.assertEqual(self.ready(), 200)
        self.host.engine.say("quiet", "on")
        until("not ready", lambda: self.ready() == 503, 5)
        self.assertEqual({self.ready() for _ in range(3)}, {503})
        self.host.engine.say("quiet", "off")
        until("ready again", lambda: self.ready() == 200, 5)

    def test_submit_that_was_answered_503_is_not_carried_out_later(self):
        self.host.engine.say("quiet", "on")
        token = {n: self.host.token_for(f"user{n}") for n in range(8)}
        answers = at_once(48, lambda n: self.host.request("POST", "/jobcast/v1/jobs", {**LATER, "args": {"n": n, "text": "x" * 60_000}}, token=token[n % 8]))
        self.assertEqual(statuses(answers), [503, 504], answers[0])
        for _, headers, body in answers:
            self.assertEqual(headers["retry-after"], "1")
            self.assertIn("same Idempotency-Key", json.loads(body)["detail"])
        codes = {status: {json.loads(body)["code"] for s, _, body in answers if s == status} for status in (503, 504)}
        self.assertEqual(codes, {503: {"retry"}, 504: {"unanswered"}})
        self.host.engine.say("quiet", "off")
        until("it answers again", lambda: self.ready() == 200, 5)
        jobs = sum(len(json.loads(self.host.get("/jobcast/v1/jobs", token=token[n])[2])["jobs"]) for n in range(8))
        # What was sent was carried out in this case, and nothing else.
        self.assertEqual(jobs, [answer[0] for answer in answers].count(504))

    def test_ws_is_told_which_of_its_submits_may_have_been_carried_out(self):
        with open_ws(self.host) as ws:
            self.host.engine.say("quiet", "on")
            ws.send("submit_job", LATER, 1)
            error = ws.next("error")["data"]
            self.assertEqual(error["code"], "unanswered")
            self.assertIn("same Idempotency-Key", error["message"])
        self.host.engine.kill()
        with open_ws(self.host) as ws:
            ws.send("submit_job", LATER, 1)
            error = ws.next("error")["data"]
            self.assertEqual(error["code"], "retry")
            self.assertIn("was not carried out", error["message"])
        self.host.engine.start()


if __name__ == "__main__":
    unittest.main()
