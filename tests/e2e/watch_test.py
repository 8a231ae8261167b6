#!/usr/bin/python3
"""pare watch on real network namespaces: what a container tries is named, and none of it leaves."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
from egress_world import FAR, NEAR, World, cgroup2, run
from harness import PARE, PLANTED, SUPPORT, Ground, cannot, process

SEQUENCES = 10_000

SERVE = """
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 8000)); s.listen(64)
print("ready", flush=True)
while True:
    c, _ = s.accept(); c.recv(1000)
    c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\nConnection: close\\r\\n\\r\\nforty-two"); c.close()
"""

AGAIN = """
import random, socket, sys, time
address, port, period, v6 = sys.argv[1], sys.argv[2], float(sys.argv[3]), ":" in sys.argv[1]
while True:
    s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET)
    s.setblocking(False)
    try: s.connect((address, random.randint(40000, 60000) if port == "random" else int(port)))
    except OSError: pass
    s.close()
    time.sleep(period)
"""

QUESTION = """
import os, socket, sys, time
def ask(name, resolver):
    q = b"\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0"
    for label in name.split("."): q += bytes([len(label)]) + label.encode()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try: s.sendto(q + b"\\0\\0\\1\\0\\1", (resolver, 53))
    except OSError: pass
for n in range(int(sys.argv[3])):
    ask(sys.argv[1].replace("@", os.urandom(20).hex()), sys.argv[2])
time.sleep(60)
"""

DATAGRAMS = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try: s.connect(("203.0.113.13", 443))
except OSError: time.sleep(60)
while True:
    try: s.send(bytes(1200))
    except OSError: pass
    time.sleep(0.4)
"""

RAW = """
import socket, time
ping = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
packet = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
frame = bytes([0x45,0,0,64,0,0,0,0,9,17,0,0,10,77,0,2,203,0,113,15,0,9,0,77,0,44,0,0]) + bytes(36)
time.sleep(1.5)
while True:
    try: ping.sendto(b"\\x08\\0\\xf7\\xff" + bytes(8), ("203.0.113.17", 0))
    except OSError: pass
    packet.sendto(frame, ("eth0", 0x0800))
    time.sleep(0.3)
"""

LATER = """
import os, socket, time
if os.fork() == 0:
    time.sleep(30)
    s = socket.socket(); s.settimeout(1)
    try: s.connect(("203.0.113.16", 443))
    except OSError: pass
time.sleep(60)
"""

# A container's resolv.conf is read once it has a process: it is there for a while before it asks.
LOOK_UPS = """
import socket, sys, time
time.sleep(0.5)
passed = failed = 0
for n in range(int(sys.argv[2])):
    try:
        found = socket.getaddrinfo(sys.argv[1].replace("@", str(n)), 443, socket.AF_INET,
                                   socket.SOCK_STREAM)[0][4]
        socket.create_connection(found, timeout=2).close()
        passed += 1
    except OSError:
        failed += 1
print(passed, failed)
"""

NEVER_ANSWERED = """
import socket, sys
passed = failed = 0
for n in range(int(sys.argv[1])):
    try:
        socket.create_connection(("198.19.%d.%d" % (n // 250, n % 250), 443), timeout=2).close()
        passed += 1
    except OSError:
        failed += 1
print(passed, failed)
"""

HELLO = """
import socket, ssl, sys
raw = socket.create_connection(("203.0.113.12", 443), timeout=2)
try: ssl._create_unverified_context().wrap_socket(raw, server_hostname="hidden.vendor.test")
except OSError: pass
"""


def connects(world, address, port=443, **options):
    """Whether a fresh process inside can connect; else the name of the errno."""
    text = (
        "import errno, socket, sys, time\n"
        "if sys.argv[1][-1].isalpha(): time.sleep(0.5)  # as in LOOK_UPS\n"
        "try: socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=4); print('yes')\n"
        "except socket.timeout: print('timeout')\n"
        "except OSError as e: print(errno.errorcode.get(e.errno, e))\n"
    )
    done = world.python(text, address, str(port), stdout=subprocess.PIPE, text=True, **options)
    return done.communicate(timeout=20)[0].strip()


