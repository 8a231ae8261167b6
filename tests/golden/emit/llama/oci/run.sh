#!/bin/sh
# llama-server: the least privilege that pare proved, as an OCI bundle for runc.
#
# proof: sha256:0000000000000000000000000000000000000000000000000000000000000000
# image: none; the proof ran a root file system
# proved with: pare 0.1.0, runc 1.1.5, kernel 6.18, for kubernetes, 2026-01-02T03:04:05Z
# minimal: yes, with any one privilege less a check failed
#
# It assumes:
#   - net.ipv4.ip_unprivileged_port_start=1024 (CRI-O and containerd 1.x; containerd 2.x sets 0 by default)
#   - no ambient capabilities: one added to a non-root container is not effective
#   - emptyDir volumes are mounted exec
#   - the sources of the bind mounts are where they were when the proof ran
#   - the network namespace has only its loopback; a server is reached from inside it: nsenter --net=/proc/PID/ns/net, with PID from runc list
#
# How to check it:
#   runc list
#   runc state llama-server
set -eu
cd "$(dirname "$0")"
ulimit -S -n "$(ulimit -H -n)"

exec runc run --bundle . llama-server
