#!/usr/bin/python3
"""pull, prepare, run: a proved server as an appliance, and what it cannot do any more."""
import concurrent.futures
import contextlib
import functools
import http.client
import http.server
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

import harness
import llama_test

KEY = "sekrit-key-of-the-pull"
COMPLETIONS = 1000


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Appliance:
    """A `pare run` of its own process group; its talk is in `err`."""

    def __init__(self, test, *words, env=None):
        self.log = test.dir / f"run-{time.monotonic_ns()}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*test.before, harness.PARE, "run", *map(str, words), *test.runtime],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env or test.environment(),
                cwd=test.dir,
                start_new_session=True,
            )
        test.addCleanup(self.end)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, text, limit=60):
        end = time.monotonic() + limit
        while time.monotonic() < end and self.process.poll() is None:
            if text in self.text():
                return self.text()
            time.sleep(0.05)
        if text in self.text():
            return self.text()
        raise AssertionError(f"no '{text}' in:\n{self.text()}")

    def stop(self, limit=60):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=limit)


def servers_of(state):
    """Pids of container processes whose cgroup carries a session of this state directory."""
    sessions = [name for name in os.listdir(state) if name != "lock"] if state.exists() else []
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            groups = (entry / "cgroup").read_text()
            if any(f"pare-{s}" in groups for s in sessions):
                found.append(int(entry.name))
    return sorted(found)


def inside(pid, *words):
    return subprocess.run(
        ["nsenter", "--target", str(pid), "--net", *words], capture_output=True, text=True, check=True
    ).stdout


def ask(port, method, path, body=None, timeout=60):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request(method, path, body)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def probe(port, act):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(act.encode() + b"\n")
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while part := s.recv(65536):
            answer += part
    return answer.decode().strip()