class Watched:
    """A running `pare watch --json` on the world's host."""

    def __init__(self, test, world, word, *options):
        self.process = world.outside(
            [PARE, "watch", word, "--json", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=test.environment(),
        )
        first = self.process.stdout.readline()
        if not first:
            test.fail(f"pare watch ended: {self.process.stderr.read()}")
        self.opened = json.loads(first)

    def stop(self):
        """The report; its destinations by name."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=60)
        self.code = self.process.returncode
        last = json.loads(out.splitlines()[-1])
        assert last["event"] == "closed", err
        report = last["report"]
        return report, {each["name"]: each for each in report["destinations"]}


class WatchTest(Ground):
    def setUp(self):
        super().setUp()
        if cgroup2() is None:
            cannot(self, "no cgroup v2 hierarchy is mounted")
        self.world = self.enterContext(World(self.dir / "world"))

    def say(self, *words):
        if os.environ.get("PARE_VERBOSE"):
            print(*words, file=sys.stderr)

    def serve(self, **options):
        server = self.world.python(SERVE, stdout=subprocess.PIPE, text=True, **options)
        self.assertEqual(server.stdout.readline().strip(), "ready")

    def answer(self):
        """What the container's server answers to somebody at the far end."""
        text = (
            "import socket; s = socket.create_connection(('%s', 8000), timeout=3);"
            "s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n'); print(s.recv(1000).decode()[-9:])" % NEAR
        )
        done = self.world.outside(
            [sys.executable, "-c", text], self.world.far, stdout=subprocess.PIPE, text=True
        )
        return done.communicate(timeout=20)[0].strip()

    def test_each_is_named_and_nothing_leaves(self):
        world = self.world
        self.serve()
        watched = Watched(self, world, world.cgroup, "--refusal", "silent")
        world.python(AGAIN, "203.0.113.10", "443", "0.5")
        world.python(AGAIN, "203.0.113.11", "random", "0.25")
        world.python(AGAIN, "2001:db8::12", "443", "0.5")
        world.python(QUESTION, "hard.vendor.test", "8.8.8.8", "3")
        world.python(QUESTION, "@.exfil.test", FAR, "60")
        world.python(DATAGRAMS)
        world.python(RAW, plain=False)
        world.start([PLANTED / "egress_acts", "uring", "203.0.113.14", "443"],
                    stdout=subprocess.DEVNULL)
        answers = [self.answer() for _ in range(5)]
        time.sleep(6)
        answers.append(self.answer())
        left = world.counter.settled()
        report, found = watched.stop()
        self.assertEqual(answers, ["forty-two"] * 6)
        # What came through are answers to the client at the far end.
        self.assertEqual({key for key in left if key[1] != FAR or key[0] != "tcp"}, set(), left)
        self.assertEqual(world.asked(), [])
        self.assertTrue(report["sealed"], report["notSealedBecause"])
        for name, service in {
            "203.0.113.10": "tcp 443",
            "2001:db8::12": "tcp 443",
            "203.0.113.13": "udp 443",
            "203.0.113.14": "tcp 443",
            "203.0.113.15": "packet 77",
            "203.0.113.17": "icmp",
            "hard.vendor.test": "dns",
        }.items():
            self.assertIn(name, found)
            self.assertEqual(found[name]["service"], service)
            self.assertGreater(found[name]["denied"] + found[name]["questionsDenied"], 0, name)
        self.assertIn("egress_acts", found["203.0.113.14"]["processes"])
        beacon = found["203.0.113.10"]["beacon"]
        self.assertEqual(beacon["rhythm"], "periodic")
        self.assertAlmostEqual(beacon["periodMs"], 500, delta=60)
        self.assertTrue(found["203.0.113.11"]["beacon"]["randomPorts"])
        ports = found["203.0.113.11"]["ports"]
        self.assertTrue(all(40000 <= port <= 60000 for port in ports), ports)
        self.assertTrue(found["hard.vendor.test"]["ownResolver"])
        self.assertEqual(found["hard.vendor.test"]["addresses"], ["8.8.8.8"])
        self.assertTrue(found["*.exfil.test"]["tunnel"])
        self.assertEqual(found["*.exfil.test"]["questionsDenied"], 60)
        self.assertEqual(found["203.0.113.13"]["bytes"] % 1200, 0)
        self.assertEqual(sum(report["loss"].values()), 0)

    def test_nothing_leaves_however_it_is_refused(self):
        """And what a datagram socket was connected to is told, though nothing could be sent."""
        world = self.world
        for refusal in ("unreachable", "refused"):
            watched = Watched(self, world, world.cgroup, "--refusal", refusal)
            world.python(AGAIN, "203.0.113.10", "443", "0.1")
            world.python(AGAIN, "2001:db8::12", "443", "0.1")
            world.python(QUESTION, "hard.vendor.test", "8.8.8.8", "3")
            world.python(DATAGRAMS)
            world.python(RAW, plain=False)
            time.sleep(2.5)
            self.assertEqual(world.counter.settled(), {})
            # Before the window goes: what still tries then leaves.
            for process in world.processes[-5:]:
                process.kill()
                process.wait()
            report, found = watched.stop()
            self.assertTrue(report["sealed"], report["notSealedBecause"])
            for name in ("203.0.113.10", "2001:db8::12", "203.0.113.15", "203.0.113.17"):
                self.assertGreater(found[name]["denied"], 0, name)
            self.assertEqual(found["hard.vendor.test"]["questionsDenied"], 3)
            quic = found["203.0.113.13"]
            self.assertEqual(quic["service"], "udp 443")
            self.assertIn("QUIC", quic["remark"])
            self.assertEqual(quic["unsent"], 1 if refusal == "unreachable" else 0)
            self.assertEqual(quic["denied"] > 0, refusal == "refused")

    def test_names_open_without_a_race(self):
        world = self.world
        watched = Watched(self, world, world.cgroup, "--allow", "fresh.target.test:443")

        def counted(program, *args):
            done = world.python(program, *args, stdout=subprocess.PIPE, text=True)
            return done.communicate(timeout=600)[0].split()

        every, none = str(SEQUENCES), "0"
        self.assertEqual(counted(LOOK_UPS, "fresh.target.test", every), [every, none])
        self.assertEqual(counted(LOOK_UPS, "fresh@.other.test", every), [none, every])
        self.assertEqual(counted(NEVER_ANSWERED, every), [none, every])
        report, found = watched.stop()
        self.assertEqual(found["fresh.target.test"]["allowed"], SEQUENCES)
        self.assertEqual(set(world.asked()), {"fresh.target.test"})
        self.assertEqual(report["exceptions"][0]["attempts"], SEQUENCES)
        self.assertEqual(report["exceptions"][0]["usedBy"][0].split()[0], "python3.11")

    def test_rebinding_private_ranges_and_chains(self):
        world = self.world
        self.assertEqual(connects(world, "private.target.test"), "yes")
        watched = Watched(
            self, world, world.cgroup, "--allow", "private.target.test:443", "--allow",
            "metadata.target.test", "--allow", "loop.target.test:443", "--allow",
            "chain.target.test:443", "--allow", "0.0.0.0/0:5000",
        )
        self.assertEqual(connects(world, "private.target.test"), "ENETUNREACH")
        self.assertEqual(connects(world, "metadata.target.test"), "ENETUNREACH")
        self.assertNotEqual(connects(world, "loop.target.test"), "ECONNREFUSED")
        self.assertEqual(connects(world, "chain.target.test"), "yes")
        self.assertEqual(connects(world, "chain.target.test", 80), "ENETUNREACH")
        self.assertEqual(connects(world, "203.0.113.9", 5000), "yes")
        # Everything is not everything: the metadata service has to be named.
        self.assertEqual(connects(world, "169.254.169.254", 5000), "ENETUNREACH")
        _, found = watched.stop()
        self.assertIn("private address", found["private.target.test"]["remark"])
        self.assertEqual(found["metadata.target.test"]["rebound"], 2)
        watched = Watched(self, world, world.cgroup, "--allow", "private.target.test:443,private",
                          "--allow", "169.254.169.254:5000")
        self.assertEqual(connects(world, "private.target.test"), "yes")
        self.assertEqual(connects(world, "169.254.169.254", 5000), "yes")
        watched.stop()

    def test_refusals_programs_and_time(self):
        world = self.world
        for refusal, seen in (("unreachable", "ENETUNREACH"), ("refused", "ECONNREFUSED"),
                              ("silent", "timeout")):
            watched = Watched(self, world, world.cgroup, "--refusal", refusal, "--allow",
                              "203.0.113.0/24:443,process=python3.11", "--allow",
                              "203.0.113.0/24:80,process=curl", "--allow",
                              "198.51.100.1:443,for=1500ms")
            self.assertEqual(connects(world, "198.51.100.1"), "yes")
            self.assertEqual(connects(world, "203.0.113.1"), "yes")
            self.assertEqual(connects(world, "203.0.113.1", 80), seen)
            time.sleep(1.5)
            self.assertEqual(connects(world, "198.51.100.1"), seen)
            watched.stop()
        self.assertEqual(connects(world, "198.51.100.1"), "yes")

    def test_a_server_name_is_read_where_nobody_asked_for_one(self):
        world = self.world
        watched = Watched(self, world, world.cgroup, "--allow", "203.0.113.12:443")
        world.python(HELLO).wait(timeout=20)
        _, found = watched.stop()
        self.assertEqual(found["203.0.113.12"]["serverNames"], ["hidden.vendor.test"])
        self.assertIn("says it wants hidden.vendor.test", found["203.0.113.12"]["remark"])

    def test_the_policy_outlives_pare(self):
        world = self.world
        self.serve()
        watched = Watched(self, world, world.cgroup, "--allow", "203.0.113.7:443")
        second = subprocess.run([PARE, "watch", world.cgroup], capture_output=True, text=True,
                                env=self.environment(), timeout=60, check=False)
        self.assertEqual(second.returncode, 3, second.stderr)
        self.assertIn("watches this container already", second.stderr)
        watched.process.kill()
        watched.process.communicate()
        self.assertEqual(connects(world, "203.0.113.8"), "ENETUNREACH")
        self.assertEqual(connects(world, "203.0.113.7"), "yes")
        self.assertEqual(self.answer(), "forty-two")
        watched = Watched(self, world, world.cgroup)
        self.assertEqual(connects(world, "203.0.113.7"), "yes")
        report, _ = watched.stop()
        self.assertEqual([each["exception"] for each in report["exceptions"]], ["203.0.113.7:443"])
        self.assertEqual(connects(world, "203.0.113.8"), "yes")
        # What was taken over with little time left has all that is asked for now.
        watched = Watched(self, world, world.cgroup, "--allow", "203.0.113.7:443,for=1500ms")
        watched.process.kill()
        watched.process.communicate()
        watched = Watched(self, world, world.cgroup, "--allow", "203.0.113.7:443")
        time.sleep(1.6)
        self.assertEqual(connects(world, "203.0.113.7"), "yes")
        watched.stop()
        watched = Watched(self, world, world.cgroup, "--keep")
        watched.stop()
        self.assertEqual(connects(world, "203.0.113.8"), "ENETUNREACH")
        cleaned = self.pare("clean")
        self.assertIn("1 egress window opened", cleaned.err)
        self.assertEqual(connects(world, "203.0.113.8"), "yes")
        self.assertFalse((self.state / "bpf").exists())

    def test_a_container_that_starts_again_is_still_closed(self):
        world = self.world
        box = world.cgroup / f"pare-box-{os.getpid()}-{time.monotonic_ns()}"
        box.mkdir()
        watched = Watched(self, world, box.name)
        self.assertEqual(connects(world, "203.0.113.8", cgroup=box), "ENETUNREACH")
        # A neighbour is none of its business.
        self.assertEqual(connects(world, "203.0.113.8"), "yes")
        for _ in range(5):
            box.rmdir()
            box.mkdir()
            self.assertEqual(connects(world, "203.0.113.8", cgroup=box), "ENETUNREACH")
        _, found = watched.stop()
        self.assertEqual(found["203.0.113.8"]["denied"], 6)
        self.assertEqual(connects(world, "203.0.113.8", cgroup=box), "yes")

    def test_connections_from_before(self):
        """What came in goes on; what went out does not."""
        world = self.world
        self.serve()
        hold = (
            "import socket, sys, time; s = socket.create_connection(('203.0.113.9', 443));"
            "print('up', flush=True); sys.stdin.readline()\n"
            "for n in range(20): s.send(b'x'); time.sleep(0.02)"
        )
        # The far end must keep it open.
        keep = world.outside(
            [sys.executable, "-c",
             "import socket; s = socket.socket(); s.setsockopt(1, 2, 1); s.bind(('0.0.0.0', 7443));"
             "s.listen(); print('ready', flush=True); c, _ = s.accept(); n = 0\n"
             "while True:\n d = c.recv(100)\n n += len(d)\n print(n, flush=True)\n if not d: break"],
            world.far, stdout=subprocess.PIPE, text=True)
        self.assertEqual(keep.stdout.readline().strip(), "ready")
        client = world.python(hold.replace("443", "7443"), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
        self.assertEqual(client.stdout.readline().strip(), "up")
        watched = Watched(self, world, world.cgroup)
        before = world.counter.settled().get(("tcp", "203.0.113.9", 7443))
        client.stdin.write("\n")
        client.stdin.flush()
        time.sleep(1)
        self.assertEqual(world.counter.settled().get(("tcp", "203.0.113.9", 7443)), before)
        self.assertEqual(self.answer(), "forty-two")
        client.kill()
        _, found = watched.stop()
        self.assertGreater(found["203.0.113.9"]["denied"], 0)

    def test_a_flood_is_counted_and_bounded(self):
        world = self.world
        watched = Watched(self, world, world.cgroup)
        flood = world.start([PLANTED / "egress_acts", "flood", "2"], stdout=subprocess.PIPE,
                            text=True)
        tried = int(flood.communicate(timeout=60)[0])
        status = pathlib.Path(f"/proc/{watched.process.pid}/status").read_text()
        report, _ = watched.stop()
        self.say("flood:", tried / 2, "attempts a second;", re.search("VmRSS.*", status)[0])
        self.assertEqual(report["attempts"]["denied"], tried)
        self.assertLess(int(re.search(r"VmRSS:\s+(\d+)", status)[1]), 200_000)
        told = sum(each["denied"] for each in report["destinations"])
        # A row that is taken while it is counted in may miss a count; the totals do not.
        self.assertAlmostEqual(
            told + report["loss"]["others"] + report["loss"]["attempts"], tried, delta=tried / 1000
        )
        self.assertEqual(watched.code, 1)  # what was lost is said

    def test_what_was_learnt_is_proved_and_written(self):
        world = self.world
        # Infers only as long as its licence server answers; tells another host of it, and does not
        # mind when it cannot.
        server = SERVE.replace(
            "c, _ = s.accept(); c.recv(1000)",
            "c, _ = s.accept(); c.recv(1000)\n"
            "    for host, must in (('203.0.113.21', 1), ('203.0.113.22', 0)):\n"
            "        try: socket.create_connection((host, 443), timeout=1).close()\n"
            "        except OSError:\n"
            "            if must: c.close()",
        ).replace("    c.sendall", "    if c.fileno() >= 0: c.sendall")
        process = world.python(server, stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline().strip(), "ready")
        out, log = self.dir / "learnt", self.dir / "log"
        log.write_text("from before\n")
        watched = Watched(
            self, world, world.cgroup, "--allow", "203.0.113.21:443", "--allow", "203.0.113.22:443",
            "--allow", "model.vendor.test:443", "--prove", "--check",
            "http://:8000/;match=forty-two;within=5s", "-o", out, "--metrics", self.dir / "m.prom",
            "--log", log,
        )
        log.write_text(log.read_text() + "cannot resolve licence.test, retrying in 3 s\n" * 50)
        self.assertEqual(self.answer(), "forty-two")
        report, _ = watched.stop()
        verdicts = {each["exception"]: each["verdict"] for each in report["exceptions"]}
        self.assertEqual(verdicts["203.0.113.21:443"], "needed", report["exceptions"])
        self.assertEqual(verdicts["203.0.113.22:443"], "tolerated")
        self.assertEqual(verdicts["model.vendor.test:443"], "tolerated")
        self.assertEqual(json.loads((out / "egress.json").read_text())["schema"], "pare.egress/v1")
        self.assertIn("\n203.0.113.21:443\n", (out / "exceptions.txt").read_text())
        self.assertIn('cidr: "203.0.113.21/32"', (out / "networkpolicy.yaml").read_text())
        self.assertIn('matchName: "model.vendor.test"', (out / "cilium.yaml").read_text())
        metrics = (self.dir / "m.prom").read_text()
        for line in metrics.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) \w+ .+|\w+\{(\w+="[^"]*",?)+\} [0-9.e+-]+)$')
        self.assertIn('destination="203.0.113.21",verdict="allowed"', metrics)
        self.assertRegex(metrics, r"(?m)^pare_egress_window_open\{.*\} 0$")
        self.assertRegex(metrics, r"(?m)^pare_egress_log_repeated_lines_total\{.*\} 50$")
        named = set(re.findall(r"pare_egress_\w+", (out / "alerts.yaml").read_text()))
        self.assertLessEqual(named, set(re.findall(r"# TYPE (\w+)", metrics)))
        if not shutil.which("promtool"):
            cannot(self, "promtool (Debian's prometheus) is not installed")
        run("promtool", "check", "rules", out / "alerts.yaml")
        run("promtool", "check", "metrics", input=metrics.encode())
        # What was written can be read.
        watched = Watched(self, world, world.cgroup, "--allow-file", out / "exceptions.txt")
        self.assertEqual(connects(world, "203.0.113.21"), "yes")
        watched.stop()

    def test_exceptions_are_proved_when_the_windows_time_is_over(self):
        world = self.world
        server = SERVE.replace(
            "c, _ = s.accept(); c.recv(1000)",
            "c, _ = s.accept(); c.recv(1000)\n"
            "    try: socket.create_connection(('203.0.113.21', 443), timeout=1).close()\n"
            "    except OSError: c.close(); continue",
        )
        process = world.python(server, stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline().strip(), "ready")
        watched = Watched(
            self, world, world.cgroup, "--allow", "203.0.113.21:443", "--allow",
            "203.0.113.22:443", "--allow", "203.0.113.23:443,for=500ms", "--window", "2s",
            "--prove", "--keep", "--check", "http://:8000/;match=forty-two;within=5s",
            "--metrics", self.dir / "m.prom",
        )
        out, err = watched.process.communicate(timeout=60)
        report = json.loads(out.splitlines()[-1])["report"]
        verdicts = {each["exception"]: each["verdict"] for each in report["exceptions"]}
        self.assertEqual(verdicts, {"203.0.113.21:443": "needed", "203.0.113.22:443": "tolerated",
                                    "203.0.113.23:443": "unproven"}, (report["exceptions"], err))
        # The window that was kept lets through no longer than it was said to.
        self.assertEqual(connects(world, "203.0.113.21"), "ENETUNREACH")
        metrics = (self.dir / "m.prom").read_text()
        self.assertRegex(metrics, r"(?m)^pare_egress_window_open\{.*\} 1$")
        self.assertRegex(metrics, r"(?m)^pare_egress_exceptions\{.*\} 0$")
        self.pare("clean")

    def test_exceptions_are_asked_for_on_a_terminal(self):
        if not shutil.which("tmux"):
            cannot(self, "tmux is not installed")
        world = self.world
        tmux = ["tmux", "-S", str(self.dir / "tmux")]
        command = f"nsenter --net=/run/netns/{world.host} {PARE} watch {world.cgroup}"
        env = {**self.environment(), "TERM": "xterm"}
        del env["NO_COLOR"]
        run(*tmux, "new-session", "-d", "-x", "120", "-y", "40", f"{command}; sleep 60", env=env)
        self.addCleanup(subprocess.run, [*tmux, "kill-server"], check=False)

        def screen(until):
            for _ in range(100):
                shown = run(*tmux, "capture-pane", "-p").stdout.decode()
                if until in shown:
                    return shown
                time.sleep(0.1)
            self.fail(f"no {until!r} in:\n{shown}")

        screen("q ends the window")
        self.assertEqual(connects(world, "203.0.113.30"), "ENETUNREACH")
        shown = screen("allow 203.0.113.30:443?")
        self.assertRegex(shown, r"203\.0\.113\.30 +tcp 443 +1 +1 +python3\.11")
        run(*tmux, "send-keys", "y")
        screen("exception 203.0.113.30:443")
        self.assertEqual(connects(world, "203.0.113.30"), "yes")
        connects(world, "203.0.113.31")
        screen("allow 203.0.113.31:443?")
        run(*tmux, "send-keys", "n")
        screen("q ends the window")
        self.assertEqual(connects(world, "203.0.113.31"), "ENETUNREACH")
        run(*tmux, "send-keys", "q")
        screen("203.0.113.30:443: unproven")
        self.assertEqual(connects(world, "203.0.113.31"), "yes")

    def test_usage(self):
        for words, why in (
            (["watch", "no-such-container"], "no container, process or cgroup"),
            (["watch", "1", "--refusal", "loud"], "--refusal is"),
            (["watch", "1", "--allow", "*.example:443"], "without wildcards"),
            (["watch", "1", "--prove"], "--check"),
            (["watch", "999999"], "no process"),
        ):
            done = self.pare(*words)
            self.assertEqual(done.code, 2, done)
            self.assertIn(why, done.err)


# Calls out for ever and says so in its log.
CALLER = """while :; do
  if /bin/busybox nc -w 1 203.0.113.8 443 </dev/null >/dev/null 2>&1; then echo passed
  else echo cannot reach 203.0.113.8, retrying; fi
  /bin/busybox sleep 0.1
done"""


class RuntimesTest(Ground):
    """Containers of Docker and runc by their names, before they start and when they start again."""

    def busybox(self):
        root = self.dir / "busybox"
        (root / "bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        return root

    def watch(self, word, *options, netns=None, **env):
        argv = ["nsenter", f"--net={netns}"] if netns else []
        process = subprocess.Popen(
            [*argv, PARE, "watch", word, "--json", *map(str, options)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=self.environment(**env),
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        first = process.stdout.readline()
        self.assertTrue(first, "" if first else process.stderr.read())
        return process

    def report(self, process):
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        last = json.loads(out.splitlines()[-1])
        self.assertEqual(last["event"], "closed", err)
        return last["report"], {each["name"]: each for each in last["report"]["destinations"]}

    def test_a_docker_container_by_its_name(self):
        daemon = self.docker_daemon()
        daemon.load("caller", self.busybox(), "CMD " + json.dumps(["/bin/busybox", "sh", "-c", CALLER]))
        netns = run(SUPPORT / "dockerd", "netns", daemon.directory, text=True).stdout.strip()
        run("nsenter", f"--net={netns}", "ip", "route", "add", "local", "203.0.113.0/24", "dev", "lo")
        accept = (
            "import socket; s = socket.create_server(('0.0.0.0', 443)); print('ready', flush=True)\n"
            "while True: s.accept()[0].close()"
        )
        host = f"unix://{daemon.socket}"

        def docker(*words):
            return run("docker", "-H", host, *words, text=True).stdout

        def passed():
            return docker("logs", name).count("passed")

        name = f"pare-caller-{os.getpid()}"
        with process("nsenter", f"--net={netns}", sys.executable, "-c", accept,
                     stdout=subprocess.PIPE, text=True) as server:
            self.assertEqual(server.stdout.readline().strip(), "ready")
            docker("create", "--name", name, "caller")
            watched = self.watch(name, "-o", self.dir / "learnt", netns=netns, DOCKER_HOST=host)
            docker("start", name)
            time.sleep(2.5)
            docker("restart", "-t", "0", name)
            time.sleep(2)
            self.assertEqual(passed(), 0)
            report, found = self.report(watched)
            time.sleep(1)
            self.assertGreater(passed(), 0)
            # What Docker itself can do of it: an address through, the rest dropped.
            watched = self.watch(name, "--allow", "203.0.113.9:443/tcp", "--allow",
                                 "model.test:443", "-o", self.dir / "learnt", netns=netns,
                                 DOCKER_HOST=host)
            time.sleep(2.5)
            running, again = self.report(watched)
            env = {**os.environ, "DOCKER_HOST": host}
            inside = ["nsenter", f"--net={netns}"]
            for _ in range(2):
                run(*inside, "sh", self.dir / "learnt/docker.sh", name, env=env)
            rules = run(*inside, "iptables", "-S", text=True).stdout
            docker("rm", "-f", name)
        self.assertRegex(rules, r"-A DOCKER-USER -s \S+ -j PARE-\w{12}")
        chain = re.findall(r"-A PARE-\w{12} (.*)", rules)
        self.assertEqual(chain, ["-d 203.0.113.9/32 -p tcp -m tcp --dport 443 -j RETURN",
                                 "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
                                 "-j DROP"], rules)
        self.assertTrue(report["sealed"], report["notSealedBecause"])
        caller = found["203.0.113.8"]
        self.assertEqual((caller["service"], caller["allowed"]), ("tcp 443", 0))
        self.assertGreater(caller["denied"], 10)
        self.assertEqual(caller["processes"], ["busybox"])
        self.assertEqual(caller["beacon"]["rhythm"], "periodic")
        # The log is Docker's, which says where it is once the container has run.
        self.assertGreater(running["log"]["bytesPerSecond"], 10)
        self.assertEqual(running["log"]["repeated"][0]["line"], "cannot reach 203.0.113.8, retrying")
        self.assertGreater(again["203.0.113.8"]["logLines"], 10)

    def test_a_runc_container_by_its_name(self):
        bundle = self.dir / "bundle"
        bundle.mkdir()
        self.busybox().rename(bundle / "rootfs")
        run("runc", "spec", cwd=bundle)
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=["/bin/busybox", "sh", "-c", CALLER])
        (bundle / "config.json").write_text(json.dumps(config))
        name = f"pare-caller-{os.getpid()}"
        log = self.dir / "log"
        with open(log, "w") as out, process("runc", "run", "-b", bundle, name, stdout=out) as _:
            self.addCleanup(subprocess.run, ["runc", "delete", "-f", name], check=False,
                            capture_output=True)
            for _ in range(100):
                if "retrying" in log.read_text():
                    break
                time.sleep(0.1)
            watched = self.watch(name, "--log", log)
            time.sleep(2)
            report, found = self.report(watched)
            run("runc", "kill", name, "KILL")
        self.assertGreater(found["203.0.113.8"]["denied"], 5)
        self.assertEqual(report["log"]["repeated"][0]["line"], "cannot reach 203.0.113.8, retrying")


class ProofTest(Ground):
    """pare watch PROOF starts the proved server, its window there before its first process."""

    def test_the_server_of_a_proof_is_started(self):
        world = self.enterContext(World(self.dir / "world"))
        near = f"/run/netns/{world.near}"
        root = self.root("egress_beacon")
        proved, _ = self.prove(root, ["/egress_beacon"], "--repeat", 1)
        self.assertEqual(proved.code, 0, proved)
        watched = Watched(self, world, self.dir / "out", "--netns", near, "--prove", "-o",
                          self.dir / "learnt", "--allow", "203.0.113.77:443")
        answered = None
        for _ in range(50):
            answered = self.infer(world)
            if answered:
                break
            time.sleep(0.1)
        time.sleep(2)
        report, found = watched.stop()
        self.assertIn("forty-two", answered or "")
        left = world.counter.settled()
        self.assertEqual({key for key in left if key[1] != FAR or key[0] != "tcp"}, set(), left)
        self.assertTrue(report["sealed"], report["notSealedBecause"])
        self.assertEqual(report["amends"], hashlib.sha256(
            (self.dir / "out/proof.json").read_bytes()).hexdigest())
        self.assertTrue(any(each["denied"] > 0 for each in found.values()), found)
        self.assertEqual(report["exceptions"][0]["verdict"], "tolerated", report["exceptions"])
        self.assertIsNotNone(report["log"])
        self.assertFalse(list(pathlib.Path("/sys/fs/cgroup").glob("**/pare/pare-*-watch")))
        refused = self.pare("watch", self.dir / "out", "--keep")
        self.assertEqual(refused.code, 2, refused)

    def infer(self, world):
        text = (
            "import urllib.request as u; print(u.urlopen(u.Request('http://%s:8000/infer',"
            "data=b'x'), timeout=3).read().decode())" % NEAR
        )
        done = world.outside([sys.executable, "-c", text], world.far, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
        return done.communicate(timeout=20)[0].strip()


class WindowTest(Ground):
    """A window that stands while the other tests run (its name is the last): a child that tries
    something 30 s after its parent's start."""

    def open(self):
        super().setUp()
        if cgroup2() is None:
            cannot(self, "no cgroup v2 hierarchy is mounted")
        self.world = self.enterContext(World(self.dir / "world"))
        self.watched = Watched(self, self.world, self.world.cgroup)
        self.world.python(LATER)
        self.began = time.monotonic()

    def setUp(self):
        pass

    def test_a_child_half_a_minute_later(self):
        early = WindowTest.early
        time.sleep(max(0, early.began + 33 - time.monotonic()))
        self.assertEqual(early.world.counter.settled(), {})
        report, found = early.watched.stop()
        self.assertTrue(report["sealed"], report["notSealedBecause"])
        self.assertEqual(set(found), {"203.0.113.16"})
        late = found["203.0.113.16"]
        self.assertEqual((late["service"], late["denied"]), ("tcp 443", 1))
        self.assertIn("python3.11", late["processes"][0])
        self.assertGreater(late["firstSeconds"], 29.5)


def setUpModule():
    WindowTest.early = WindowTest("open")
    WindowTest.early.open()


def tearDownModule():
    WindowTest.early.doCleanups()


if __name__ == "__main__":
    unittest.main()
