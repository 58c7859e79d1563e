"""A machine whose clock is not set, is set, and jumps: the real engine and host under libfaketime, whose offset a file says."""
import glob, json, os, tempfile, time, unittest
from support import Host, Ws, until

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)


@unittest.skipUnless(FAKETIME, "needs the package faketime")
class Clock(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="jobcast-test-")
        self.file = os.path.join(self.folder.name, "offset")
        self.set("-20500d")  # in 1970
        # What these programs measure by stays true: only what people see is set.
        os.environ.update(LD_PRELOAD=FAKETIME, FAKETIME_TIMESTAMP_FILE=self.file, FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1",
                          DONT_FAKE_MONOTONIC="1")
        self.host = None

    def tearDown(self):
        if self.host:
            self.host.stop()
        for name in ("LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "DONT_FAKE_MONOTONIC"):
            os.environ.pop(name, None)
        self.folder.cleanup()

    def set(self, offset):
        with open(self.file + ".new", "w") as file:
            file.write(offset)
        os.rename(self.file + ".new", self.file)

    def test_backoff_is_waited_out_although_the_clock_is_set_back(self):
        self.set("+0d")
        self.host = host = Host()
        submit = lambda: host.engine.call("job.submit", kind="again", owner="alice")["job"]["job_id"]
        state = lambda job: host.engine.call("job.get", job_id=job)["job"]["state"]
        first = submit()
        until("its first attempt has failed", lambda: state(first) == "retrying")
        self.set("-1h")
        until("all three attempts have failed", lambda: state(first) == "failed", 20)
        second = submit()
        until("its first attempt has failed", lambda: state(second) == "retrying")
        host.engine.kill()
        self.set("-2h")  # while nobody looks
        host.engine.start()
        until("the backoff that was begun before ends", lambda: state(second) == "failed", 20)

    def test_device_whose_clock_is_set_after_its_start(self):
        self.host = host = Host()
        status, _, body = host.get("/jobcast/v1/jobs")
        self.assertEqual(status, 401)
        self.assertIn("the clock of this server is not set (it shows 19", json.loads(body)["detail"])
        with Ws(host) as ws:
            ws.send("authenticate", {"token": host.token})
            self.assertEqual(ws.next("auth_error")["data"]["code"], "clock_not_set")
            ws.send("ping")
            ws.next("pong")  # the connection is kept until its time to authenticate is up
            # A local program submits without a token.
            job = host.engine.call("job.submit", kind="puppet", owner="alice")["job"]["job_id"]
            host.engine.say("finish", job, "completed")
            self.set("+0d")
            ws.authenticate(host.token)
            host.engine.kill()
            host.engine.start()  # looks at once for what is to be deleted
            host.await_engine()
            time.sleep(0.5)
            self.assertEqual(host.get(f"/jobcast/v1/jobs/{job}")[0], 200)

    def test_clock_set_forward_by_50_years_ends_no_session(self):
        self.set("+0d")
        self.host = host = Host()
        with Ws(host) as ws:
            ws.authenticate(host.token)
            job = host.submit()
            self.set("+18262d")
            self.assertEqual(host.get("/jobcast/v1/jobs")[0], 401)  # presented now, the token is an old one
            host.engine.say("finish", job, "completed")
            self.assertEqual(ws.next("job_completed")["data"]["job_id"], job)

    def test_clock_set_back_prolongs_no_session(self):
        self.set("+0d")
        self.host = host = Host({"expiry-warning": "0"})
        with Ws(host) as ws:
            ws.authenticate(host.token_for("alice", seconds=3))
            self.set("-1h")
            self.assertEqual(ws.next("auth_error")["data"]["code"], "token_expired")


if __name__ == "__main__":
    unittest.main()
