#!/usr/bin/env python3
"""check-config through the front door: each mistake with its sentence, of engine and host, all at once, and the host that does not listen."""

import json
import os
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

BIN = Path(os.environ["JOBCAST_BIN"])
KEY = "0123456789abcdef0123456789abcdef"
# Root who may not write whatever it likes, as other users are.
MODES_COUNT = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
MOUNT = '{"mountpoint": "/jobcast", "origin": "callback://jobcast"}'


class WithDirectory(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.dir = Path(place.name)
        key = self.dir / "token.key"
        key.write_text(KEY)
        key.chmod(0o600)

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text.replace("@", str(self.dir)))
        return str(path)

    def run_to_end(self, *words):
        return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=30)

    def check(self, *paths):
        return self.run_to_end(BIN / "jobcast", "check-config", *paths)

    def vhost(self, members, mounts=MOUNT, options="", top=""):
        return (f'{{{top}"vhosts": [{{"name": "a", {members}, "mounts": [{mounts}],\n'
                f'"ws-protocols": [{{"jobcast": {{"key": "HS256:@/token.key"{options}}}}}]}}]}}')


class Engine(WithDirectory):
    MISTAKES = [
        ('{"slots": 16,}', ":1:13: error: a comma before the closing }: remove it"),
        ('{"slots": 16\n"retain_count": 5}', ":1:13: error: a comma is missing behind this value"),
        ('{"slots": 16 # few\n}', ":1:14: error: a comment behind a value"),
        ('{"slotz": 16}', ':1:2: error: slotz is not known here: did you mean "slots"?'),
        ('{"progress_interval_ms": "10s"}', ':1:26: error: progress_interval_ms must be a whole number from 1 to 60000, not "10s": write 10000'),
        ('{"state_dir": "@/no/such"}', ":1:15: error: state_dir cannot be made: @/no does not exist (mkdir -p @/no)"),
        ('{"socket": "@/no/engine.sock"}', ":1:12: error: socket lies in @/no, which does not exist"),
        ('{"socket": "/tmp/' + "s" * 108 + '"}', ":1:12: error: socket is longer than a socket's path may be (107 bytes)"),
        ('{"control": {"users": ["root", "no-such-user"]}}', ":1:32: error: control.users names a user that this machine does not have"),
        ('{"control": {"groups": ["no-such-group"]}}', ":1:25: error: control.groups names a group that this machine does not have"),
        ('{"kinds": {"k": {"argv": ["@/absent"]}}}', ":1:26: error: kinds.k.argv names a program that does not exist: @/absent"),
        ('{"socket": "@/x/"}', ":1:12: error: socket ends with /"),
        ('{"socket": "@", "state_dir": "@"}', "error: socket is the state_dir itself"),
        ('{"slots": NaN}', ":1:11: error: JSON has no NaN: write a number"),
        ('{"kinds": {"k": {"argv": ["@"]}}}', ":1:26: error: kinds.k.argv names a directory: @"),
        ('{"kinds": {"k": {"argv": ["/bin/sh -c x"]}}}', 'does not exist: /bin/sh -c x (arguments are strings of their own: "/bin/sh", "…")'),
        ('{"kinds": {"k": {"argv": ["@/script"]}}}', ":1:26: error: kinds.k.argv names a script whose first line asks for /no/interpreter, which does not exist"),
        ('{"kinds": {"k": {"argv": ["@/dos"]}}}', "(its lines end in CR LF: sed -i 's/\\r$//' mends it)"),
        ('{"kinds": {"k": {"argv": ["@/token.key"]}}}', ":1:26: error: kinds.k.argv names what cannot be executed: @/token.key (chmod +x"),
    ]

    def test_each_mistake_is_told_with_its_place_and_remedy(self):
        for name, line in (("script", "#!/no/interpreter -x\n"), ("dos", "#!/bin/sh\r\n")):
            script = self.dir / name
            script.write_bytes(line.encode())
            script.chmod(0o755)
        for text, sentence in self.MISTAKES:
            with self.subTest(text):
                path = self.write("engine.conf", text)
                done = self.check(path)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertIn((path if sentence.startswith(":") else "") + sentence.replace("@", str(self.dir)), done.stderr)
                self.assertEqual(len(set(done.stderr.splitlines())), len(done.stderr.splitlines()), "a fault is told twice")
                self.assertNotIn("\033", done.stderr, "colours where there is no terminal")

    def test_a_file_in_another_language_is_told_that_json_is_wanted(self):
        for text in ("[engine]\nslots = 16\n", "slots = 16\n", "slots: 16\nkinds:\n  k:\n", "---\nslots: 16\n", "- slots\n", "; few\n[engine]\n", "# few\nslots 16;\n",
                     "engine {\n slots 16;\n}\n", "<slots>16</slots>\n", "%YAML 1.2\n---\n", '"slots": 16\n', "// few\nslots: 16\n", "[[kinds]]\nargv = []\n"):
            with self.subTest(text):
                done = self.check(self.write("engine.conf", text))
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, r"^\S+ \S+engine\.conf:\d+:1: error: JSON is wanted here, not ini, YAML or another language: the whole file stands between \{ and \}")
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_a_place_that_this_user_may_not_write_is_told_by_the_start_alone(self):
        (self.dir / "closed" / "state").mkdir(parents=True)
        for place in ("closed/state", "closed"):
            (self.dir / place).chmod(0o555)
        for text in ('{"state_dir": "@/closed/new"}', '{"state_dir": "@/closed/state"}', '{"socket": "@/closed/engine.sock"}'):
            done = self.run_to_end(*MODES_COUNT, BIN / "jobcast", "check-config", self.write("engine.conf", text))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stderr, r"warning: (state_dir|socket) needs \S+/closed(/state)?, where this user may make nothing")

    def test_all_faults_are_told_at_once_and_to_programs_too(self):
        path = self.write("engine.conf", '{"slots": 1,\n"queues": {"q": {"concurrency": 0, "x": 1}},\n"kinds": {"k": {"argv": ["/no"], "queue": "r"}} }')
        told = json.loads(self.run_to_end(BIN / "jobcast", "check-config", path, "--json").stdout)
        self.assertFalse(told["ok"])
        self.assertEqual([(fault["line"], fault["key"]) for fault in told["faults"]],
                         [(1, "slots"), (2, "queues.q.concurrency"), (2, "queues.q.x"), (3, "kinds.k.argv"), (3, "kinds.k.queue")])

    def test_jobcastd_tells_the_same_at_its_start(self):
        done = self.run_to_end(BIN / "jobcastd", "--config", self.write("engine.conf", '{"slots": 1,\n"readers_max": 0}'))
        self.assertEqual(done.returncode, 2)
        self.assertIn(":1:11: error: slots", done.stderr)
        self.assertIn(":2:16: error: readers_max", done.stderr)


