#!/bin/sh
# Puts etcd into .cache/etcd, from Debian's or Ubuntu's package, without root and without installing it. Idempotent.
# Elsewhere: put an etcd of 3.4 or later on the PATH (macOS: `brew install etcd`).
set -eu
cd "$(dirname "$0")/.."
if command -v etcd >/dev/null 2>&1 || [ -x .cache/etcd/usr/bin/etcd ]; then exit 0; fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "etcd: neither etcd nor apt-get is here; put etcd 3.4 or later on the PATH" >&2
    exit 1
fi
mkdir -p .cache/etcd
cd .cache/etcd
if ! apt-get download -q etcd-server >/dev/null 2>&1; then
    if [ "$(id -u)" != 0 ] || ! { apt-get update -q >/dev/null && apt-get download -q etcd-server >/dev/null 2>&1; }; then
        echo "etcd: the package etcd-server cannot be downloaded; run 'apt-get update' as root, or put etcd on the PATH" >&2
        exit 1
    fi
fi
dpkg -x etcd-server_*.deb .
rm -f etcd-server_*.deb
usr/bin/etcd --version | head -1
