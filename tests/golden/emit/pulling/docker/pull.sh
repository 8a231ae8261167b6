#!/bin/sh
# Fills the volumes of embed: run it once, before run.sh.
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
#
# What cannot be expressed here:
#   - egress to hub.example:443 alone: Docker's networks are open or closed, this one is open
set -eu
cd "$(dirname "$0")"

: "${NGC_API_KEY:?export it first}"
docker run --detach --name embed-pull \
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
  --mount type=bind,source=/data/cache,target=/opt/cache \
  --mount type=volume,source=models,target=/models,readonly \
  --mount type=bind,source=/etc/embed/config.yaml,target=/etc/config.yaml,readonly \
  --publish 127.0.0.1:9000:8000 \
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

until curl --fail --silent --output /dev/null http://127.0.0.1:9000/v1/health/ready; do
  [ "$(docker inspect --format '{{.State.Running}}' embed-pull)" = true ] ||
    { docker logs embed-pull >&2; exit 1; }
  sleep 5
done
docker stop embed-pull >/dev/null
docker rm embed-pull >/dev/null
