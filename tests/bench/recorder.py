#!/usr/bin/python3
"""./dev bench recorder: what being recorded costs. One JSON object a line.

A system call: nanoseconds of a getppid() in a container, by turns without anything, with an empty
program at entry, with empty programs at entry and exit (the floor of whoever looks at both), with
pare recording it, with pare recording another container, under a bpftrace count, under strace. Of
many rounds the least of each is taken: it varies least. Throughput: a server with and without pare
by turns. Memory: pare's own after ten million events.

    bench/recorder.py BUILD [calls|memory|servers]..."""
import http.client
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release")
HOLDER = BUILD / "bin/recorder_bench"
ROUNDS = int(os.environ.get("PARE_BENCH_ROUNDS", "9"))
PAIRS = int(os.environ.get("PARE_BENCH_PAIRS", "5"))  # ABAB rounds of a server

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}
int main(int argc, char** argv) {
  int batches = atoi(argv[1]), calls = atoi(argv[2]);
  double least = 1e18;
  for (int b = 0; b < batches; b++) {
    double start = now();
    for (int i = 0; i < calls; i++) syscall(SYS_getppid);
    double each = (now() - start) / calls;
    if (each < least) least = each;
  }
  printf("%.2f\n", least);
  if (argc > 3) pause();
}
"""
# Ten million calls, a hundred thousand files among them, each changed more than once.
EVENTS = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
  char name[64];
  for (int i = 0; i < 4600000; i++) {
    syscall(SYS_getppid);
    syscall(SYS_getuid);
  }
  for (int i = 0; i < 200000; i++) {
    snprintf(name, sizeof name, "/tmp/%d", i % 20000);
    int fd = open(name, O_CREAT | O_WRONLY, 0600);
    write(fd, "x", 1);
    close(fd);
    unlink(name);
  }
}
"""


def say(case, value, unit, goal=None, ok=None):
    row = {"bench": "recorder", "case": case, "value": round(value, 3), "unit": unit}
    if goal is not None:
        row.update(goal=goal, ok=bool(ok))
    print(json.dumps(row), flush=True)


class Container:
    """A container of runc's, without a network or PID namespace of its own."""

    def __init__(self, work, root, argv):
        self.id = f"pare-bench-{os.getpid()}-{random.randrange(1 << 30)}"
        self.bundle, self.state = work / self.id, work / "state"
        self.bundle.mkdir()
        mounts = [{"destination": "/proc", "type": "proc", "source": "proc"},
                  {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}]
        mounts += [{"destination": at, "type": "tmpfs", "source": "tmpfs"}
                   for at in ("/tmp", "/run", "/var/log", "/var/lib") if (root / at[1:]).is_dir()]
        if (root / "sys").is_dir():
            mounts.append({"destination": "/sys", "type": "bind", "source": "/sys",
                           "options": ["rbind", "ro"]})
        mounts.append({"destination": "/tmp/host", "type": "bind", "source": str(work),
                       "options": ["bind", "ro"]})
        (self.bundle / "config.json").write_text(json.dumps({
            "ociVersion": "1.0.2", "root": {"path": str(root), "readonly": True},
            "process": {"user": {"uid": 0, "gid": 0}, "args": argv, "cwd": "/",
                        "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp"],
                        "noNewPrivileges": True},
            "mounts": mounts,
            "linux": {"cgroupsPath": "/" + self.id,
                      "namespaces": [{"type": "mount"}, {"type": "ipc"}]}}))

    def command(self):
        return ["runc", "--root", self.state, "run", "--bundle", self.bundle, self.id]

    def run(self):
        done = subprocess.run(self.command(), stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"bench recorder: runc failed: exit code {done.returncode}")
        return done.stdout

    def __enter__(self):
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        subprocess.run(["runc", "--root", self.state, "delete", "--force", self.id],
                       stderr=subprocess.DEVNULL)
        self.process.wait()


class Holder:
    """recorder_bench, with its programs attached until the end of the block."""

    def __init__(self, *args):
        self.args, self.report = args, None

    def __enter__(self):
        self.process = subprocess.Popen([HOLDER, *self.args], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            sys.exit("bench recorder: this host cannot attach the programs")
        return self

    def __exit__(self, *_):
        out, _ = self.process.communicate()
        self.report = json.loads(out) if out else None


class Bpftrace:
    def __enter__(self):
        self.process = subprocess.Popen(
            ["bpftrace", "-e", "tracepoint:raw_syscalls:sys_enter { @[comm] = count(); } "
             "BEGIN { printf(\"ready\\n\"); }"], stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if line == "ready\n":
                break
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()


def compiled(work, name, source):
    root = work / f"{name}-root"
    for at in ("proc", "dev", "tmp"):
        (root / at).mkdir(parents=True)
    subprocess.run(["cc", "-O1", "-static", "-w", "-x", "c", "-o", root / name, "-"], input=source,
                   text=True, check=True)
    return root


def calls(work):
    root = compiled(work, "getppid", PROGRAM)
    argv = ["/getppid", "40", "20000"]
    least = {}

    def note(case, text):
        least[case] = min(least.get(case, 1e18), float(text.split()[-1]))

    def in_container():
        return Container(work, root, argv).run()

    for _ in range(ROUNDS):
        note("bare", in_container())
        for kind in ("entry", "floor"):
            with Holder(kind):
                note(kind, in_container())
        container = Container(work, root, argv)
        with Holder("record", container.id):
            note("in scope", container.run())
        other = Container(work, root, ["/getppid", "1", "1", "stay"])
        with Holder("record", other.id), other:
            time.sleep(0.1)
            note("out of scope", in_container())
    for _ in range(2):
        if shutil.which("bpftrace"):
            with Bpftrace():
                note("bpftrace count", in_container())
        done = subprocess.run(["strace", "-f", "-c", "-o", "/dev/null", root / "getppid", "5", "2000"],
                              stdout=subprocess.PIPE, text=True, check=True)
        note("strace -f -c", done.stdout)
    for case, value in least.items():
        say(f"getppid, {case}", value, "ns")
    added = {case: value - least["bare"] for case, value in least.items()}
    goals = (("in scope", "floor", 1.3), ("out of scope", "floor", 1.1), ("in scope", "entry", 2.0))
    for case, beside, goal in goals:
        ratio = added[case] / added[beside]
        say(f"{case}, beside {'an empty entry program' if beside == 'entry' else 'the floor'}", ratio,
            "ratio", f"<= {goal}", ratio <= goal)


def memory(work):
    container = Container(work, compiled(work, "events", EVENTS), ["/events"])
    with Holder("record", container.id) as holder:
        container.run()
    report = holder.report
    events = report["calls"]
    say("events recorded", events, "events", ">= 10000000", events >= 10_000_000)
    say("events lost", report["lost"], "events", "0", report["lost"] == 0)
    peak = report["peakKiB"] / 1024
    say("resident at most", peak, "MiB", "<= 64", peak <= 64)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port):
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"bench recorder: nothing listens on port {port}")


