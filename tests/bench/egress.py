#!/usr/bin/python3
"""Allowed traffic with an egress window against without: bytes a second, round trips a second,
connections a second. Many short rounds by turns, and of each the best few: what else the machine
does slows a round down, and nothing speeds one up. One JSON object a line."""
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from egress_world import World

BUILD = pathlib.Path(sys.argv[1])
PARE, ACTS = BUILD / "pare", BUILD / "planted" / "egress_acts"
TARGET, PORT, SECONDS, ROUNDS = "203.0.113.50", 6000, 0.25, 25
GOAL = 0.97
KINDS = ("bulk", "rounds", "connects")
# Both ends on one CPU and pare on the others: who wakes whom where would else decide, by factors.
OWN, *OTHERS = sorted(os.sched_getaffinity(0))
ON_OWN = ["taskset", "-c", str(OWN)]


class Window:
    def __init__(self, world, state, rules):
        options = [word for rule in rules for word in ("--allow", rule)]
        self.process = world.outside(
            ["taskset", "-c", ",".join(map(str, OTHERS or [OWN])), PARE, "watch", world.cgroup,
             "--json", *options],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PARE_STATE_DIR": str(state)},
        )
        self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)


def measure(world, what):
    done = world.start([*ON_OWN, ACTS, what, TARGET, str(PORT), str(SECONDS)],
                       stdout=subprocess.PIPE, text=True)
    return float(done.communicate(timeout=60)[0])


def best(rates):
    """The median of the best fifth."""
    return statistics.median(sorted(rates)[-max(1, len(rates) // 5):])


def main():
    # The allowed destination is the last of twenty exceptions: rules are looked at one by one.
    rules = [f"198.51.100.{n}:443" for n in range(19)] + [f"{TARGET}:{PORT}"]
    with tempfile.TemporaryDirectory(prefix="pare-bench-") as directory:
        directory = pathlib.Path(directory)
        with World(directory / "world") as world:
            world.counter.stop()  # it would read every packet
            world.counter = None
            server = world.outside(
                [*ON_OWN, ACTS, "serve", str(PORT)], world.far, stdout=subprocess.PIPE, text=True
            )
            server.stdout.readline()
            rates = {what: ([], []) for what in KINDS}
            for _ in range(ROUNDS):
                for what, (without, _) in rates.items():
                    without.append(measure(world, what))
                with Window(world, directory / "state", rules):
                    for what, (_, inside) in rates.items():
                        inside.append(measure(world, what))
    for what, (without, inside) in rates.items():
        value = best(inside) / best(without)
        row = {
            "bench": "egress",
            "case": what,
            "value": round(value, 3),
            "unit": "ratio",
            "goal": f">= {GOAL}",
            "ok": value >= GOAL,
            "without": round(best(without)),
            "inside": round(best(inside)),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
