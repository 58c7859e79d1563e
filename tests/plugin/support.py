"""Starts jobcast-host and jobcastd and speaks to it in raw bytes: what a well-behaved client library would never send. Standard library only."""
import base64, hashlib, hmac, http.client, json, os, re, shutil, signal, socket, struct, subprocess, tempfile, time

BIN = os.environ.get("JOBCAST_BIN", os.path.join(os.path.dirname(__file__), "../../build/bin"))
LIB = os.environ.get("JOBCAST_LIB", os.path.join(BIN, "../lib"))
OTHER_LWS = os.path.realpath(os.path.join(BIN, "../tests/other_lws.so"))  # preloaded: a libwebsockets of another version
PUPPET = os.path.realpath(os.path.join(BIN, "../tests/puppet"))
LWSWS = os.environ.get("JOBCAST_TEST_LWSWS")  # a real lwsws to be used in jobcast-host's place

# The libwebsockets that was built for. Bytes behind a request that is not answered yet: 4.1 keeps them, and all requests are answered; later ones
# end the connection, sometimes before the first answer (docs/lws.md).
LWS_VERSION = tuple(int(n) for n in re.search(r"libwebsockets (\d+)\.(\d+)\.(\d+)",
                    subprocess.run([os.path.join(BIN, "jobcast-host"), "--version"], capture_output=True, text=True, check=True).stdout).groups())
KEEPS_PIPELINED = LWS_VERSION < (4, 2, 0)

BEFORE_EXEC = None  # what engines and hosts call before they become that

ARGUMENTS = os.environ.get("JOBCAST_TEST_ARGUMENTS", "").split()  # more for jobcast-host, such as --loop libuv


