#!/usr/bin/python3 -B
"""A CNI plugin for the cluster of the tests, chained behind ptp: enforces NetworkPolicies by
iptables before a container of the new Pod runs. Understands what pare emits: matchLabels, ports, ipBlock.

Every Pod that is added has the rules of all Pods made anew (CNI specification 0.4.0).
"""
import fcntl
import json
import os
import pathlib
import ssl
import subprocess
import sys
import urllib.request

STATE = pathlib.Path("/run/policy")


def get(conf, path):
    request = urllib.request.Request(conf["api"] + path,
                                     headers={"Authorization": f"Bearer {conf['token']}"})
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl._create_unverified_context()))
    with opener.open(request, timeout=10) as answer:
        return json.load(answer)["items"]


def selects(selector, labels):
    unknown = set(selector or {}) - {"matchLabels"}
    if unknown:
        raise ValueError(f"selector with {unknown}")
    wanted = (selector or {}).get("matchLabels") or {}
    return wanted.items() <= labels.items()


def peer_addresses(peer, namespace, pods, namespaces):
    """[(address or block, admitted)]: exceptions come before their block."""
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        return [(e, False) for e in block.get("except", [])] + [(block["cidr"], True)]
    chosen = [namespace]
    if "namespaceSelector" in peer:
        chosen = [n for n, labels in namespaces.items()
                  if selects(peer["namespaceSelector"], labels)]
    return [(address, True) for (ns, _), (address, labels) in pods.items()
            if ns in chosen and selects(peer.get("podSelector"), labels)]


def rules_of(direction, policy, namespace, pods, namespaces):
    """iptables matches with a target, for one direction of one policy."""
    key, peers_key, flag = (
        ("egress", "to", "-d") if direction == "Egress" else ("ingress", "from", "-s"))
    for rule in policy["spec"].get(key) or []:
        ports = [f"-p {p.get('protocol', 'TCP').lower()} --dport {p['port']}"
                 for p in rule.get("ports") or []] or [""]
        peers = rule.get(peers_key)
        addresses = [("0.0.0.0/0", True)] if not peers else [
            a for p in peers for a in peer_addresses(p, namespace, pods, namespaces)]
        for address, admitted in addresses:
            for port in ports:
                yield f"{flag} {address} {port} -j {'RETURN' if admitted else 'DROP'}"


def apply(pods, policies, namespaces):
    lines = ["*filter", ":PARE - [0:0]", "-A PARE -m conntrack --ctstate ESTABLISHED -j RETURN"]
    chains, jumps = [], []
    for n, ((namespace, _), (address, labels)) in enumerate(sorted(pods.items())):
        for direction, flag in (("Egress", "-s"), ("Ingress", "-d")):
            mine = [p for p in policies
                    if p["metadata"]["namespace"] == namespace
                    and direction in p["spec"]["policyTypes"]
                    and selects(p["spec"]["podSelector"], labels)]
            if not mine:
                continue
            chain = f"PARE-{direction[0]}{n}"
            chains.append(f":{chain} - [0:0]")
            jumps.append(f"-A PARE {flag} {address} -j {chain}")
            jumps += [f"-A {chain} {rule}" for policy in mine
                      for rule in rules_of(direction, policy, namespace, pods, namespaces)]
            jumps.append(f"-A {chain} -j DROP")
    text = "\n".join([*lines[:2], *chains, *lines[2:], *jumps, "COMMIT", ""])
    subprocess.run(["iptables-restore", "--noflush"], input=text, text=True, check=True)


def main():
    conf = json.load(sys.stdin)
    command = os.environ["CNI_COMMAND"]
    if command == "VERSION":
        print(json.dumps({"cniVersion": "0.4.0", "supportedVersions": ["0.4.0"]}))
        return
    args = dict(a.split("=", 1) for a in os.environ.get("CNI_ARGS", "").split(";") if "=" in a)
    name = f"{args['K8S_POD_NAMESPACE']}_{args['K8S_POD_NAME']}"
    STATE.mkdir(exist_ok=True)
    with open(STATE / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if command == "DEL":
            (STATE / name).unlink(missing_ok=True)
        if command == "ADD":
            address = conf["prevResult"]["ips"][0]["address"].split("/")[0]
            (STATE / name).write_text(address)
            labels = {f"{p['metadata']['namespace']}_{p['metadata']['name']}":
                      p["metadata"].get("labels", {}) for p in get(conf, "/api/v1/pods")}
            pods = {tuple(f.name.split("_", 1)): (f.read_text(), labels.get(f.name, {}))
                    for f in STATE.iterdir() if f.name != ".lock"}
            spaces = {n["metadata"]["name"]: n["metadata"].get("labels", {})
                      for n in get(conf, "/api/v1/namespaces")}
            apply(pods, get(conf, "/apis/networking.k8s.io/v1/networkpolicies"), spaces)
    if command == "ADD":
        print(json.dumps(conf["prevResult"]))


if __name__ == "__main__":
    main()
