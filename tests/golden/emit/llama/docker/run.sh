#!/bin/sh
# llama-server: the least privilege that pare proved, as one docker run command.
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
#   - refused connections are dropped in silence by some versions of the Engine; the proof refused egress as 'unreachable'
#   - an Engine with the fix for CVE-2024-29018 (26.0, 25.0.5, 23.0.11): older ones send DNS questions out of internal networks where the host's resolver is on its loopback
#   - an image made from the root file system that was proved, in the place of registry.invalid/llama-server:proved
#   - /srv/models holds what it held when the proof ran, and uid 65532 may read it
#
# How to check it:
#   docker inspect llama-server
#   docker logs llama-server
set -eu
cd "$(dirname "$0")"

# An --internal network has no way out, and Docker publishes no port on it: the server is reached
# at its own address, by the host and by containers of the same network:
#   curl "http://$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' llama-server):8000/"
# It does not stop what listens on the host's own side of the bridge; as root:
#   iptables -I INPUT -i pare-e7bc1770 -m conntrack --ctstate NEW -j DROP
# To have it on 127.0.0.1:8000 instead, create the network without --internal, put
#   --publish 127.0.0.1:8000:8000
# into the command, and close the way out by hand (it is open again after a reboot):
#   iptables -I DOCKER-USER -i pare-e7bc1770 -m conntrack --ctstate NEW -j DROP
docker network inspect llama-server-closed >/dev/null 2>&1 ||
  docker network create --internal --opt com.docker.network.bridge.name=pare-e7bc1770 llama-server-closed >/dev/null

docker run --detach --name llama-server \
  --user 65532:65532 \
  --cap-drop ALL \
  --security-opt no-new-privileges \
  --security-opt seccomp=llama-server.seccomp.json \
  --pids-limit 64 \
  --read-only \
  --tmpfs /tmp:rw,nosuid,nodev,exec,uid=65532,gid=65532,mode=1777,size=16777216 \
  --mount type=bind,source=/srv/models,target=/models,readonly \
  --network llama-server-closed \
  --entrypoint /usr/bin/llama-server \
  registry.invalid/llama-server:proved --host 0.0.0.0 --port 8000 --model /models/tiny.gguf
