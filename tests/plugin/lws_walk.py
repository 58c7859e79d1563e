"""docs/lws.md says who answers what: each row of its table is sent to the server and compared."""
import os, re, time, unittest
from support import LWSWS, Host

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


class Walk(unittest.TestCase):
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
