#!/usr/bin/python3
"""A DNS server of the tests' own: dns_server.py ADDRESS PORT. What it answers is in the name.

  fresh.*     an address of 198.18.0.0/15 that it has not given before (AAAA: of 2001:db8:f::/64)
  fixed.*     198.51.100.7
  private.*   10.9.8.7          metadata.*  169.254.169.254        loop.*  127.0.0.1
  chain.*     a CNAME to fixed.target.test, and its address
  other       NXDOMAIN
Each question is a line on stdout: TYPE NAME."""
import ipaddress
import socket
import struct
import sys

FIXED = {
    "fixed": "198.51.100.7",
    "private": "10.9.8.7",
    "metadata": "169.254.169.254",
    "loop": "127.0.0.1",
    "chain": "198.51.100.7",
}
TYPES = {1: "A", 28: "AAAA", 16: "TXT", 65: "HTTPS"}


def read_name(data, at):
    labels = []
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    return ".".join(labels), at + 1


def wire(name):
    return b"".join(bytes([len(x)]) + x.encode("latin-1") for x in name.split(".")) + b"\0"


class Zone:
    def __init__(self):
        self.given = 0

    def records(self, name, kind):
        """[(owner in the message, type, rdata)]; None: there is no such name."""
        first = name.lower().split(".")[0]
        pointer = b"\xc0\x0c"
        if first == "fresh":
            self.given += 1
            if kind == 1:
                address = ipaddress.ip_address("198.18.0.0") + self.given % 131000
                return [(pointer, 1, address.packed)]
            if kind == 28:
                return [(pointer, 28, (ipaddress.ip_address("2001:db8:f::") + self.given).packed)]
            return []
        if first not in FIXED:
            return None
        if kind != 1:
            return []
        address = ipaddress.ip_address(FIXED[first]).packed
        if first == "chain":
            target = wire("fixed.target.test")
            return [(pointer, 5, target), (target, 1, address)]
        return [(pointer, 1, address)]

    def answer(self, data):
        name, end = read_name(data, 12)
        kind, _ = struct.unpack("!HH", data[end : end + 4])
        print(TYPES.get(kind, kind), name, flush=True)
        records = self.records(name, kind)
        code = 3 if records is None else 0
        body = b"".join(
            owner + struct.pack("!HHIH", kind, 1, 5, len(rdata)) + rdata
            for owner, kind, rdata in records or []
        )
        header = data[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records or []), 0, 0)
        return header + data[12 : end + 4] + body


def main():
    family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.bind((sys.argv[1], int(sys.argv[2])))
    print("ready", flush=True)
    zone = Zone()
    while True:
        data, peer = server.recvfrom(4096)
        try:
            server.sendto(zone.answer(data), peer)
        except (IndexError, struct.error):
            continue


if __name__ == "__main__":
    main()
