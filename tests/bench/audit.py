#!/usr/bin/python3
"""./dev bench audit: documents per second on one core and two, and beside any auditor that the
package registries have (npm's dclint reads compose files). One JSON object a line."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release")
ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES, DOCUMENTS, ROUNDS = 40, 250, 5

POD = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: llm-{n}, labels: {{app: llm-{n}}}}}
spec:
  selector: {{matchLabels: {{app: llm-{n}}}}}
  template:
    metadata:
      labels: {{app: llm-{n}}}
    spec:
      containers:
      - name: nim
        image: nvcr.io/nim/meta/llama-3.1-8b-instruct:1.3.3
        env:
        - name: NGC_API_KEY
          valueFrom: {{secretKeyRef: {{name: ngc, key: key}}}}
        ports:
        - containerPort: 8000
        - containerPort: 8002
        resources: {{limits: {{nvidia.com/gpu: 1}}}}
        volumeMounts:
        - {{name: cache, mountPath: /opt/nim/.cache}}
      volumes:
      - name: cache
        persistentVolumeClaim: {{claimName: cache}}
"""
SERVICE = """  nim{n}:
    image: nvcr.io/nim/meta/llama-3.1-8b-instruct:1.3.3
    environment:
      - NGC_API_KEY
    ports:
      - "8{n:03}:8000"
    volumes:
      - cache:/opt/nim/.cache
"""


def say(case, value, unit, goal=None, ok=None):
    row = {"bench": "audit", "case": case, "value": round(value, 2), "unit": unit}
    if goal is not None:
        row.update(goal=goal, ok=ok)
    print(json.dumps(row), flush=True)


def timed(command):
    """The best of some rounds: seconds."""
    best = None
    for _ in range(ROUNDS):
        start = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took = time.monotonic() - start
        if done.returncode not in (0, 1):
            sys.exit(f"{command[0]} failed: exit code {done.returncode}")
        best = took if best is None else min(best, took)
    return best


def npm_tool(directory, package, binary):
    if shutil.which("npm") is None:
        return None
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", package],
                          cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    path = directory / "node_modules" / ".bin" / binary
    return path if done.returncode == 0 and path.exists() else None


def main():
    pare = next((p for p in (BUILD / "pare", ROOT / "build" / "pare") if p.exists()), None)
    if pare is None:
        sys.exit("no pare in " + str(BUILD))
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        kubernetes, compose = work / "kubernetes", work / "compose"
        kubernetes.mkdir()
        compose.mkdir()
        for f in range(FILES):
            text = "---\n".join(POD.format(n=f * DOCUMENTS + d) for d in range(DOCUMENTS))
            (kubernetes / f"{f}.yaml").write_text(text)
            services = "".join(SERVICE.format(n=s) for s in range(10))
            (compose / f"compose{f}.yaml").write_text(f"name: b{f}\nservices:\n{services}volumes:\n  cache:\n")
        count = FILES * DOCUMENTS
        one = count / timed([pare, "audit", kubernetes, "--format", "github", "--jobs", "1"])
        say("kubernetes, one core", one, "documents/s", ">= 2000", one >= 2000)
        two = count / timed([pare, "audit", kubernetes, "--format", "github", "--jobs", "2"])
        say("kubernetes, two cores", two, "documents/s", "> one core", two > one)
        ours = FILES / timed([pare, "audit", compose, "--json", "--jobs", "1"])
        say("compose, one core", ours, "files/s")
        dclint = npm_tool(work, "dclint", "dclint")
        if dclint is None:
            print("bench audit: dclint is not to be had from npm: not compared", file=sys.stderr)
            return
        theirs = FILES / timed([dclint, "-r", compose])
        say("compose, dclint", theirs, "files/s")
        say("compose, beside dclint", ours / theirs, "ratio", ">= 1", ours >= theirs)


main()
