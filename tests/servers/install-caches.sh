#!/bin/sh
# See to it that redis-server and memcached, the cache servers of the tests, can be run.
set -eu

missing=
for server in redis-server memcached; do
    command -v "$server" >/dev/null || missing="$missing $server"
done
[ -n "$missing" ] || exit 0

sudo=
[ "$(id -u)" = 0 ] || sudo="sudo -n"
if ! command -v apt-get >/dev/null || ! $sudo true 2>/dev/null; then
    echo "The tests need$missing. Debian, Ubuntu: sudo apt-get install$missing;" \
        "macOS: brew install redis memcached." >&2
    exit 1
fi

$sudo apt-get -qq -o DPkg::Lock::Timeout=300 update
# shellcheck disable=SC2086 - several words
$sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing >/dev/null
# The tests start their own; what the packages have started serves nobody.
for server in $missing; do
    $sudo systemctl disable --now "$server" >/dev/null 2>&1 || true
done
