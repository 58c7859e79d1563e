"""The engine and the host where the kernel's newer calls are refused as Linux 4.4 refuses them: a job runs through, is watched and cancelled."""
import ctypes, errno, json, os, platform, struct, subprocess, tempfile, unittest
import support
from support import LWSWS, Host, open_ws

# Numbers of the calls, and from which one on 4.4 knows none: mlock2 is its newest, which is the call behind membarrier.
CALLS = {"x86_64": {"audit": 0xC000003E, "fcntl": 72, "memfd_create": 319, "first_newer": 324, "mlock2": 325},
         "aarch64": {"audit": 0xC00000B7, "fcntl": 25, "memfd_create": 279, "first_newer": 283, "mlock2": 284}}.get(platform.machine())
F_ADD_SEALS, F_SEAL_FUTURE_WRITE, MFD_KNOWN = 1033, 0x10, 3
ALLOW, ERROR = 0x7FFF0000, 0x00050000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCH, ARGUMENT = 0, 4, lambda n: 16 + 8 * n


def program(refusal=errno.ENOSYS):
    """In the order of reading: (operation, value, skip if so, skip if not)."""
    c = CALLS
    rows = [(LOAD, ARCH, 0, 0), (EQUAL, c["audit"], 0, 13), (LOAD, NUMBER, 0, 0),
            (EQUAL, c["mlock2"], 11, 0), (AT_LEAST, c["first_newer"], 9, 0), (EQUAL, c["memfd_create"], 5, 0), (EQUAL, c["fcntl"], 0, 8),
            (LOAD, ARGUMENT(1), 0, 0), (EQUAL, F_ADD_SEALS, 0, 6), (LOAD, ARGUMENT(2), 0, 0), (ANY_BIT, F_SEAL_FUTURE_WRITE, 2, 4),
            (LOAD, ARGUMENT(1), 0, 0), (ANY_BIT, ~MFD_KNOWN & 0xFFFFFFFF, 0, 2),
            (RETURN, ERROR | errno.EINVAL, 0, 0), (RETURN, ERROR | refusal, 0, 0), (RETURN, ALLOW, 0, 0)]
    return b"".join(struct.pack("HBBI", operation, yes, no, value) for operation, value, yes, no in rows), len(rows)


def as_linux_4_4(refusal=errno.ENOSYS):
    """In the child, before its program starts; inherited by whatever it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    code, count = program(refusal)
    rows = ctypes.create_string_buffer(code)
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", count, ctypes.addressof(rows)))
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, head, 0, 0) != 0:  # NO_NEW_PRIVS, SECCOMP with a filter
        raise OSError(ctypes.get_errno(), "seccomp")


@unittest.skipUnless(CALLS, "the numbers of this machine's calls are not listed")
class OldKernel(unittest.TestCase):
    def setUp(self):
        support.BEFORE_EXEC = as_linux_4_4
        self.addCleanup(setattr, support, "BEFORE_EXEC", None)

    def test_filter_refuses_what_it_should(self):
        child = os.fork()
        if child == 0:
            as_linux_4_4()
            libc = ctypes.CDLL(None, use_errno=True)
            fd = libc.memfd_create(b"x", 3)
            seals = [libc.fcntl(fd, F_ADD_SEALS, 0x16) == -1, ctypes.get_errno() == errno.EINVAL, libc.fcntl(fd, F_ADD_SEALS, 6) == 0]
            newer = [libc.memfd_create(b"x", 11) == -1, libc.syscall(434, os.getpid(), 0) == -1, ctypes.get_errno() == errno.ENOSYS]
            os._exit(0 if fd >= 0 and all(seals + newer) else 1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)

    def test_engine_aborts_without_a_word_where_an_old_container_forbids_new_calls(self):
        # EPERM in place of ENOSYS: the C library then makes no thread.
        with tempfile.TemporaryDirectory() as place:
            with open(os.path.join(place, "conf"), "w") as file:
                json.dump({"socket": place + "/s", "state_dir": place + "/state"}, file)
            done = subprocess.run([os.path.join(support.BIN, "jobcastd"), "--config", file.name], preexec_fn=lambda: as_linux_4_4(errno.EPERM),
                                  capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("the system gives the store no thread", done.stderr)

    def test_engine_exits_not_on_a_kernel_without_the_future_write_seal(self):
        with Host() as host:
            job, other = host.submit(), host.submit()
            with open_ws(host) as ws:
                ws.send("subscribe_job", {"job_id": job})
                ws.next("subscribed")
                host.engine.say("progress", job, 7)
                while ws.next("job_update")["data"]["progress"]["done"] != 7:
                    pass
                host.engine.say("finish", job, "completed")
                self.assertEqual(ws.next("job_completed")["data"]["job_id"], job)
                ws.send("subscribe_job", {"job_id": other})
                ws.next("subscribed")
                self.assertEqual(host.request("POST", f"/jobcast/v1/jobs/{other}/cancel", b"")[0], 200)
                ended = ws.next("job_completed")["data"]
                self.assertEqual((ended["job_id"], ended["state"]), (other, "cancelled"))
            self.assertEqual(json.loads(host.get(f"/jobcast/v1/jobs/{job}")[2])["state"], "completed")
            with open(os.path.join(host.dir, "engine.log")) as log:
                self.assertEqual(log.read().count("event=kernel_without_future_write_seal"), 1)


if __name__ == "__main__":
    unittest.main()
