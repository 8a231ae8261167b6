#!/usr/bin/python3
"""./dev bench gate: wrk and streamed answers through the gate, beside direct loopback, docker-proxy
and socat, in one run. One JSON object a line."""
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release").resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS, CONNECTIONS, ROUNDS = 2, 16, 3


def say(case, value, unit, goal=None, ok=None):
    row = {"bench": "gate", "case": case, "value": round(value, 3), "unit": unit}
    if goal is not None:
        row.update(goal=goal, ok=bool(ok))
    print(json.dumps(row), flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, limit=30):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("POST", "/infer", "x")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.02)
    sys.exit(f"bench gate: nothing answers on port {port}")


def wrk(url, keep):
    """(requests a second, p50 ms, p99 ms)"""
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency"]
    words += [] if keep else ["-H", "Connection: close"]
    for _ in range(5):
        done = subprocess.run([*words, url], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        time.sleep(10)  # ports in TIME_WAIT
    else:
        sys.exit(f"bench gate: wrk {url}: {done.stdout}{done.stderr}")
    out = done.stdout
    unit = {"us": 0.001, "ms": 1, "s": 1000}

    def latency(percent):
        n, u = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", out).groups()
        return float(n) * unit[u]

    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), latency(50), latency(99)


def streams(port):
    """Seconds for 64 answers of 50 tokens, 16 at once."""

    def one(_):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/stream")
        body = connection.getresponse().read()
        assert body.count(b"token") == 50
        connection.close()

    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(64)))
    return time.monotonic() - start


def main():
    pare = next((p for p in (BUILD / "pare", ROOT / "build/pare") if p.exists()), None)
    server = next(
        (p for b in (BUILD, ROOT / "build") if (p := b / "planted/keeps_alive").exists()), None
    )
    if pare is None or server is None or os.geteuid() != 0 or shutil.which("wrk") is None:
        sys.exit("bench gate: needs root, wrk and a build")
    work = pathlib.Path(tempfile.mkdtemp(prefix="pare-bench-"))
    environment = {**os.environ, "PARE_STATE_DIR": str(work / "state")}
    children = []

    def start(*words):
        with open(work / f"log{len(children)}", "wb") as log:
            child = subprocess.Popen(
                list(map(str, words)), stdout=subprocess.DEVNULL, stderr=log, env=environment,
                start_new_session=True,
            )
        children.append(child)

    try:
        (work / "root").mkdir(mode=0o755)
        shutil.copy(server, work / "root/server")
        subprocess.run(
            [pare, "prove", "--rootfs", work / "root", "--network", "none", "-o", work / "out",
             "--check", "http://:8000/infer;method=POST;body=x;match=forty-two", "--", "/server"],
            env=environment, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        ways = {name: free_port() for name in ("direct", "gate", "docker-proxy", "socat")}
        if not pathlib.Path("/usr/sbin/docker-proxy").exists():
            del ways["docker-proxy"]
        start(server, ways["direct"])
        start(pare, "run", work / "out", "--publish", ways["gate"], "--pids", 4096, "--health", "0s")
        start("socat", f"TCP-LISTEN:{ways['socat']},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=128",
              f"TCP:127.0.0.1:{ways['direct']},nodelay")
        if "docker-proxy" in ways:
            start("sh", "-c", "exec 3>/dev/null; exec docker-proxy -proto tcp -host-ip 127.0.0.1 "
                  f"-host-port {ways['docker-proxy']} -container-ip 127.0.0.1 "
                  f"-container-port {ways['direct']}")
        for port in ways.values():
            wait_for(port)
        measure(ways)
    finally:
        for number, child in enumerate(children):
            if child.poll() is not None:  # none ends by itself
                words = (work / f"log{number}").read_text(errors="replace")
                print(f"{child.args} ended with {child.returncode}: {words[-2000:]}", file=sys.stderr)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        subprocess.run([pare, "clean"], env=environment, check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(work, ignore_errors=True)


def measure(ways):
    for keep, name in ((True, "keep-alive"), (False, "new connections")):
        best = {}
        for _ in range(ROUNDS):  # interleaved: a busy host slows all
            for way, port in ways.items():
                got = wrk(f"http://127.0.0.1:{port}/", keep)
                if way not in best or got[0] > best[way][0]:
                    best[way] = got
        for way, (rate, p50, p99) in best.items():
            say(f"{name}, {way}", rate, "requests/s")
            say(f"{name}, {way}, p50", p50, "ms")
            say(f"{name}, {way}, p99", p99, "ms")
        compare(name, {way: got[0] for way, got in best.items()}, keep)
    times = {}
    for _ in range(2 * ROUNDS):  # short ones: a stall of the host weighs more
        for way, port in ways.items():
            times[way] = min(times.get(way, 1e9), streams(port))
    for way, seconds in times.items():
        say(f"64 streams, {way}", seconds, "s")
    compare("streams", {way: 1 / seconds for way, seconds in times.items()}, True)


def compare(name, rates, against_direct):
    for other in ways_but_gate(rates):
        ratio = rates["gate"] / rates[other]
        if other != "direct":
            say(f"{name}, gate beside {other}", ratio, "ratio", ">= 1", ratio >= 1)
        elif against_direct:
            say(f"{name}, gate beside direct", ratio, "ratio", ">= 0.9", ratio >= 0.9)
        else:
            say(f"{name}, gate beside direct", ratio, "ratio")


def ways_but_gate(rates):
    return [way for way in rates if way != "gate"]


main()
