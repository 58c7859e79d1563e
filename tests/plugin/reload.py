"""SIGHUP to lwsws: a new child serves, and the old one, which lwsws would leave for ever, tells its clients to come back and ends."""
import json, os, signal, time, unittest
from support import LWSWS, Host, Ws, open_ws, until


@unittest.skipUnless(LWSWS, "needs a real lwsws")
class Reload(unittest.TestCase):
    def test_superseded_child_sends_its_clients_on_and_ends(self):
        with Host() as host:
            job = host.submit()
            old = host.pid
            with open_ws(host) as ws:
                ws.send("subscribe_job", {"job_id": job})
                ws.next("subscribed")
                os.kill(host.parent.pid, signal.SIGHUP)
                self.assertEqual(ws.closed_with(), 1001)

            def serves():
                try:
                    with open_ws(host) as again:
                        again.send("subscribe_job", {"job_id": job})
                        return again.next("subscribed")
                except (OSError, EOFError, AssertionError):
                    return None

            until("a new child serves", serves, 15)
            until("the old child has ended", lambda: not self.alive(old), 15)
            with open(f"/proc/{host.parent.pid}/task/{host.parent.pid}/children") as file:
                host.pid = next(pid for pid in map(int, file.read().split()) if self.alive(pid))
            self.assertNotEqual(host.pid, old)
            host.engine.say("finish", job, "completed")
            self.assertEqual(json.loads(host.get(f"/jobcast/v1/jobs/{job}")[2])["state"], "completed")

    def alive(self, pid):
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main()
