"""The shipped nginx configuration, by a real nginx: no way to write /jobcast/metrics gets through its `deny`."""
import io, os, random, re, shutil, socket, subprocess, tempfile, unittest
from support import Host, Ws, read_all, until

CONF = os.path.join(os.path.dirname(__file__), "../../conf/nginx/jobcast.conf")
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")


class Nginx:
    """nginx before a host, as conf/nginx/jobcast.conf has it but for names, TLS and ports; `open` allows this machine what it denies others,
    `more` stands in the server block as well."""

    def __init__(self, host, open=False, more=""):
        self.dir = tempfile.mkdtemp(prefix="jobcast-nginx-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        with io.open(CONF) as file:
            text = file.read()
        text = text.replace("127.0.0.1:7681", f"127.0.0.1:{host.port}")
        text = re.sub(r"listen 443 ssl http2;", f"listen 127.0.0.1:{self.port};", text)
        text = re.sub(r"^ *(listen \[::\]|ssl_certificate|server_name).*\n", "", text, flags=re.M)
        text = text.replace("  proxy_http_version", f"  {more}\n  proxy_http_version", 1)
        if not open:
            text = re.sub(r"^ *allow .*\n", "", text, flags=re.M)
        temp = "".join(f"{name}_temp_path {self.dir}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with io.open(os.path.join(self.dir, "nginx.conf"), "w") as file:
            file.write(f"daemon off;\nmaster_process off;\npid {self.dir}/pid;\nerror_log {self.dir}/log crit;\n"
                       f"events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{temp}{text}\n}}\n")
        self.child = subprocess.Popen([NGINX, "-p", self.dir, "-c", file.name, "-e", os.path.join(self.dir, "log")], stderr=subprocess.DEVNULL)
        until("nginx serves", self._serves)

    def _serves(self):
        assert self.child.poll() is None, io.open(os.path.join(self.dir, "log")).read()
        try:
            return self.connect().close() is None
        except OSError:
            return False

    def connect(self, timeout=5):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def ask(self, target):
        with self.connect() as connection:
            connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            return read_all(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        self.child.wait()
        shutil.rmtree(self.dir)


WRITTEN = [b"/jobcast/metrics" + end for end in (
    b"", b"%0a", b"%0d", b"%0d%0a", b"%00", b"%09", b"%7f", b"%20", b"%0aHTTP/1.1", b"%0Ahttp/1.1", b"%0aHTTP/1.0", b"%0aX:", b"%0aCookie:jobcast_token=x",
    b"?", b"?x%0aHTTP/1.1", b"?%0aHTTP/1.1", b"%3f", b"#", b"%23", b";", b"&", b"%3b", b"/.", b"/..", b"/x/..", b"/x/%2e%2e", b"/x/..;", b"/%2e", b"%2f",
    b"/x/..%2f", b"/x/..%3f", b"/x/..?", b"/x/..#", b"%c0%8a", b"%250a", b"\t", b" ", b"\r", b"\n", b"\x7f", b"\x0b")] + [
    b"/jobcast/x/../metrics", b"/jobcast/x#/../metrics", b"/jobcast/x%23/../metrics", b"/jobcast/x?/../metrics", b"/jobcast/x%3f/../metrics", b"/jobcast/met;rics",
    b"/jobcast/met&rics", b"/jobcast;/metrics", b"/jobcast//metrics", b"//jobcast/metrics", b"/./jobcast/./metrics", b"/jobcast%2fmetrics", b"/jobcast/%6detrics",
    b"/jobcast/%256detrics", b"/jobcast/..%2fjobcast/metrics", b"/x/../jobcast/metrics/x/..", b"http://h/jobcast/metrics", b"http://h/jobcast/metrics/x/..",
    b"http://h?/../jobcast/metrics", b"/jobcast/%c0%ae%c0%ae/jobcast/metrics", b"/jobcast/.%00./metrics", b"\\jobcast\\metrics", b"/..%3fjobcast/metrics", b"/jobcast/x/..%3fmetrics", b"/jobcast\\..\\jobcast/metrics"]


def mutated(dice):
    """/jobcast/metrics, written so that somebody might take it for that and somebody else not."""
    pieces = [b"/", b"jobcast", b"/", b"metrics"]
    for _ in range(dice.randint(1, 4)):
        at = dice.randint(0, len(pieces))
        pieces.insert(at, dice.choice([b"/", b".", b"..", b"/.", b"/..", b"/x/..", b"x/../", b"%2e", b"%2f", b"%2e%2e/", b";", b"&", b"?", b"#", b"%23", b"%3f", b"%0a",
                                       b"%0d", b"%09", b"%20", b"+", b"%00", b"%", b"\\", b"%5c", b"%0aHTTP/1.1", b"%0aX:", b"%25", b"%c0%af", b"=", b":", b"@"]))
    text = b"".join(pieces)
    return b"".join(b"%%%02x" % byte if dice.random() < 0.05 else bytes([byte]) for byte in text)


@unittest.skipUnless(NGINX, "nginx is not installed")
class Acl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host()

    @classmethod
    def tearDownClass(cls):
        cls.host.stop()

    def test_no_way_to_write_a_denied_path_passes_the_shipped_configuration(self):
        dice = random.Random(20)
        targets = WRITTEN + [mutated(dice) for _ in range(3000)]
        with Nginx(self.host) as nginx:
            self.assertTrue(nginx.ask(b"/jobcast/metrics").startswith(b"HTTP/1.1 403"))
            passed = [target for target in targets if b"jobcast_http_requests" in nginx.ask(target)]
        self.assertEqual(passed, [])

    def test_no_way_passes_where_the_server_keeps_double_slashes(self):
        dice = random.Random(21)
        slashed = [target.replace(b"/", b"//", dice.randint(1, 2)) for target in WRITTEN]
        with Nginx(self.host, more="merge_slashes off;") as nginx:
            passed = [target for target in WRITTEN + slashed if b"jobcast_http_requests" in nginx.ask(target)]
        self.assertEqual(passed, [])

    def test_what_is_not_denied_passes(self):
        with Nginx(self.host, open=True) as nginx:
            self.assertIn(b"jobcast_http_requests", nginx.ask(b"/jobcast/metrics"))
            self.assertIn(b"<p>page</p>", nginx.ask(b"/"))
            self.assertTrue(nginx.ask(b"/jobcast/v1/jobs?limit=1&kind=a%20b").startswith(b"HTTP/1.1 401"))
            job = self.host.submit()
            with Ws(nginx, headers={"Authorization": f"Bearer {self.host.token}"}) as ws:
                self.assertEqual(ws.status, 101)
                ws.next("authenticated")
                ws.send("subscribe_job", {"job_id": job})
                ws.next("subscribed")


if __name__ == "__main__":
    unittest.main()