class Planted(harness.Ground):
    def setUp(self):
        super().setUp()
        self.models = self.dir / "models"
        self.models.mkdir()
        (self.models / "model").write_text("weights")

    def proved(self, program):
        root = self.root(program)
        run, proof = self.prove(
            root, [f"/{program}"], "--volume", f"{self.models}:/models:ro", "--port", "8000"
        )
        self.assertIn(run.code, (0, 1), run)
        self.assertTrue(proof and proof["confirmed"], run)
        return self.dir / "out" / "proof.json"

    def start(self, proof, *more):
        self.port, self.side, self.metrics = free_port(), free_port(), free_port()
        appliance = Appliance(
            self,
            proof,
            "--publish",
            self.port,
            "--side-gate",
            f"{self.side}:8001",
            "--metrics",
            self.metrics,
            *more,
        )
        appliance.wait_for("pare: ready")
        return appliance

    def test_sealed_and_alone(self):
        proof = self.proved("prober")
        # Every socket call allowed: what stops them is the namespace, not the list.
        document = json.loads(proof.read_text())
        document["policy"]["seccomp"] = None
        open_proof = self.dir / "open.json"
        open_proof.write_text(json.dumps(document))
        (self.dir / "evidence.json").write_bytes((self.dir / "out/evidence.json").read_bytes())
        for path in (proof, open_proof):
            with self.subTest(path.name):
                appliance = self.start(path)
                self.check_sealed(appliance, everything=path == open_proof)
                self.assertEqual(appliance.stop(), 0, appliance.text())
                self.assertEqual(servers_of(self.state), [])

    def check_sealed(self, appliance, everything):
        self.assertIn("sealed", appliance.text())
        appliance.wait_for("retry 19 [19 lines like this", 20)
        pid = servers_of(self.state)[0]
        links = json.loads(inside(pid, "ip", "-j", "link"))
        self.assertEqual([link["ifname"] for link in links], ["lo"])
        self.assertEqual(json.loads(inside(pid, "ip", "-j", "route") or "[]"), [])
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        self.assertIn("CapEff:\t0000000000000000", status)
        self.assertIn("NoNewPrivs:\t1", status)
        # Sealed: refused and logged.
        for act in ("exec", "memfd", "listen", "unshare", "clone", "mount", "ptrace", "bpf", "uring"):
            self.assertIn(
                probe(self.side, act),
                ("Operation not permitted", "Function not implemented"),
                act + "\n" + appliance.text(),
            )
        calls = ["listen(", "unshare(0x10000000)", "mount(/models)", "bpf(", "ptrace("]
        if everything:  # else it lacks calls that come before these
            calls += ["execve(/prober)", "clone(0x10000011)", "memfd_create("]
        for call in calls:
            self.assertIn(f"sealed: refused {call}", appliance.text())
        for act in ("model", "root"):
            self.assertEqual(probe(self.side, act), "Read-only file system", act)
        self.assertEqual((self.models / "model").read_text(), "weights")
        # Nothing leaves.
        for act in ("tcp", "gateway", "metadata", "udp", "dns", "ping", "icmp", "v6", "packet"):
            self.assertNotEqual(probe(self.side, act), "done", act)
        # And it still serves.
        self.assertEqual(ask(self.port, "POST", "/infer", "x")[0], 200)
        metrics = ask(self.metrics, "GET", "/metrics")[1]
        self.assertIn("pare_sealed 1", metrics)
        self.assertIn('pare_denied_calls_total{call="mount"} 1', metrics)
        self.assertRegex(metrics, r'pare_gate_connections_total\{gate="[^"]+"\} [1-9]')
        self.assertIn("pare_log_folded_lines_total 19", metrics)

    def test_killed_and_swept(self):
        proof = self.proved("nothing")
        appliance = self.start(proof)
        before = servers_of(self.state)
        status = pathlib.Path(f"/proc/{before[0]}/status").read_text()
        appliance.process.kill()
        appliance.process.wait()
        # No way in, no way out, no more rights than before.
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=2)
        pid = before[0]
        if os.path.exists(f"/proc/{pid}/ns/net"):
            links = json.loads(inside(pid, "ip", "-j", "link"))
            self.assertEqual([link["ifname"] for link in links], ["lo"])
            now = pathlib.Path(f"/proc/{pid}/status").read_text()
            for field in ("CapEff:", "Seccomp:", "NoNewPrivs:", "Uid:"):
                line = next(l for l in status.splitlines() if l.startswith(field))
                self.assertIn(line, now)
        # The next start sweeps it.
        again = self.start(proof)
        self.assertNotIn(pid, servers_of(self.state))
        self.assertEqual(ask(self.port, "POST", "/infer", "x")[0], 200)
        self.assertEqual(again.stop(), 0)

    def test_restarted_after_a_crash_and_health(self):
        proof = self.proved("nothing")
        appliance = self.start(proof, "--health", "1s")
        first = servers_of(self.state)[0]
        os.kill(first, signal.SIGKILL)
        appliance.wait_for("killed by signal 9")
        # A client that comes meanwhile waits in the gate's queue.
        self.assertEqual(ask(self.port, "POST", "/infer", "x")[0], 200)
        self.assertIn("pare_restarts_total 1", ask(self.metrics, "GET", "/metrics")[1])
        self.assertEqual(appliance.stop(), 0)

    def test_paths(self):
        proof = self.proved("nothing")
        appliance = self.start(proof, "--paths")
        self.assertEqual(ask(self.port, "POST", "/infer", "x")[0], 200)
        for method, path in (("GET", "/health"), ("GET", "/metrics"), ("POST", "/infer/../x")):
            self.assertEqual(ask(self.port, method, path)[0], 403, path)
        self.assertEqual(appliance.stop(), 0)

    def test_beacon_gets_nothing_out(self):
        proof = self.proved("egress_beacon")
        appliance = self.start(proof)
        pid = servers_of(self.state)[0]

        def counters():
            lines = inside(pid, "cat", "/proc/net/snmp").splitlines()
            names, values = [l.split() for l in lines if l.startswith("Ip:")]
            return dict(zip(names[1:], map(int, values[1:])))

        end = time.monotonic() + 60
        while counters()["OutNoRoutes"] < 100 and time.monotonic() < end:
            time.sleep(0.5)
        self.assertGreaterEqual(counters()["OutNoRoutes"], 100)
        links = json.loads(inside(pid, "ip", "-j", "-s", "link"))
        self.assertEqual([link["ifname"] for link in links], ["lo"])
        self.assertEqual(ask(self.port, "POST", "/infer", "x")[0], 200)
        self.assertEqual(appliance.stop(), 0)

    def test_what_is_refused_beforehand(self):
        proof = self.proved("nothing")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            run = self.pare("run", proof, "--publish", taken.getsockname()[1])
            self.assertEqual(run.code, 2, run)
            self.assertIn("Address already in use", run.err)
        for words, why in (
            (("--publish", "8000:x"), "is not [ADDRESS:]PORT"),
            (("--side-gate", "9100"), "names no port in the container"),
            (("--restart", "maybe"), "--restart"),
            (("--idle", "soon"), "--idle"),
            (("--verify", "/elsewhere/m"), "lies on no volume"),
        ):
            run = self.pare("run", proof, *words)
            self.assertEqual(run.code, 2, run)
            self.assertIn(why, run.err)
        self.check_says_of_pull(proof)
        unit = self.pare("run", proof, "--publish", "8000", "--unit")
        self.assertEqual(unit.code, 0, unit)
        self.assertIn(f"ExecStart={harness.PARE.resolve()} run {proof} --publish 8000\n", unit.out)
        self.assertEqual(servers_of(self.state), [])

    def check_says_of_pull(self, proof):
        """Of a server that was seen to fetch its model, as long as no volume has a manifest."""
        document = json.loads(proof.read_text())
        pulled = {
            **document["verdicts"][0],
            "privilege": "egress/hub.test:443",
            "axis": "egress",
            "value": "hub.test:443",
            "phase": "pull",
            "verdict": "needed",
        }
        document["verdicts"].append(pulled)
        pulls = self.dir / "pulls.json"
        pulls.write_text(json.dumps(document))
        sentence = f"pare pull {pulls} --volume {self.models}:/models (with"
        for filled in (False, True):
            if filled:
                (self.models / "pare.sha256").write_text("")
            appliance = self.start(pulls, "--volume", f"{self.models}:/models")
            self.assertEqual(sentence in appliance.text(), not filled, appliance.text())
            self.assertEqual(appliance.stop(), 0)