def root_with(*packages):
    made = subprocess.run([ROOT / "tests/support/make_root", *packages], stdout=subprocess.PIPE,
                          text=True, check=True)
    return pathlib.Path(made.stdout.strip())


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def llama(work, root):
    subprocess.run([sys.executable, "-B", ROOT / "tests/support/make_gguf.py", work / "model.gguf"],
                   check=True, stdout=subprocess.DEVNULL)
    body = json.dumps({"prompt": "a b c", "n_predict": 48, "temperature": 0, "ignore_eos": True})

    def measure(port):
        for _ in range(600):
            try:
                if ask(port, "GET", "/health") == 200:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        best = 0.0
        for _ in range(4):
            start = time.monotonic()
            for _ in range(15):
                if ask(port, "POST", "/completion", body) != 200:
                    sys.exit("bench recorder: llama-server refused a completion")
            best = max(best, 15 / (time.monotonic() - start))
        return best

    return (lambda port: ["/usr/bin/llama-server", "--model", "/tmp/host/model.gguf", "--host",
                          "127.0.0.1", "--port", str(port), "-c", "256", "-t", "1"]), measure


def redis(_, root):
    def measure(port):
        wait_for_port(port)
        out = subprocess.run(["chroot", root, "redis-benchmark", "-p", str(port), "-n", "60000", "-c",
                              "20", "-t", "set,get", "--csv"], stdout=subprocess.PIPE, text=True,
                             check=True).stdout
        rates = [float(line.split(",")[1].strip('"')) for line in out.splitlines()[1:]]
        return sum(rates) / len(rates)

    return (lambda port: ["/usr/bin/redis-server", "--port", str(port), "--save", "", "--bind",
                          "127.0.0.1", "--dir", "/tmp"]), measure


def nginx(_, root):
    def measure(port):
        wait_for_port(port)
        out = subprocess.run(["chroot", root, "wrk", "-t1", "-c20", "-d2s",
                              f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE, text=True,
                             check=True).stdout
        return next(float(line.split()[1]) for line in out.splitlines() if "Requests/sec" in line)

    config = ("worker_processes 2; daemon off; pid /run/nginx.pid; error_log /dev/null; events {{}} "
              "http {{ access_log off; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; "
              "fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e; "
              "server {{ listen 127.0.0.1:{port}; return 200 'ok'; }} }}")

    def argv(port):
        return ["/bin/sh", "-c", "mknod -m 666 /dev/null c 1 3; printf '%s' \"$0\" >/tmp/conf; "
                "exec nginx -e /tmp/log -c /tmp/conf", "user root; " + config.format(port=port)]

    return argv, measure


SERVERS = (("llama-server completions", llama, 0.99, ("llama.cpp-tools", "ca-certificates")),
           ("redis-benchmark", redis, 0.95, ("redis-server", "redis-tools")),
           ("wrk on nginx", nginx, 0.95, ("nginx-light", "wrk")))


def servers(work):
    for name, make, goal, packages in SERVERS:
        root = root_with(*packages)
        argv, measure = make(work, root)
        best = {}

        def note(case, value):
            best[case] = max(best.get(case, 0.0), value)

        for _ in range(PAIRS):
            port = free_port()
            with Container(work, root, argv(port)):
                note("bare", measure(port))
            port = free_port()
            with Holder("floor"), Container(work, root, argv(port)):
                note("floor", measure(port))
            port = free_port()
            container = Container(work, root, argv(port))
            with Holder("record", container.id), container:
                note("recorded", measure(port))
        ratio, floor = (best[case] / best["bare"] for case in ("recorded", "floor"))
        say(f"{name}, bare", best["bare"], "1/s")
        say(f"{name}, floor beside bare", floor, "ratio")
        say(f"{name}, recorded beside bare", ratio, "ratio", f">= {goal} or the floor's",
            ratio >= min(goal, floor))


def main():
    wanted = sys.argv[2:] or ["calls", "memory", "servers"]
    if os.geteuid() != 0:
        sys.exit("bench recorder: recording needs root: run it with sudo")
    with tempfile.TemporaryDirectory(prefix="pare-bench-") as name:
        os.chmod(name, 0o755)
        for part in wanted:
            {"calls": calls, "memory": memory, "servers": servers}[part](pathlib.Path(name))


main()
