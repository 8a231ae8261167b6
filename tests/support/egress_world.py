"""A container's outside world: its own network namespace, a host's, where pare stands and which
forwards, and the far one, with a DNS server, servers that accept on any address, and a counter of
every IP packet that came through."""
import collections
import contextlib
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
NEAR, HOST, HOST_OUT, FAR = "10.77.0.2", "10.77.0.1", "10.77.1.1", "10.77.1.2"
NEAR6, HOST6, HOST_OUT6, FAR6 = "fd77::2", "fd77::1", "fd77:1::1", "fd77:1::2"
RESOLVER = FAR
# Without what no container has: packet sockets are a case of their own.
PLAIN = ["setpriv", "--bounding-set=-net_raw,-net_admin", "--inh-caps=-net_raw,-net_admin"]

SERVER = """
import selectors, socket, sys
poll = selectors.DefaultSelector()
for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for port in map(int, sys.argv[1:]):
        s = socket.socket(family, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind((any_address, port))
        s.listen(4096)
        poll.register(s, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in poll.select():
        connection, _ = key.fileobj.accept()
        connection.close()
"""


def run(*words, **options):
    return subprocess.run(list(map(str, words)), check=True, capture_output=True, **options)


def cgroup2():
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            words = line.split()
            if words[words.index("-") + 1] == "cgroup2" and words[3] == "/":
                return pathlib.Path(words[4])
    return None


class World:
    """with World(directory) as world: world.start([...])"""

    def __init__(self, directory, ports=(443, 80, 5000)):
        self.directory = pathlib.Path(directory)
        self.ports = ports
        tag = f"pare-w-{os.getpid()}-{time.monotonic_ns() % 1000000}"
        self.near, self.host, self.far = tag + "-n", tag + "-h", tag + "-f"
        self.cgroup = cgroup2() / tag
        self.processes = []
        self.counter = None
        self.resolv = self.directory / "resolv.conf"

    def __enter__(self):
        self.directory.mkdir(exist_ok=True)
        self.resolv.write_text(f"nameserver {RESOLVER}\noptions timeout:1 attempts:1\n")
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _make(self):
        self.cgroup.mkdir()
        for space in (self.near, self.host, self.far):
            run("ip", "netns", "add", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
        self._link(self.near, "eth0", NEAR, NEAR6, "box0", HOST, HOST6)
        self._link(self.far, "eth0", FAR, FAR6, "out0", HOST_OUT, HOST_OUT6)
        for space, v4, v6 in ((self.near, HOST, HOST6), (self.far, HOST_OUT, HOST_OUT6),
                              (self.host, FAR, FAR6)):
            run("ip", "-n", space, "route", "add", "default", "via", v4)
            run("ip", "-n", space, "route", "add", "default", "via", v6)
        for switch in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
            run("ip", "netns", "exec", self.host, "sh", "-c", f"echo 1 > /proc/sys/{switch}")
        # The far end is every address of the documentation and benchmark ranges.
        for network in ("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24",
                        "8.8.8.0/24", "169.254.169.254/32", "10.9.8.0/24"):
            run("ip", "-n", self.far, "route", "add", "local", network, "dev", "lo")
        run("ip", "-n", self.far, "route", "add", "local", "2001:db8::/32", "dev", "lo")
        self.dns = self._outside(HERE / "dns_server.py", FAR, 53)
        self.server = self._outside("-c", SERVER, *self.ports)
        self.counter = Counter(self.far)

    def _link(self, space, device, v4, v6, host_device, host_v4, host_v6):
        run("ip", "-n", space, "link", "add", device, "type", "veth", "peer", "name", host_device,
            "netns", self.host)
        ends = ((space, device, v4, v6), (self.host, host_device, host_v4, host_v6))
        for name, link, address, address6 in ends:
            run("ip", "-n", name, "address", "add", address + "/24", "dev", link)
            run("ip", "-n", name, "address", "add", address6 + "/64", "dev", link, "nodad")
            run("ip", "-n", name, "link", "set", link, "up")

    def _outside(self, *words):
        process = self.outside(
            [sys.executable, "-B", *map(str, words)],
            self.far, stdout=subprocess.PIPE, text=True,
        )
        assert process.stdout.readline().strip() == "ready"
        if words[0] != "-c":
            process.lines = []
            reader = threading.Thread(target=_read_lines, args=(process,), daemon=True)
            reader.start()
        return process

    def outside(self, argv, space=None, **options):
        """A process on the host, or at the far end."""
        process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{space or self.host}", *map(str, argv)], **options
        )
        self.processes.append(process)
        return process

    def start(self, argv, plain=True, cgroup=None, **options):
        """A process inside: in the cgroup and the near namespace, with its own resolv.conf."""
        procs = (cgroup or self.cgroup) / "cgroup.procs"
        # Capabilities go before the cgroup is joined, as a runtime has it.
        script = f'mount --bind {self.resolv} /etc/resolv.conf && echo $$ > {procs} && exec "$@"'
        process = subprocess.Popen(
            [*(PLAIN if plain else []), "nsenter", f"--net=/run/netns/{self.near}", "unshare", "-m",
             "sh", "-c", script, "sh", *map(str, argv)],
            **options,
        )
        self.processes.append(process)
        return process

    def python(self, program, *args, **options):
        return self.start([sys.executable, "-c", program, *args], **options)

    def asked(self):
        """The names that reached the DNS server."""
        return [line.split()[1] for line in self.dns.lines]

    def __exit__(self, *_):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        if self.counter:
            self.counter.stop()
        if self.cgroup.exists():
            for directory in [*self.cgroup.rglob("*/"), self.cgroup]:
                for pid in (directory / "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            for directory in sorted(self.cgroup.rglob("*/"), reverse=True):
                _remove(directory)
            _remove(self.cgroup)
        for space in (self.near, self.host, self.far):
            subprocess.run(["ip", "netns", "del", space], check=False, stderr=subprocess.DEVNULL)


def _read_lines(process):
    with contextlib.suppress(ValueError):
        for line in process.stdout:
            process.lines.append(line)


def _remove(cgroup):
    for _ in range(200):
        try:
            cgroup.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)


