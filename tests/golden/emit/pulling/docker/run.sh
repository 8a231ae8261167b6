#!/bin/sh
# embed: the least privilege that pare proved, as one docker run command.
# Fill the volumes first: sh pull.sh
#
# proof: sha256:0000000000000000000000000000000000000000000000000000000000000000
# image: registry.example:5000/team/embed:1.2 (sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)
# proved with: pare 0.1.0, runc 1.1.5, kernel 6.18, for docker, 2026-01-02T03:04:05Z
# minimal: yes, with any one privilege less a check failed
#
# It assumes:
#   - net.ipv4.ip_unprivileged_port_start=0 (Docker Engine since 20.10)
#   - no ambient capabilities: one added to a non-root container is not effective
#   - --tmpfs mounts are noexec unless they say exec
#   - refused connections are dropped in silence by some versions of the Engine; the proof refused egress as 'dropped'
#   - an Engine with the fix for CVE-2024-29018 (26.0, 25.0.5, 23.0.11): older ones send DNS questions out of internal networks where the host's resolver is on its loopback
#   - /data/cache holds what it held when the proof ran, and uid 1000 may read it
#   - models holds what it held when the proof ran, and uid 1000 may read it
#   - /etc/embed/config.yaml holds what it held when the proof ran, and uid 1000 may read it
#   - NGC_API_KEY is in the environment of who runs this
#
# What cannot be expressed here:
#   - port 8002 closed to the containers of the same network
#
# How to check it:
#   docker inspect embed
#   docker logs embed
set -eu
cd "$(dirname "$0")"

: "${NGC_API_KEY:?export it first}"
# An --internal network has no way out, and Docker publishes no port on it: the server is reached
# at its own address, by the host and by containers of the same network:
#   curl "http://$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' embed):8000/"
# It does not stop what listens on the host's own side of the bridge; as root:
#   iptables -I INPUT -i pare-bdb18091 -m conntrack --ctstate NEW -j DROP
# To have it on 127.0.0.1:8000 instead, create the network without --internal, put
#   --publish 127.0.0.1:8000:8000
# into the command, and close the way out by hand (it is open again after a reboot):
#   iptables -I DOCKER-USER -i pare-bdb18091 -m conntrack --ctstate NEW -j DROP
docker network inspect embed-closed >/dev/null 2>&1 ||
  docker network create --internal --opt com.docker.network.bridge.name=pare-bdb18091 embed-closed >/dev/null

docker run --detach --name embed \
  --user 1000:1001 \
  --group-add 44 \
  --group-add 107 \
  --cap-drop ALL \
  --cap-add SYS_NICE \
  --security-opt no-new-privileges \
  --security-opt seccomp=embed.seccomp.json \
  --pids-limit 512 \
  --shm-size 1073741824 \
  --sysctl net.ipv4.ip_unprivileged_port_start=0 \
  --read-only \
  --tmpfs /tmp:rw,nosuid,nodev,noexec,uid=1000,gid=1001,mode=1777,size=83886080 \
  --tmpfs /root/.triton:rw,nosuid,nodev,exec,uid=1000,gid=1001,mode=1777,size=6291456000 \
  --tmpfs /var/log/embed:rw,nosuid,nodev,noexec,uid=1000,gid=1001,mode=1777 \
  --mount type=volume,target=/opt/app/state \
  --mount type=bind,source=/data/cache,target=/opt/cache,readonly \
  --mount type=volume,source=models,target=/models,readonly \
  --mount type=bind,source=/etc/embed/config.yaml,target=/etc/config.yaml,readonly \
  --network embed-closed \
  --init \
  --gpus all \
  --memory=8g \
  --log-driver=local \
  --env NGC_API_KEY \
  --env MODE=yes \
  --env 'ODD=a$(HOME) '\''b'\''
c' \
  --env HOME=/tmp \
  registry.example:5000/team/embed@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa serve --all
