"""docs/lws.md says who answers what: each row of its table is sent to the server and compared."""
import os, re, time, unittest
from support import LWSWS, Host, Ws

DOCUMENT = os.path.join(os.path.dirname(__file__), "../../docs/lws.md")
UPGRADE = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
           "Sec-WebSocket-Protocol: jobcast.v1"]
LIVE = b"GET /jobcast/health/live HTTP/1.1\r\nHost: h\r\n\r\n"


def rows():
    """(lines, answer, then) of the table whose head begins with "Sent"."""
    with open(DOCUMENT) as file:
        table = file.read().split("| Sent |")[1].split("\n\n")[0].splitlines()[2:]
    for row in table:
        sent, answer, then, _ = (cell.strip() for cell in row.strip("|").split("|"))
        first, *more = re.match(r"`(.*)`", sent).group(1).split(" ⏎ ")
        other = re.search(r"lwsws: (\w+)", answer)
        yield [first, "Host: h", *(UPGRADE if sent.endswith("*ws*") else []), *more], (other.group(1) if other and LWSWS else answer.split()[0]), then


def until_closed(connection):
    """What came until the server closed."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return data


def silent_start(host):
    with host.connect(15) as silent, host.connect(15) as half:
        half.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n")
        until_closed(silent)
        until_closed(half)


def late_body(host, data=b"", token=True):
    with host.connect(15) as connection:
        bearer = f"Authorization: Bearer {host.token}\r\n" if token else ""
        connection.sendall(f"POST /jobcast/v1/jobs HTTP/1.1\r\nHost: h\r\n{bearer}Content-Length: 50000\r\n\r\n".encode() + data)
        until_closed(connection)


def idle(host):
    with host.connect(15) as connection:
        connection.sendall(LIVE)
        until_closed(connection)


def silent_ws(host, authenticated):
    with Ws(host, headers={"Authorization": f"Bearer {host.token}"} if authenticated else None, timeout=15) as ws:
        until_closed(ws.socket)


# Rows of "After how long": what brings it about with the settings of the test, and after how many seconds it ends, at least and at most.
DURATIONS = {"a connection that sends nothing, or not all of its headers": (silent_start, 10, 14),
             "a body that does not come": (late_body, 1, 6),
             "a refused body that goes on coming": (lambda host: late_body(host, b"x", token=False), 1.8, 5),
             "a connection between two requests": (idle, 2, 5),
             "a ws that is silent": (lambda host: silent_ws(host, True), 2, 6),
             "a ws that does not authenticate": (lambda host: silent_ws(host, False), 1, 6)}
ELSEWHERE = {"a client that does not take its answer", "a client that leaves a held answer"}  # held_answers.py


class Walk(unittest.TestCase):
    def test_each_wait_ends_after_as_long_as_it_says(self):
        with open(DOCUMENT) as file:
            table = file.read().split("| What | Who | After |")[1].split("\n\n")[0].splitlines()[2:]
        self.assertEqual({row.strip("|").split("|")[0].strip() for row in table}, DURATIONS.keys() | ELSEWHERE)
        with Host({"body-time": "1", "auth-timeout": "1", "ping-interval": "1", "ping-timeout": "1"}, plain=True, vhost={"keepalive_timeout": "2"}) as host:
            for what, (wait, least, most) in DURATIONS.items():
                with self.subTest(what):
                    begun = time.monotonic()
                    wait(host)
                    self.assertTrue(least - 0.2 <= time.monotonic() - begun <= most, f"after {time.monotonic() - begun:.1f} s")

    def test_each_row_of_the_table_is_answered_as_it_says(self):
        count = 0
        with Host(plain=True, global_options={"timeout-secs": "20"}) as host:
            for lines, answer, then in rows():
                count += 1
                with self.subTest(lines=lines), host.connect(5) as connection:
                    cpu = host.cpu_seconds()
                    text = "\r\n".join([*lines, "", ""])
                    connection.sendall(re.sub(r"\\(?:t|x(..))", lambda at: chr(int(at[1] or "9", 16)), text).encode())
                    data = connection.recv(65536)
                    self.assertEqual(data[9:12].decode() or "closed", answer)
                    if then == "closes" and answer != "200":
                        while connection.recv(65536):
                            pass
                    elif then == "stays" and answer != "101":
                        connection.sendall(LIVE)
                        while b"live" not in data:
                            more = connection.recv(65536)
                            self.assertTrue(more, "it does not stay")
                            data += more
                    self.assertLess(host.cpu_seconds() - cpu, 1)
        self.assertGreater(count, 60)

    def test_connect_swallows_nothing(self):
        with Host(plain=True) as host, host.connect(5) as connection:
            try:
                connection.sendall(b"CONNECT a:1 HTTP/1.1\r\n\r\n" + b"x" * (50 << 20))
            except OSError:
                return
            self.fail("50 MB were taken")


if __name__ == "__main__":
    unittest.main()
