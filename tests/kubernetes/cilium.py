"""CiliumNetworkPolicies held against what their resource definition says (cilium.io/v2,
ciliumnetworkpolicies.yaml), as far as pare writes it: any other key is an error."""
import ipaddress
import re

# Shapes: a type; a pattern of a text; a function; [shape of each]; {key: shape}, `...` any key.
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
NAME = re.compile(r"([-a-zA-Z0-9_]+[.]?){1,127}")
SELECTOR = {"matchLabels": {...: LABEL}}
PORTS = [{
    "ports": [{
        "port": re.compile(r"[1-9][0-9]{0,4}"),
        "protocol": re.compile("TCP|UDP|SCTP|VRRP|IGMP|ANY"),
        "endPort": int,
    }],
    "rules": {"dns": [{"matchName": NAME}], "http": [{"method": str, "path": str}]},
}]
POLICY = {
    "apiVersion": re.compile("cilium.io/v2"),
    "kind": re.compile("CiliumNetworkPolicy"),
    "metadata": {"name": re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"), "labels": {...: LABEL}},
    "spec": {
        "endpointSelector": SELECTOR,
        "ingress": [{"fromEndpoints": [SELECTOR], "toPorts": PORTS}],
        "egress": [{
            "toEndpoints": [SELECTOR],
            "toCIDR": [ipaddress.ip_network],
            "toFQDNs": [{"matchName": NAME}],
            "toEntities": [re.compile("all|world|cluster|host|kube-apiserver|remote-node|none")],
            "toPorts": PORTS,
        }],
    },
}
PEERS = {"toEndpoints", "toCIDR", "toFQDNs", "toEntities"}  # one of them in a rule


def errors(document):
    found = list(walk(POLICY, document, ""))
    spec = document.get("spec", {})
    if "endpointSelector" not in spec:
        found.append(".spec needs endpointSelector")
    if not spec.get("ingress") and not spec.get("egress"):
        found.append(".spec needs ingress or egress: an empty list applies to nothing")
    for rule in spec.get("egress", []):
        if len(PEERS & set(rule)) > 1:
            found.append(f".spec.egress: {sorted(PEERS & set(rule))} in one rule")
    for rule in spec.get("egress", []) + spec.get("ingress", []):
        for group in rule.get("toPorts", []):
            if len(group.get("ports", [])) > 40 or len(group.get("rules", {"": 0})) != 1:
                found.append(f"toPorts: {group}")
    return found


def walk(shape, value, where):
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"{where}: {value!r} is not an object"
            return
        for key, item in value.items():
            inner = shape.get(key, shape.get(...))
            if inner is None:
                yield f"{where}.{key}: there is no such field"
            else:
                yield from walk(inner, item, f"{where}.{key}")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{where}: {value!r} is not a list"
            return
        for i, item in enumerate(value):
            yield from walk(shape[0], item, f"{where}[{i}]")
    elif isinstance(shape, type):
        if not isinstance(value, shape):
            yield f"{where}: {value!r} is not of {shape}"
    elif isinstance(shape, re.Pattern):
        if not isinstance(value, str) or not shape.fullmatch(value):
            yield f"{where}: {value!r} is not {shape.pattern}"
    else:
        try:
            shape(value)
        except ValueError as e:
            yield f"{where}: {e}"
