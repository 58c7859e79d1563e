"""TLS ended by the server itself: large bodies, keep-alive, streams and ws, and what is pipelined."""
import json, os, ssl, subprocess, tempfile, time, unittest
from support import LWSWS, Host, Ws, in_order, read_all


class TlsHost(Host):
    def __init__(self, options=None):
        self.certificates = tempfile.TemporaryDirectory(prefix="jobcast-test-")
        key, cert = (os.path.join(self.certificates.name, name) for name in ("key.pem", "cert.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-keyout", key, "-out", cert], check=True, capture_output=True)
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        super().__init__(options, plain=False, global_options={"init-ssl": "yes"}, vhost={"host-ssl-key": key, "host-ssl-cert": cert})

    def connect(self, timeout=10):
        return self.context.wrap_socket(super().connect(timeout), server_hostname="localhost")

    def request(self, method, path, body=None, headers=None, token=""):
        data = json.dumps(body).encode() if body is not None else b""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
        if token is not None:
            lines.append(f"Authorization: Bearer {token or self.token}")
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
        answer = self.raw("\r\n".join([*lines, *(f"{k}: {v}" for k, v in (headers or {}).items()), "", ""]).encode() + data)
        head, _, rest = answer.partition(b"\r\n\r\n")
        names = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
        return int(head.split()[1]), names, rest


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = TlsHost()

    @classmethod
    def tearDownClass(cls):
        cls.host.stop()
        cls.host.certificates.cleanup()

    def head(self, method, path, *lines):
        return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: h", f"Authorization: Bearer {self.host.token}", *lines, "", ""]).encode()

    def test_large_bodies_are_taken_again_and_again(self):
        body = json.dumps({"kind": "puppet", "args": {"x": "y" * 60000}}).encode()
        with self.host.connect() as connection:
            for _ in range(5):
                connection.sendall(self.head("POST", "/jobcast/v1/jobs", "Content-Type: application/json", f"Content-Length: {len(body)}") + body)
                answer = connection.recv(65536)
                self.assertTrue(answer.startswith(b"HTTP/1.1 201"), answer[:300])
                connection.sendall(self.head("GET", "/jobcast/v1/queues"))
                self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200"))

    @unittest.skipIf(LWSWS, "lwsws takes any key that it can read")
    def test_private_key_that_strangers_can_read_is_refused(self):
        with tempfile.TemporaryDirectory() as dir:
            path = os.path.join(dir, "key.pem")
            with open(path, "w") as file:
                file.write("irrelevant")
            os.chmod(path, 0o644)
            with self.assertRaisesRegex(AssertionError, "host-ssl-key.*chmod o-rwx"):
                Host(plain=True, global_options={"init-ssl": "yes"}, vhost={"host-ssl-key": path, "host-ssl-cert": path})

    def test_page_and_then_a_submit_on_one_connection(self):
        body = b'{"kind":"puppet"}'
        with self.host.connect() as connection:
            for _ in range(3):
                connection.sendall(self.head("GET", "/"))
                data = b""
                while b"page" not in data:
                    data += connection.recv(65536)
                connection.sendall(self.head("POST", "/jobcast/v1/jobs", "Content-Type: application/json", f"Content-Length: {len(body)}") + body)
                self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 201"))

    def test_body_pipelined_behind_another_request_does_not_hang(self):
        body = b'{"kind":"puppet"}'
        post = self.head("POST", "/jobcast/v1/jobs", "Content-Type: application/json", f"Content-Length: {len(body)}") + body
        for first in (self.head("GET", "/jobcast/health/live"), self.head("GET", "/"), post):
            data = self.host.raw(first + post + post, 2)
            self.assertTrue(in_order([True] * data.count(b"HTTP/1.1 20"), [True]), data)
        self.assertEqual(self.host.get("/jobcast/health/live")[0], 200)

    def test_ws_and_stream_carry_events(self):
        job = self.host.submit()
        with Ws(self.host) as ws, self.host.connect() as stream:
            self.assertEqual(ws.status, 101)
            ws.authenticate(self.host.token)
            ws.send("subscribe_job", {"job_id": job})
            ws.next("subscribed")
            stream.sendall(self.head("GET", f"/jobcast/v1/jobs/{job}/events"))
            self.assertIn(b"text/event-stream", stream.recv(65536))
            self.host.engine.say("flood", job, 500)
            self.host.engine.say("finish", job, "completed")
            self.assertEqual(ws.next("job_completed")["data"]["job_id"], job)
            data = b""
            while b"job_completed" not in data:
                data += stream.recv(65536)

    def test_streams_client_that_leaves_is_noticed(self):
        job = self.host.submit()
        connection = self.host.connect()
        connection.sendall(self.head("GET", f"/jobcast/v1/jobs/{job}/events"))
        connection.recv(65536)
        cpu = self.host.cpu_seconds()
        connection.close()
        end = time.monotonic() + 3
        while self.host.metric("jobcast_sessions") and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.host.metric("jobcast_sessions"), 0)
        self.assertLess(self.host.cpu_seconds() - cpu, 0.5)


if __name__ == "__main__":
    unittest.main()
