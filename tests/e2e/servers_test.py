#!/usr/bin/python3
"""Servers as Debian packages them, proved as an expert would sign it.

    servers_test.py [-v] [Servers | Torch]      Torch: a model server on PyTorch
"""
import pathlib
import subprocess
import sys
import unittest

import harness

APP = '''import os, torch
torch.manual_seed(7)
torch.set_num_threads(1)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
model.eval()

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    status, answer = 404, "no such path"
    if scope["path"] == "/health":
        status, answer = 200, "ok"
    elif scope["path"] == "/infer":
        with torch.no_grad():
            status, answer = 200, repr(model(torch.ones(1, 8)).tolist())
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": answer.encode()})
'''

KEEPS = """checks:
  - exec:
      - sh
      - -c
      - redis-cli set k v | grep -q OK; redis-cli get k | grep -q v && redis-cli save | grep -q OK
    port: 6379
    name: kept
"""


class Servers(harness.Ground):
    def debian(self, *packages):
        made = subprocess.run(
            [harness.SUPPORT / "make_root", "--suite", "bookworm", *packages],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            harness.cannot(self, "no root file system with these packages could be made")
        return pathlib.Path(made.stdout.strip())

    def signed(self, run, proof, starts):
        """What every such proof has to say."""
        self.assertEqual(run.code, 0, run)
        self.assertTrue(proof["confirmed"] and proof["minimal"], proof["notMinimalBecause"])
        policy = proof["policy"]
        self.assertNotEqual(policy["user"]["uid"], 0)
        self.assertEqual(policy["capabilities"], [])
        self.assertTrue(policy["noNewPrivileges"])
        self.assertEqual(policy["rootfs"], "ro")
        self.assertEqual(policy["egress"], [])
        self.assertEqual(proof["loss"], {"events": 0, "maps": []})
        print(f"{run.seconds:.1f} s, {sum(t['starts'] for t in proof['trials'])} starts")
        self.assertLessEqual(sum(t["starts"] for t in proof["trials"]), starts)
        return {v["privilege"]: v for v in proof["verdicts"]}

    def test_nginx(self):
        root = self.debian("nginx-light", "redis-server")
        run, proof = self.prove(
            root, ["/usr/sbin/nginx", "-g", "daemon off;"], checks=["http://:80/;match=nginx"]
        )
        verdicts = self.signed(run, proof, 40)
        self.assertEqual([p["port"] for p in proof["policy"]["ports"]], [80])
        # It binds 80 without NET_BIND_SERVICE, by the sysctl, and switches no user.
        self.assertEqual(verdicts["capability/NET_BIND_SERVICE"]["verdict"], "fixable")
        fix = verdicts["capability/NET_BIND_SERVICE"]["fix"]["change"]
        self.assertIn("ip_unprivileged_port_start", fix)
        for name in ("NET_RAW", "MKNOD", "SYS_CHROOT", "SETPCAP", "KILL"):
            self.assertEqual(verdicts["capability/" + name]["verdict"], "unneeded", name)
        self.assertEqual(verdicts["rootfs/write"]["verdict"], "fixable")
        paths = [w["path"] for w in proof["policy"]["writable"]]
        self.assertIn("/var/lib/nginx", paths)
        self.assertIn("/run", paths)

    def test_redis(self):
        root = self.debian("nginx-light", "redis-server")
        data = self.dir / "data"
        data.mkdir()
        data.chmod(0o777)
        argv = "/usr/bin/redis-server --bind 0.0.0.0 --protected-mode no --dir /data".split()
        checks = self.dir / "checks.yaml"
        checks.write_text(KEEPS)
        run, proof = self.prove(
            root,
            argv,
            "--volume",
            f"{data}:/data",
            "--checks",
            checks,
            checks=(),
        )
        verdicts = self.signed(run, proof, 40)
        self.assertEqual([p["port"] for p in proof["policy"]["ports"]], [6379])
        self.assertEqual(verdicts["volume-write:/data"]["verdict"], "needed")
        self.assertEqual(proof["policy"]["writable"], [])
        self.assertEqual(list(data.iterdir()), [], "the user's own volume was written")

    def prove_torch(self):
        root = self.debian("python3-uvicorn", "python3-torch")
        app = self.dir / "app"
        app.mkdir()
        (app / "server.py").write_text(APP)
        argv = "/usr/bin/python3 -m uvicorn --app-dir /app --host 0.0.0.0 server:app".split()
        run, proof = self.prove(
            root,
            argv,
            "--volume",
            f"{app}:/app",
            checks=["http://:8000/health", "http://:8000/infer;match=0\\.;batch=4;name=infer"],
            timeout=900,
        )
        verdicts = self.signed(run, proof, 20)
        self.assertEqual(verdicts["volume-write:/app"]["verdict"], "unneeded")
        self.assertEqual(verdicts["user/root"]["verdict"], "unneeded")


class Torch(Servers):
    """Alone in its lane: the root file system is 1.4 GB."""

    test_nginx = test_redis = None

    def test_torch(self):
        self.prove_torch()


if __name__ == "__main__":
    # Servers where no other is named.
    sys.exit(unittest.main(defaultTest="Servers"))