class ByDocker(harness.Ground):
    """A container that Docker or Podman manages."""

    def test_docker(self):
        self.gate_and_confinement(self.docker_daemon())

    def test_podman(self):
        self.gate_and_confinement(self.docker_daemon("podman"), seals=True)

    def gate_and_confinement(self, daemon, seals=False):
        daemon.load("planted-prober:run", self.root("prober"), f"ENV HF_TOKEN={KEY}", "ENV MODE=fast")
        self.variables = self.environment(DOCKER_HOST=f"unix://{daemon.socket}")
        (self.dir / "models").mkdir()
        (self.dir / "models/model").write_text("weights")
        prove = ["prove", "--for", "docker", "-o", self.dir / "out", "--ready-within", "20s"]
        line = ["docker", "run", "--network", "none", "-v", f"{self.dir}/models:/models:ro"]
        run = self.pare(
            *prove, "--check", harness.INFER, "--", *line, "planted-prober:run", "/prober",
            env=self.variables,
        )
        self.assertIn(run.code, (0, 1), run)
        words = [self.dir / "out", "--publish", free_port(), "--side-gate", f"{free_port()}:8001"]
        # A daemon that drops listenerPath cannot seal: nothing runs unless that is asked for.
        sealed = Appliance(self, *words, env=self.variables)
        if seals or self.comes_up(sealed):
            self.check(daemon, sealed, words, sealed=True)
        else:
            self.assertEqual(sealed.process.returncode, 3, sealed.text())
            self.assertIn("cannot be sealed", sealed.text())
            self.assertIn("--no-seal", sealed.text())
        self.assertEqual(daemon.containers(), [])
        unsealed = Appliance(self, *words, "--no-seal", env=self.variables)
        self.check(daemon, unsealed, words, sealed=False)
        self.assertEqual(daemon.containers(), [])
        self.check_sweep(daemon, words)

    def comes_up(self, appliance):
        end = time.monotonic() + 60
        while time.monotonic() < end and appliance.process.poll() is None:
            if "pare: ready" in appliance.text():
                return True
            time.sleep(0.05)
        return False

    def check(self, daemon, appliance, words, sealed):
        appliance.wait_for("pare: ready, " + ("sealed" if sealed else "not sealed"))
        self.check_key_of_the_image_absent(daemon, appliance)
        port, side = words[2], int(words[4].split(":")[0])
        self.assertEqual(ask(port, "POST", "/infer", "x")[0], 200)
        appliance.wait_for("retry 19 [19 lines like this", 20)
        for act in ("tcp", "gateway", "metadata", "udp", "dns", "ping", "icmp", "v6", "packet"):
            self.assertNotEqual(probe(side, act), "done", act)
        for act in ("mount", "bpf", "unshare", "ptrace"):  # the proof saw none of them
            self.assertIn(
                probe(side, act), ("Operation not permitted", "Function not implemented"), act
            )
        self.assertEqual(probe(side, "model"), "Read-only file system")
        self.assertEqual(ask(port, "POST", "/infer", "x")[0], 200)
        self.assertEqual(appliance.stop(), 0, appliance.text())

    def check_key_of_the_image_absent(self, daemon, appliance):
        told = subprocess.run(
            ["docker", "-H", f"unix://{daemon.socket}", "inspect", "-f", "{{.State.Pid}}",
             *daemon.containers()],
            capture_output=True, text=True, check=True,
        ).stdout.split()
        (pid,) = [pid for pid in told if pid != "0"]
        environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        self.assertNotIn(KEY.encode(), environment)
        self.assertIn(b"MODE=fast", environment)
        self.assertIn("HF_TOKEN is a key that the image itself sets", appliance.text())

    def check_sweep(self, daemon, words):
        """pare is killed: no way in; the next start removes what runs on."""
        killed = Appliance(self, *words, "--no-seal", env=self.variables)
        killed.wait_for("pare: ready")
        left = daemon.containers()  # the server's, and one that never runs, which shows the image
        killed.process.kill()
        killed.process.wait()
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", words[2]), timeout=2)
        self.assertCountEqual(daemon.containers(), left)
        again = Appliance(self, *words, "--no-seal", env=self.variables)
        again.wait_for("pare: ready")
        self.assertFalse(set(left) & set(daemon.containers()))
        self.assertEqual(again.stop(), 0, again.text())
        self.assertEqual(daemon.containers(), [])