def until(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Engine:
    """jobcastd with a queue that is never full and the kind `puppet`, whose jobs do what the test says (puppet.c)."""

    def __init__(self, dir):
        self.dir = dir
        self.socket = os.path.join(dir, "engine.sock")
        os.mkdir(os.path.join(dir, "puppets"))
        with open(os.path.join(dir, "jobcastd.conf"), "w") as file:
            json.dump({"socket": self.socket, "state_dir": os.path.join(dir, "state"), "progress_interval_ms": 1, "ring_bytes": 65536,
                       "queues": {"default": {"concurrency": 1024}},
                       "kinds": {"puppet": {"argv": [PUPPET], "working_dir": os.path.join(dir, "puppets"), "cancel_ms": 0},
                                 "again": {"argv": ["/bin/false"], "progress": "none", "max_attempts": 3, "retry_initial_ms": 1500, "retry_multiplier": 1}}}, file)
        self.start()

    def start(self):
        with open(os.path.join(self.dir, "engine.log"), "a") as log:
            self.child = subprocess.Popen([os.path.join(BIN, "jobcastd"), "--config", os.path.join(self.dir, "jobcastd.conf")], stderr=log, preexec_fn=BEFORE_EXEC)
        self.control = until("the engine listens", self._connect)

    def _connect(self):
        assert self.child.poll() is None, f"jobcastd ended: {self.dir}/engine.log"
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            try:
                control.connect(self.socket)
            except OSError:
                return None
            return control.makefile("rw")

    def call(self, method, **params):
        self.control.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
        self.control.flush()
        return json.loads(self.control.readline())["result"]

    def say(self, word, *rest):
        """`quiet on|off`: no call is answered, nothing told. Else a job, once it runs, does as it is told; returns when the engine shows it,
        after `flood` at once."""
        if word == "quiet":
            self.child.send_signal(signal.SIGSTOP if rest == ("on",) else signal.SIGCONT)
            os.waitid(os.P_PID, self.child.pid, os.WSTOPPED | os.WCONTINUED)
            return
        job, value = rest
        string = until(f"job {job} listens", lambda: self._string(job))
        os.write(string, f"{word} {value}\n".encode())
        os.close(string)
        shown = {"progress": lambda now: now["progress"]["done"] == value, "finish": lambda now: now["state"] == value, "flood": lambda now: True}
        until(f"{word} {value} is shown", lambda: shown[word](self.call("job.get", job_id=job)["job"]))

    def _string(self, job):
        try:
            return os.open(os.path.join(self.dir, "puppets", job), os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None

    def kill(self):
        self.control.close()
        self.child.kill()
        self.child.wait()


class Host:
    """jobcast-host and an engine in a directory of their own; `options` are further pvos, `plain` starts no engine."""

    def __init__(self, options=None, plain=False, global_options=None, arguments=(), vhost=None, env=None):
        self.dir = tempfile.mkdtemp(prefix="jobcast-test-")
        self.key = os.urandom(32).hex().encode()  # raw bytes might end in a newline, which is no part of a key
        with open(os.path.join(self.dir, "key"), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(self.key)
        os.mkdir(os.path.join(self.dir, "site"))
        with open(os.path.join(self.dir, "site/index.html"), "w") as file:
            file.write("<p>page</p>")
        self.env = {**os.environ, **(env or {})}
        self.engine = None if plain else Engine(self.dir)
        config = {
            "global": {"plugin-dir": LIB, **(global_options or {})},
            "vhosts": [{
                "name": "localhost", "port": "0", "interface": "lo", "disable-no-protocol-ws-upgrades": "on",
                "mounts": [{"mountpoint": "/", "origin": "file://" + self.dir + "/site", "default": "index.html"},
                           {"mountpoint": "/jobcast", "origin": "callback://jobcast"}],
                "ws-protocols": [{"jobcast": {"engine": os.path.join(self.dir, "engine.sock"), "key": f"HS256:{self.dir}/key", **(options or {})}}],
                **(vhost or {})}]}
        self.log = open(os.path.join(self.dir, "log"), "w+")
        self.token = self.token_for("alice")
        if LWSWS:
            self._start_lwsws(config)
        else:
            self._start_host(config, arguments)
        if not plain:
            self.await_engine()

    def _start_host(self, config, arguments):
        with open(os.path.join(self.dir, "host.json"), "w") as file:
            json.dump(config, file)
        self.parent = subprocess.Popen([os.path.join(BIN, "jobcast-host"), "-c", file.name, "--json", *arguments, *ARGUMENTS], env=self.env, preexec_fn=BEFORE_EXEC,
                                       stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.parent.stdout.readline()
        assert line, open(self.log.name).read()
        self.port = json.loads(line)["port"]
        self.pid = self.parent.pid

    def _start_lwsws(self, config):
        # A directory of its own: one file that is no plugin ends lws's scan.
        os.mkdir(os.path.join(self.dir, "plugins"))
        os.symlink(os.path.realpath(os.path.join(LIB, "libprotocol_jobcast.so")), os.path.join(self.dir, "plugins/libprotocol_jobcast.so"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config["global"]["plugin-dir"] = os.path.join(self.dir, "plugins")
        config["vhosts"][0]["port"] = str(self.port)
        os.makedirs(os.path.join(self.dir, "lwsws/conf.d"))
        with open(os.path.join(self.dir, "lwsws/conf"), "w") as file:
            json.dump({"global": config["global"]}, file)
        with open(os.path.join(self.dir, "lwsws/conf.d/jobcast"), "w") as file:
            json.dump({"vhosts": config["vhosts"]}, file)
        self.parent = subprocess.Popen([LWSWS, "-n", "-c", os.path.join(self.dir, "lwsws"), "-d", "7"], env=self.env, preexec_fn=BEFORE_EXEC, stdout=subprocess.DEVNULL, stderr=self.log)
        until("lwsws serves", lambda: self._answers() or self.parent.poll() is not None)
        with open(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children") as file:
            self.pid = int(file.read().split()[0])

    def _answers(self):
        try:
            return self.get("/jobcast/health/live", token=None)[0] == 200
        except OSError:
            return False

    def await_engine(self):
        until("the engine is attached", lambda: self.get("/jobcast/health/ready", token=None)[0] == 200)

    def token_for(self, user, scope="jobs:submit jobs:cancel", seconds=3600):
        head = b64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        body = b64(json.dumps({"sub": user, "scope": scope, "exp": int(time.time()) + seconds}).encode())
        return f"{head}.{body}." + b64(hmac.new(self.key, f"{head}.{body}".encode(), hashlib.sha256).digest())

    def connect(self, timeout=10):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def request(self, method, path, body=None, headers=None, token=""):
        headers = dict(headers or {})
        if token is not None:
            headers["Authorization"] = "Bearer " + (token or self.token)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def get(self, path, **named):
        return self.request("GET", path, **named)

    def raw(self, data, timeout=10):
        """What comes back until the server closes or nothing more comes for `timeout`."""
        with self.connect(timeout) as connection:
            connection.sendall(data)
            return read_all(connection)

    def submit(self, token="", **fields):
        """A job that has been started and waits for what the engine is to say, unless it is scheduled for later."""
        status, _, body = self.request("POST", "/jobcast/v1/jobs", {"kind": "puppet", **fields}, token=token)
        assert status == 201, (status, body)
        job = json.loads(body)["job_id"]
        until("it is started", lambda: json.loads(self.get(f"/jobcast/v1/jobs/{job}", token=token)[2])["state"] != "queued")
        return job

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as file:
            words = file.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def metric(self, name):
        text = self.get("/jobcast/metrics", token=None)[2].decode()
        return next(int(line.split()[1]) for line in text.splitlines() if line.split()[0] == name)

    def stop(self):
        code = self._stop_lwsws() if LWSWS else self._stop_host()
        if self.engine:
            self.engine.kill()
        self.log.seek(0)
        text = self.log.read()
        self.log.close()
        shutil.rmtree(self.dir)
        assert code == 0, (code, text[-4000:])
        return text

    def _stop_host(self):
        if self.parent.poll() is None:
            self.parent.terminate()
        code = self.parent.wait(10)
        self.parent.stdout.close()
        return code

    def _stop_lwsws(self):
        # SIGTERM to the parent leaves the child serving; SIGINT to the child is clean.
        self.parent.kill()
        self.parent.wait()
        if os.path.exists(f"/proc/{self.pid}"):
            os.kill(self.pid, 2)
        until("lwsws ends", lambda: not os.path.exists(f"/proc/{self.pid}"))
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def in_order(found, expected):
    """`found` is what pipelined requests may be answered with: all of `expected`, or where lws ends such connections the first of them."""
    return found == expected or not KEEPS_PIPELINED and found == expected[:len(found)]


def read_all(connection):
    data = b""
    try:
        while chunk := connection.recv(65536):
            data += chunk
    except (TimeoutError, ConnectionResetError):
        pass
    return data


class Ws:
    """A ws client of raw frames."""

    def __init__(self, host, path="/jobcast/ws", headers=None, protocol="jobcast.v1", key=None, version="13", method="GET", timeout=10):
        self.socket = host.connect(timeout)
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{host.port}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key or base64.b64encode(os.urandom(16)).decode()}", f"Sec-WebSocket-Version: {version}"]
        if protocol:
            lines.append(f"Sec-WebSocket-Protocol: {protocol}")
        lines += [f"{k}: {v}" for k, v in (headers or {}).items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            chunk = self.socket.recv(65536)
            if not chunk:
                break
            self.buffer += chunk
        self.head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        self.head = self.head.decode()
        self.status = int(self.head.split()[1]) if self.head else 0

    def frame(self, opcode, payload=b"", fin=True, mask=True):
        size = len(payload)
        head = bytes([(0x80 if fin else 0) | opcode])
        bit = 0x80 if mask else 0
        head += bytes([bit | size]) if size < 126 else bytes([bit | 126]) + struct.pack(">H", size) if size < 65536 else bytes([bit | 127]) + struct.pack(">Q", size)
        if not mask:
            return head + payload
        key = os.urandom(4)
        return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))

    def send(self, event, data=None, id=None):
        message = {"event": event, "data": {} if data is None else data}
        if id is not None:
            message["id"] = id
        self.socket.sendall(self.frame(1, json.dumps(message).encode()))

    def _fill(self, size):
        while len(self.buffer) < size:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise EOFError
            self.buffer += chunk

    def next_frame(self):
        self._fill(2)
        opcode, size, at = self.buffer[0] & 15, self.buffer[1] & 127, 2
        if size == 126:
            self._fill(4)
            size, at = struct.unpack(">H", self.buffer[2:4])[0], 4
        elif size == 127:
            self._fill(10)
            size, at = struct.unpack(">Q", self.buffer[2:10])[0], 10
        self._fill(at + size)
        payload, self.buffer = self.buffer[at:at + size], self.buffer[at + size:]
        return opcode, payload

    def next(self, event=None):
        """The next message, or the next of that name."""
        while True:
            opcode, payload = self.next_frame()
            if opcode == 9:
                self.socket.sendall(self.frame(10, payload))
            elif opcode == 8:
                raise EOFError(struct.unpack(">H", payload[:2])[0] if payload else 1005, payload[2:].decode())
            elif opcode == 1:
                message = json.loads(payload)
                if event in (None, message["event"]):
                    return message

    def closed_with(self):
        """The code of the server's close frame, 0 for none."""
        try:
            while True:
                self.next()
        except EOFError as end:
            return end.args[0] if end.args else 0
        except ConnectionResetError:
            return 0

    def authenticate(self, token):
        self.send("authenticate", {"token": token})
        return self.next("authenticated")

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def open_ws(host, token=None):
    ws = Ws(host)
    assert ws.status == 101, ws.head
    ws.authenticate(token or host.token)
    return ws
