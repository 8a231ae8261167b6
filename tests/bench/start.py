#!/usr/bin/python3
"""./dev bench start: `pare run` to the first answer, beside `runc run` of the emitted bundle, in one
run. One JSON object a line."""
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release").resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]
ROUNDS = 10


def say(case, value, unit, goal=None, ok=None):
    row = {"bench": "start", "case": case, "value": round(value, 1), "unit": unit}
    if goal is not None:
        row.update(goal=goal, ok=bool(ok))
    print(json.dumps(row), flush=True)


def first_answer(address, port, begin, limit=30):
    """Milliseconds from `begin` to the first answer."""
    while time.monotonic() - begin < limit:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(address, port, timeout=5)
            connection.request("POST", "/infer", "x")
            if connection.getresponse().status == 200:
                return (time.monotonic() - begin) * 1000
        time.sleep(0.001)
    sys.exit("bench start: no answer")


def inside(namespace, work):
    """Runs `work` on a thread that has entered the namespace; its result."""
    result = []

    def run():
        descriptor = os.open(namespace, os.O_RDONLY)
        if ctypes.CDLL(None).setns(descriptor, 0x40000000) == 0:
            result.append(work())
        os.close(descriptor)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return result[0]


def by_pare(pare, work, environment):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    begin = time.monotonic()
    child = subprocess.Popen(
        [pare, "run", work / "out", "--publish", str(port)], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    took = first_answer("127.0.0.1", port, begin)
    child.terminate()
    child.wait(timeout=60)
    return took


def by_runc(work, number, namespace):
    name = f"pare-bench-{os.getpid()}-{number}"
    begin = time.monotonic()
    child = subprocess.Popen(
        ["runc", "run", "--bundle", work / "bundle", name],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    try:
        return inside(namespace, lambda: first_answer("192.0.2.1", 8000, begin))
    finally:
        subprocess.run(["runc", "delete", "--force", name], check=False, stderr=subprocess.DEVNULL)
        child.wait(timeout=60)


def main():
    pare = next((p for p in (BUILD / "pare", ROOT / "build/pare") if p.exists()), None)
    server = next((p for b in (BUILD, ROOT / "build") if (p := b / "planted/nothing").exists()), None)
    if pare is None or server is None or os.geteuid() != 0:
        sys.exit("bench start: needs root and a build")
    work = pathlib.Path(tempfile.mkdtemp(prefix="pare-bench-"))
    environment = {**os.environ, "PARE_STATE_DIR": str(work / "state")}
    namespace = f"pare-bench-{os.getpid()}"
    try:
        (work / "root").mkdir(mode=0o755)
        shutil.copy(server, work / "root/server")
        subprocess.run(
            [pare, "prove", "--rootfs", work / "root", "--network", "none", "-o", work / "out",
             "--check", "http://:8000/infer;method=POST;body=x;match=forty-two", "--", "/server"],
            env=environment, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        subprocess.run([pare, "emit", work / "out", "--to", "oci", "-o", work / "bundle",
                        "--unconfirmed"], check=True, stdout=subprocess.DEVNULL)
        for words in (["netns", "add", namespace], ["-n", namespace, "link", "set", "lo", "up"],
                      ["-n", namespace, "address", "add", "192.0.2.1/32", "dev", "lo"]):
            subprocess.run(["ip", *words], check=True)
        config = work / "bundle/config.json"
        document = json.loads(config.read_text())
        for one in document["linux"]["namespaces"]:
            if one["type"] == "network":
                one["path"] = f"/run/netns/{namespace}"
        config.write_text(json.dumps(document))
        ours, theirs = [], []
        for number in range(ROUNDS):  # interleaved: a busy host slows both
            ours.append(by_pare(pare, work, environment))
            theirs.append(by_runc(work, number, f"/run/netns/{namespace}"))
        say("pare run to the first answer", statistics.median(ours), "ms")
        say("runc run to the first answer", statistics.median(theirs), "ms")
        more = statistics.median(ours) - statistics.median(theirs)
        say("more than runc", more, "ms", "<= 50", more <= 50)
    finally:
        subprocess.run(["ip", "netns", "del", namespace], check=False, stderr=subprocess.DEVNULL)
        subprocess.run([pare, "clean"], env=environment, check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(work, ignore_errors=True)


main()