class TlsHost:
    """An HTTPS server in the far namespace of harness.network."""

    def __init__(self, directory, files, namespace, port=8443):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=models.test", "-addext", "subjectAltName=DNS:models.test", "-keyout",
             directory / "key.pem", "-out", directory / "ca.pem"],
            check=True, stderr=subprocess.DEVNULL,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "ca.pem", directory / "key.pem")
        handler = functools.partial(Quiet, directory=str(files))
        ready = threading.Event()

        def serve():
            descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
            ctypes_setns(descriptor)
            os.close(descriptor)
            self.server = http.server.ThreadingHTTPServer((harness.MODEL_HOST[0], port), handler)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            ready.set()
            self.server.serve_forever()

        threading.Thread(target=serve, daemon=True).start()
        if not ready.wait(20):
            raise AssertionError("the test's model host does not start")

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def ctypes_setns(descriptor):
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Llama(llama_test.Llama):
    test_oci = test_docker = None  # of llama_test

    def test_pull_prepare_run(self):
        run, proof = self.prove(
            self.llama,
            llama_test.ARGV,
            "--volume",
            f"{self.models}:/models",
            "--env",
            f"NGC_API_KEY={KEY}",
            checks=llama_test.CHECKS,
        )
        self.assertEqual(run.code, 0, run)
        self.assertNotIn(KEY, (self.dir / "out/proof.json").read_text())
        pulled = self.pull()
        port = free_port()
        appliance = Appliance(
            self, self.dir / "out", "--volume", f"{pulled}:/models", "--publish", port,
            "--verify", "/models/pare.sha256",
        )
        appliance.wait_for("pare: ready", 120)
        self.check_keys_absent(pulled)
        self.complete_many(port)
        self.assertEqual(appliance.stop(), 0, appliance.text())

    def pull(self):
        volume = self.dir / "pulled"
        volume.mkdir()
        host = self.dir / "host"
        host.mkdir()
        (host / "tiny.gguf").write_bytes((self.models / "tiny.gguf").read_bytes())
        with harness.network(self.dir) as near:
            tls = TlsHost(self.dir, host, pathlib.Path(near).name.replace("-near", "-far"))
            (volume / "ca.pem").write_bytes((self.dir / "ca.pem").read_bytes())
            words = [
                "pull", self.dir / "out", "--volume", f"{volume}:/models", "--netns", near,
                "--host", "models.test:8443", "--resolve", f"models.test={harness.MODEL_HOST[0]}",
                "--env", f"NGC_API_KEY={KEY}", "--limit", "60s", "--",
            ]
            wget = ["/usr/bin/wget", "-q", "-T", "5", "-t", "1", "--ca-certificate=/models/ca.pem"]
            run = self.pare(*words, *wget, "-O", "/models/tiny.gguf", "https://models.test:8443/tiny.gguf")
            self.assertEqual(run.code, 0, run)
            # The same host by address, and another name: neither is a way out.
            for url in (f"https://{harness.MODEL_HOST[0]}:8443/x", "https://other.test:8443/x"):
                run = self.pare(*words, *wget, "-O", "/tmp/x", url)
                self.assertEqual(run.code, 1, run)
            tls.stop()
        self.assertEqual((volume / "tiny.gguf").read_bytes(), (host / "tiny.gguf").read_bytes())
        check = subprocess.run(["sha256sum", "--quiet", "-c", "pare.sha256"], cwd=volume, check=False)
        self.assertEqual(check.returncode, 0)
        return volume

    def check_keys_absent(self, volume):
        for pid in servers_of(self.state):
            for name in ("environ", "cmdline"):
                self.assertNotIn(KEY.encode(), pathlib.Path(f"/proc/{pid}/{name}").read_bytes())
        for path in volume.rglob("*"):
            if path.is_file():
                self.assertNotIn(KEY.encode(), path.read_bytes(), path)

    def complete_many(self, port):
        def one(number):
            stream = number % 10 == 0
            body = json.dumps({"prompt": "the people", "max_tokens": 2, "stream": stream})
            status, text = ask(port, "POST", "/v1/completions", body, timeout=120)
            if status != 200:
                return f"{status}: {text}"
            if stream:
                return None if text.rstrip().endswith("[DONE]") and text.count("data:") > 1 else text
            return None if json.loads(text)["choices"][0]["text"].strip() else text

        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            wrong = [w for w in pool.map(one, range(COMPLETIONS)) if w is not None]
        self.assertEqual(wrong, [])
        print(f"{COMPLETIONS} completions, 16 at once: {time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    sys.exit(unittest.main())
