#!/bin/sh
# A Helm post-renderer: what the chart renders on stdin, patched on stdout.
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
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/kustomization.yaml" "$here/patch.yaml" "$here/networkpolicy.yaml" "$work"
cat >"$work/rendered.yaml"
if command -v kustomize >/dev/null; then
  kustomize build "$work"
else
  kubectl kustomize "$work"
fi