class Counter:
    """Counts what comes out of the veth at the far end, but ARP and IPv6 neighbour discovery."""

    SOCKET = """
import ctypes, os, socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
s.bind(("eth0", 3))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b"x"], [s.fileno()])
"""

    def __init__(self, space):
        ours, theirs = socket.socketpair()
        run("nsenter", f"--net=/run/netns/{space}", sys.executable, "-c", self.SOCKET,
            theirs.fileno(), pass_fds=(theirs.fileno(),))
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        ours.close()
        theirs.close()
        self.socket = socket.socket(fileno=fds[0])
        self.seen = collections.Counter()
        self.stopping = False
        self.thread = threading.Thread(target=self._count, daemon=True)
        self.thread.start()

    def _count(self):
        while not self.stopping:
            if not select.select([self.socket], [], [], 0.1)[0]:
                continue
            data, (_, protocol, kind, *_rest) = self.socket.recvfrom(2048)
            if kind == socket.PACKET_OUTGOING:
                continue
            key = self._key(protocol, data)
            if key:
                self.seen[key] += 1

    @staticmethod
    def _key(protocol, data):
        if protocol == 0x0800 and len(data) >= 20:
            head = (data[0] & 15) * 4
            number, to = data[9], socket.inet_ntop(socket.AF_INET, data[16:20])
        elif protocol == 0x86DD and len(data) >= 40:
            head, number = 40, data[6]
            to = socket.inet_ntop(socket.AF_INET6, data[24:40])
            if number == 0 or (number == 58 and 130 <= data[40] <= 143 and data[40] != 129):
                return None  # multicast listening, neighbour discovery
        elif protocol == 0x0806:
            return None
        else:
            return ("other", hex(protocol), 0)
        if number in (6, 17) and len(data) >= head + 4:
            source, port = struct.unpack("!HH", data[head : head + 4])
            return ({6: "tcp", 17: "udp"}[number], to, port)
        return (f"ip{number}", to, 0)

    def settled(self):
        time.sleep(0.3)
        return dict(self.seen)

    def stop(self):
        self.stopping = True
        self.thread.join()
        self.socket.close()
