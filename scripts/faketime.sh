#!/bin/sh
# Puts libfaketime into .cache/faketime, from Debian's or Ubuntu's package, without root and without installing it.
# Idempotent. Where the package faketime or libfaketime is installed, that one is used.
set -eu
cd "$(dirname "$0")/.."
for found in .cache/faketime/usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib/*/faketime/libfaketimeMT.so.1; do
    if [ -r "$found" ]; then exit 0; fi
done
if ! command -v apt-get >/dev/null 2>&1; then
    echo "faketime: there is neither libfaketime nor apt-get here; install libfaketime 0.9.10 or later (Linux)" >&2
    exit 1
fi
mkdir -p .cache/faketime
cd .cache/faketime
if ! apt-get download -q libfaketime >/dev/null 2>&1; then
    if [ "$(id -u)" != 0 ] || ! { apt-get update -q >/dev/null && apt-get download -q libfaketime >/dev/null 2>&1; }; then
        echo "faketime: the package libfaketime cannot be downloaded; run 'apt-get update' as root, or install it" >&2
        exit 1
    fi
fi
dpkg -x libfaketime_*.deb .
rm -f libfaketime_*.deb
ls usr/lib/*/faketime/libfaketimeMT.so.1
