"""One user does at once whatever might lock out others; another user's GET, submit and ws are timed meanwhile, and on the quiet host before.
   The attackers' own work (a Python process, a second engine's commits) slows everything on a small machine down. So that not this is measured but
   what one user takes from another, the same attackers are at work against a second host while the first one is quiet.
   fair_load.py [SECONDS]: prints both, and fails if anything of the other user was refused or stood still; from 60 s on also if a p99 has more than doubled."""
import http.client, json, multiprocessing, os, sys, threading, time
from support import Host, Ws, b64, open_ws

LATER = {"kind": "puppet", "run_at_ms": 4_000_000_000_000}
STILL_S = 5  # an answer that takes so long has met a bound or a stall, on however slow a machine
OPERATIONS = ("GET", "submit", "ws")
MEASURED_S = 60  # a p99 of fewer waits says little


def every(seconds, end, work):
    """Calls work() until `end`; what the server refuses, or closes, is what it should do."""
    while time.monotonic() < end:
        start = time.monotonic()
        try:
            work()
        except (OSError, http.client.HTTPException, EOFError, ValueError):
            pass
        time.sleep(max(0, seconds - (time.monotonic() - start)))


def attack(host, end):
    os.nice(19)
    token = host.token_for("mallory")
    authorization = f"Authorization: Bearer {token}\r\n"
    head, payload, _ = token.split(".")
    job = json.loads(host.request("POST", "/jobcast/v1/jobs", LATER, token=token)[2])["job_id"]
    etag = host.get(f"/jobcast/v1/jobs/{job}", token=token)[1]["etag"]

    def post(body):
        host.request("POST", "/jobcast/v1/jobs", body, headers={"Content-Type": "application/json"}, token=token)

    def forge():  # 1,700 a second, each another
        with host.connect() as connection:
            def batch():
                connection.sendall("".join(f"GET /jobcast/v1/queues HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {head}.{payload}.{b64(os.urandom(32))}\r\n\r\n"
                                           for _ in range(17)).encode())
                connection.recv(65536)
            every(0.01, min(end, time.monotonic() + 5), batch)

    def hold():
        held = []
        for _ in range(100):
            connection = host.connect()
            connection.sendall(f"GET /jobcast/v1/jobs/{job} HTTP/1.1\r\nHost: h\r\n{authorization}If-None-Match: {etag}\r\nPrefer: wait=50\r\n\r\n".encode())
            held.append(connection)
        time.sleep(2)
        for connection in held:
            connection.close()

    def odd_lengths():
        for length in ("1" * 31, "-1", "+5", "0x10", "98304", "1, 1"):
            with host.connect(1) as connection:
                connection.sendall(f"POST /jobcast/v1/jobs HTTP/1.1\r\nHost: h\r\n{authorization}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode())

    def ws_flood():
        with open_ws(host, token) as ws:
            for n in range(40):
                ws.send("submit_job", {**LATER, "args": {"text": "x" * 60_000}}, n)
            for n in range(40):
                ws.next()

    big = json.dumps({**LATER, "args": {"text": "x" * 60_000}})
    escapes = '{"kind":"puppet","args":{"text":"' + r"\b\f" * 20_000 + '"}}'
    work = [(0.5, lambda: post(big))] * 35 + [(0.5, lambda: post(escapes)), (0.002, lambda: host.request("POST", "/jobcast/v1/tickets", token=token)), (0, forge),
            (0, hold), (0.5, odd_lengths), (0.5, ws_flood)] + [(0.2, lambda: host.get("/jobcast/v1/jobs?limit=200", token=token))] * 4
    threads = [threading.Thread(target=every, args=(seconds, end, one)) for seconds, one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def watch(host, seconds):
    """The other user's waits by operation, in ms, and what was not as it should be."""
    token, waits, wrong = host.token_for("bob"), {name: [] for name in OPERATIONS}, []
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=30)
    headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}

    def ask(name, method, path, body=None):
        start = time.monotonic()
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        waits[name].append((time.monotonic() - start) * 1000)
        if answer.status not in (200, 201):
            wrong.append((name, answer.status, text[:200]))
        return text

    with open_ws(host, token) as ws:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ask("GET", "GET", "/jobcast/v1/queues")
            job = json.loads(ask("submit", "POST", "/jobcast/v1/jobs", json.dumps(LATER)))
            start = time.monotonic()
            ws.send("cancel_job", {"job_id": job.get("job_id", "")}, 1)
            while (message := ws.next()).get("id") != 1:
                pass
            waits["ws"].append((time.monotonic() - start) * 1000)
            if message["event"] != "cancel_accepted":
                wrong.append(("ws", message))
            time.sleep(0.02)
    connection.close()
    return waits, wrong


def at(waits, share):
    return sorted(waits)[min(len(waits) - 1, int(len(waits) * share))]


def shown(waits):
    return "  ".join(f"{name} {len(waits[name])}: p50 {at(waits[name], 0.5):.1f} p99 {at(waits[name], 0.99):.1f} max {max(waits[name]):.0f} ms" for name in OPERATIONS)


def watch_during_attack_on(target, host, seconds):
    attacker = multiprocessing.get_context("fork").Process(target=attack, args=(target, time.monotonic() + seconds))
    attacker.start()
    waits, wrong = watch(host, seconds - 1)
    attacker.join(60)
    return waits, wrong


def main(seconds):
    with Host() as host, Host() as other:
        quiet, wrong_quiet = watch_during_attack_on(other, host, max(4, min(seconds / 2, 120)))
        print("quiet: ", shown(quiet), flush=True)
        loud, wrong = watch_during_attack_on(host, host, seconds)
        print("loud:  ", shown(loud))
        ratios = {name: at(loud[name], 0.99) / at(quiet[name], 0.99) for name in OPERATIONS}
        print("p99, loud to quiet:", "  ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items()))
        print("engine connects", host.metric("jobcast_engine_connects_total"), " put off", host.metric("jobcast_verifications_put_off_total"),
              " refused", host.metric("jobcast_engine_calls_refused_total"), " unanswered", host.metric("jobcast_engine_calls_unanswered_total"))
    wrong += wrong_quiet + [(name, "stood still", max(loud[name])) for name in OPERATIONS if max(loud[name]) > STILL_S * 1000]
    if seconds >= MEASURED_S:
        wrong += [(name, "p99 more than doubled", ratio) for name, ratio in ratios.items() if ratio > 2]
    print("refused, still or slow:", wrong or "none")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10))