class Host(WithDirectory):
    def setUp(self):
        super().setUp()
        self.taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.taken.close)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x", "-keyout", self.dir / "tls.key",
                        "-out", self.dir / "tls.pem"], check=True, capture_output=True)
        subprocess.run(["openssl", "genrsa", "-out", self.dir / "other.key", "2048"], check=True, capture_output=True)

    def mistakes(self):
        port = '"port": "0"'
        files = '{"mountpoint": "/", "origin": "file://@/absent"}'
        other = '{"mountpoint": "/tools/jobs", "origin": "callback://jobcast"}'
        root = '{"mountpoint": "/", "origin": "callback://jobcast"}'
        tls = '"global": {"init-ssl": "yes"}, '
        yield self.vhost('"port": "80x"'), 'vhosts[0].port must be a whole number from 0 to 65535, not "80x"'
        yield self.vhost(port + ', "interface": "no-such0"'), 'vhosts[0].interface names no interface and no address of this machine: "no-such0"; there are lo'
        yield self.vhost(port, files + ", " + MOUNT), "vhosts[0].mounts[0].origin is no directory: @/absent"
        yield self.vhost(port, other), 'vhosts[0].mounts[0].mountpoint is /tools/jobs, but the plugin\'s option "mount" is /jobcast, its default'
        yield self.vhost(port, MOUNT + ", " + other), "so that it answers 404 here: remove this mount"
        yield self.vhost(port, "", ', "mount": "/x"'), 'vhosts[0].mounts has none that leads to jobcast: add {"mountpoint": "/x"'
        yield self.vhost(port, MOUNT + ", " + root), "vhosts[0].mounts[1].mountpoint / stands behind the longer /jobcast and takes its requests"
        yield self.vhost(port, options=', "wait-max": "30s"'), 'option "wait-max" must be a whole number of s from 1 to 300, not "30s": write "30"'
        yield self.vhost(port, options=', "wait_max": "30"'), 'option "wait_max" is unknown: did you mean "wait-max"?'
        yield self.vhost(port + ', "host-ssl-cert": "@/tls.pem", "host-ssl-key": "@/tls.key"'), "vhosts[0].host-ssl-cert is given, but TLS is off"
        yield self.vhost(port + ', "host-ssl-cert": "@/tls.pem", "host-ssl-key": "@/other.key"', top=tls), "is not the key of the certificate"
        yield self.vhost(port + ', "host-ssl-cert": "@/tls.pem"', top=tls), "vhosts[0].host-ssl-key is required beside host-ssl-cert"
        yield self.vhost(port + ', "host-ssl-cert": "@/token.key", "host-ssl-key": "@/tls.key"', top=tls), "is no PEM certificate"
        yield self.vhost(port, top='"global": {"username": "no-such-user"}, '), "global.username is no user of this machine: no-such-user"
        yield self.vhost(port, top='"global": {"plugin-dir": "@"}, '), "there is no libprotocol_jobcast.so in @"
        for all_of_them in ("0.0.0.0", "::", "*"):
            yield self.vhost(port + f', "interface": "{all_of_them}"'), f'"{all_of_them}": leave "interface" out to listen on all'
        yield self.vhost(port + ', "interface": "localhost"'), '"localhost": write "lo", or "127.0.0.1"'
        yield self.vhost(port + ', "interface": "[::1]"'), "write an IPv6 address without brackets"
        yield self.vhost(port + ', "interface": "127.0.0.1:80"'), 'the port stands in "port"'
        yield self.vhost(port + ', "interface": "@/u.sock"'), 'the path of a Unix socket wants "unix-socket": "on" beside it'
        unix = port + ', "unix-socket": "on", "interface": "@/u.sock"'
        yield self.vhost(unix + ', "unix-socket-perms": "0660"'), 'unix-socket-perms must be user:group, such as www-data:www-data, not "0660"'
        yield self.vhost(unix + ', "unix-socket-perms": "root:no-such"'), "unix-socket-perms names no group of this machine: no-such"
        both = ', "host-ssl-cert": "@/tls.pem", "host-ssl-key": "@/tls.key"'
        yield self.vhost(port + both + ', "ciphers": "NOPE"', top=tls), "vhosts[0].ciphers holds no cipher that OpenSSL knows: NOPE"
        yield self.vhost(port + both + ', "tls13-ciphers": "NOPE"', top=tls), "vhosts[0].tls13-ciphers holds what is no cipher of TLS 1.3: NOPE"
        yield self.vhost(port + both + ', "host-ssl-ca": "@/token.key"', top=tls), "vhosts[0].host-ssl-ca cannot be read as PEM certificates"
        swapped = ', "host-ssl-cert": "@/tls.key", "host-ssl-key": "@/tls.pem"'
        yield self.vhost(port + swapped, top=tls), "vhosts[0].host-ssl-cert holds a private key: this file belongs into host-ssl-key"
        yield self.vhost(port + ', "headers": [{"X-A:": "b"}]'), "vhosts[0].headers holds \"X-A:\": a header's name is one word without a colon"
        yield self.vhost(port + ","), "a comma too many: nothing stands before it"

    def test_each_mistake_is_told_with_its_place_and_remedy(self):
        for text, sentence in self.mistakes():
            with self.subTest(sentence):
                path = self.write("host.conf", text)
                done = self.check(path)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertRegex(done.stderr, r"host\.conf:\d+:\d+: error: ")
                self.assertIn(sentence.replace("@", str(self.dir)), done.stderr)

    def test_a_host_does_not_say_that_it_listens_when_it_does_not(self):
        port = self.taken.getsockname()[1]
        tls = ', "host-ssl-cert": "@/tls.pem", "host-ssl-key": "@/tls.key"'
        for members, sentence in ((f'"port": "{port}", "interface": "127.0.0.1"', f"port {port} is in use by python3"),
                                  ('"port": "0", "interface": "no-such0"', "names no interface"), ('"port": "0"' + tls, "plain HTTP")):
            with self.subTest(sentence):
                done = self.run_to_end(BIN / "jobcast-host", "-c", self.write("host.conf", self.vhost(members)))
                self.assertEqual(done.returncode, 1)
                self.assertEqual(done.stdout, "")
                self.assertIn(sentence, done.stderr)

    def neighbours(self, first, second, top=""):
        return f'{{{top}"vhosts": [{{"name": "a", "mounts": [], {first}}}, {{"name": "b", "mounts": [], {second}}}]}}'

    def test_a_certificate_is_served_as_plain_http_on_a_port_that_another_vhost_has_without_one(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = f'"port": "{probe.getsockname()[1]}"'
        tls = port + ', "host-ssl-cert": "@/tls.pem", "host-ssl-key": "@/tls.key"'
        for first, second in ((port, tls), (tls, port)):
            done = self.run_to_end(BIN / "jobcast-host", "-c", self.write("host.conf", self.neighbours(first, second, '"global": {"init-ssl": "yes"}, ')))
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("one port speaks either TLS or plain HTTP: choose another port", done.stderr)
        both = self.neighbours(tls, tls, '"global": {"init-ssl": "yes"}, ')
        self.assertEqual(self.check(self.write("host.conf", both)).returncode, 0)

    def test_one_port_is_given_twice_and_the_second_vhost_finds_it_taken_at_the_start(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = f'"port": "{probe.getsockname()[1]}"'
        for first, second in ((port, port + ', "interface": "lo"'), (port + ', "interface": "127.0.0.1"', port + ', "interface": "lo"')):
            done = self.check(self.write("host.conf", self.neighbours(first, second)))
            self.assertEqual(done.returncode, 1)
            self.assertIn('vhosts[1].port ', done.stderr)
            self.assertIn('is listened on by vhost "a" already', done.stderr)
        for second in (port, port + ', "interface": "127.0.0.2"'):
            done = self.check(self.write("host.conf", self.neighbours(second if second == port else port + ', "interface": "127.0.0.1"', second)))
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_file_in_the_place_of_the_unix_socket_is_removed(self):
        file = self.dir / "precious"
        file.write_text("kept")
        done = self.run_to_end(BIN / "jobcast-host", "-c", self.write("host.conf", self.vhost(f'"port": "0", "unix-socket": "on", "interface": "{file}"')))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(f"is the path of something that is no socket, which would be lost: {file}", done.stderr)
        self.assertEqual(file.read_text(), "kept")

    def test_a_host_on_a_unix_socket_does_not_say_that_it_listens_on_port_0(self):
        config = self.write("host.conf", self.vhost('"port": "0", "unix-socket": "on", "interface": "@/u.sock"'))
        host = subprocess.Popen([BIN / "jobcast-host", "-c", config], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        with host, socket.socket(socket.AF_UNIX) as client:
            self.assertEqual(host.stdout.readline(), "jobcast-host: listening on a Unix socket\n")
            client.connect(str(self.dir / "u.sock"))
            host.terminate()

    def test_a_second_host_takes_over_the_socket_of_one_that_runs(self):
        for path in (f"{self.dir}/u.sock", f"@jobcast-test-{os.getpid()}"):
            config = self.write("host.conf", self.vhost('"port": "0", "unix-socket": "on", "interface": "PATH"'))
            Path(config).write_text(Path(config).read_text().replace("PATH", path))
            with subprocess.Popen([BIN / "jobcast-host", "-c", config], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as host:
                try:
                    self.assertIn("listening", host.stdout.readline())
                    second = self.run_to_end(BIN / "jobcast-host", "-c", config)
                    self.assertEqual((second.returncode, second.stdout), (1, ""))
                    self.assertIn(f"is in use by jobcast-host (pid {host.pid}): stop that program, or choose another socket", second.stderr)
                    checked = self.check(config)
                    self.assertEqual(checked.returncode, 0, checked.stderr)
                    self.assertIn(f"is in use by jobcast-host (pid {host.pid}), perhaps this very server", checked.stderr)
                finally:
                    host.kill()
            # What a killed host leaves behind is nobody's.
            with subprocess.Popen([BIN / "jobcast-host", "-c", config], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as host:
                self.assertIn("listening", host.stdout.readline())
                host.terminate()

    def test_a_unix_socket_where_this_user_may_make_none_is_told_by_a_host_on_port_0(self):
        (self.dir / "closed").mkdir(mode=0o555)
        config = self.write("host.conf", self.vhost('"port": "0", "unix-socket": "on", "interface": "@/closed/u.sock"'))
        for words, status in ((("jobcast", "check-config", config), 0), (("jobcast-host", "-c", config), 1)):
            done = self.run_to_end(*MODES_COUNT, BIN / words[0], *words[1:])
            self.assertEqual((done.returncode, "port 0" in done.stderr), (status, False), done.stderr)
            self.assertIn("vhosts[0].interface lies in " + str(self.dir / "closed") + ", where this user may make no socket", done.stderr)

    def test_a_certificate_that_has_expired_is_told_as_what_the_host_starts_with(self):
        subprocess.run(["openssl", "x509", "-in", self.dir / "tls.pem", "-days", "-1", "-signkey", self.dir / "tls.key", "-out", self.dir / "old.pem"],
                       check=True, capture_output=True)
        config = self.write("host.conf", self.vhost('"port": "0", "host-ssl-cert": "@/old.pem", "host-ssl-key": "@/tls.key"', top='"global": {"init-ssl": "yes"}, '))
        checked = self.check(config)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.assertRegex(checked.stderr, r"warning: vhosts\[0\]\.host-ssl-cert has expired at .*: renew it")
        with subprocess.Popen([BIN / "jobcast-host", "-c", config], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as host:
            self.assertIn("listening", host.stdout.readline())
            host.terminate()
            self.assertIn("warning: vhosts[0].host-ssl-cert has expired at", host.stderr.read())

    def test_a_secret_in_the_place_of_its_file_is_printed(self):
        places = [("HS256:", secret) for secret in ("s3cr3t" * 6, "s3cr3t/" * 6, "/s3cr3t" * 6, "/s3cr3t", "#s3cr3t", "s3cr3t#" + "k" * 200, "./s3cr3t")]
        for kind, secret in places + [(kind, "s3cr3t" * 6) for kind in ("hs256:", "HS512:", "HS256=", "", "s3cr3t:")]:
            with self.subTest(kind + secret):
                config = self.write("host.conf", self.vhost('"port": "0"').replace("HS256:@/token.key", kind + secret))
                for done in (self.check(config), self.run_to_end("timeout", "0.5", BIN / "jobcast-host", "-v", "-c", config)):
                    self.assertNotIn("s3cr3t", done.stdout + done.stderr)
                    self.assertRegex(done.stderr, "a key must be HS256:/path|the path of a (secret's )?file|the #kid behind")

    def test_a_host_that_calls_another_engine_is_told_beside_the_engine(self):
        host = self.write("host.conf", self.vhost('"port": "0"', options=', "engine": "@/b.sock"'))
        done = self.check(self.write("engine.conf", '{"socket": "@/a.sock"}'), host)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"engine of the plugin is {self.dir}/b.sock, but the engine's \"socket\" is {self.dir}/a.sock", done.stderr)
        self.assertEqual(self.check(self.write("engine.conf", '{"socket": "@/b.sock"}'), host).returncode, 0)

    def test_a_good_config_of_the_host_is_good(self):
        done = self.check(self.write("host.conf", self.vhost('"port": "0"')))
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
