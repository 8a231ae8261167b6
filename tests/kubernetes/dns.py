"""A name server for the cluster of the tests: the addresses of its Services, and nothing else.

    dns.py ADDRESS API TOKEN
"""
import json
import socket
import ssl
import struct
import sys
import urllib.error
import urllib.request


def service_address(api, token, name):
    """Of NAME.NAMESPACE.svc.cluster.local; None where there is none."""
    labels = name.lower().rstrip(".").split(".")
    if labels[2:] != ["svc", "cluster", "local"]:
        return None
    url = f"{api}/api/v1/namespaces/{labels[1]}/services/{labels[0]}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    context = ssl._create_unverified_context()
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=5) as answer:
            return json.load(answer)["spec"]["clusterIP"]
    except (urllib.error.URLError, KeyError):
        return None


def answer(question, api, token):
    """RFC 1035: one question, at most one A record."""
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    kind = struct.unpack_from(">H", question, at + 1)[0]
    address = service_address(api, token, ".".join(labels))
    records = b""
    if address and kind == 1:
        records = struct.pack(">HHHIH", 0xC00C, 1, 1, 5, 4) + socket.inet_aton(address)
    head = question[:2] + struct.pack(
        ">HHHHH", 0x8580 | (0 if address else 3), 1, 1 if records else 0, 0, 0)
    return head + question[12 : at + 5] + records


def main():
    address, api, token = sys.argv[1:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        while True:
            question, client = server.recvfrom(512)
            server.sendto(answer(question, api, token), client)


if __name__ == "__main__":
    main()
