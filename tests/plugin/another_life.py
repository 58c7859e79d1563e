"""The engine's state directory is put back from a copy while clients and host live on: revs begin lower, and everybody hears what is."""
import json, os, shutil, time, unittest
from support import Host, until


class Stream:
    """A server-sent stream, read as it comes."""

    def __init__(self, host, path, last_id=""):
        self.connection = host.connect()
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {host.token}\r\n" + (f"Last-Event-ID: {last_id}\r\n" if last_id else "")
        self.connection.sendall(head.encode() + b"\r\n")
        self.lines = self.connection.makefile("r")

    def next(self, *wanted):
        """The next of these events: its id and its data. What else comes meanwhile is passed over."""
        fields = {}
        for line in self.lines:
            name, _, value = line.rstrip("\n").partition(": ")
            if name in ("id", "event", "data"):
                fields[name] = value
            if not name and fields:
                if fields.get("event") in wanted:
                    return int(fields.get("id", 0)), json.loads(fields["data"])
                fields = {}
        raise AssertionError(f"the stream ended before {wanted}")

    def close(self):
        self.lines.close()
        self.connection.close()


class AnotherLife(unittest.TestCase):
    def setUp(self):
        self.host = Host()

    def tearDown(self):
        self.host.stop()

    def restart(self, put_back=False):
        state, copy = (os.path.join(self.host.dir, name) for name in ("state", "copy"))
        self.host.engine.kill()
        if put_back:
            shutil.rmtree(state)
            shutil.copytree(copy, state)
        elif not os.path.exists(copy):
            shutil.copytree(state, copy)
        self.host.engine.start()
        self.host.await_engine()

    def test_streams_and_polls_hear_an_engine_that_goes_on_from_an_older_copy(self):
        host = self.host
        later = {"kind": "puppet", "run_at_ms": int(time.time() * 1000) + 3_600_000}
        job = json.loads(host.request("POST", "/jobcast/v1/jobs", later)[2])["job_id"]
        self.restart()  # and copied
        lost = json.loads(host.request("POST", "/jobcast/v1/jobs", later)[2])["job_id"]
        for _ in range(2):
            self.restart()
        of_job, of_user, of_lost = (Stream(host, path) for path in (f"/jobcast/v1/jobs/{job}/events", "/jobcast/v1/events", f"/jobcast/v1/jobs/{lost}/events"))
        high = of_job.next("job_update")[0]
        of_lost.next("job_update")

        self.restart(put_back=True)
        rev, snapshot = of_job.next("job_update")
        self.assertLess(rev, high)
        self.assertEqual(of_user.next("job_list_update")[1]["job"], None)
        self.assertEqual(of_lost.next("unsubscribed")[1]["job_id"], lost)
        # Whoever comes back with a rev of the other life is told in full.
        status, headers, body = host.get(f"/jobcast/v1/jobs/{job}", headers={"If-None-Match": f'"{high}"', "Prefer": "wait=5"})
        self.assertEqual((status, json.loads(body)["rev"]), (200, rev))
        back, all_back = Stream(host, f"/jobcast/v1/jobs/{job}/events", high), Stream(host, "/jobcast/v1/events", high)
        self.assertEqual(back.next("job_update")[0], rev)
        self.assertEqual(all_back.next("job_list_update")[1]["job"], None)

        host.request("POST", f"/jobcast/v1/jobs/{job}/cancel")
        for stream in (of_job, of_user, back, all_back):
            self.assertEqual(stream.next("job_completed")[1]["job_id"], job)
            stream.close()
        of_lost.close()


if __name__ == "__main__":
    unittest.main()
