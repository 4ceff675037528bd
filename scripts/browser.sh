#!/bin/sh
# Installs Debian's or Ubuntu's Chromium for the tests that click. Idempotent. Elsewhere: put chromium on the PATH.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "browser: there is no Chromium; as root on Debian: apt-get install chromium. Elsewhere: put chromium on the PATH" >&2
    exit 1
fi
echo "browser: installing chromium" >&2
apt-get install -q -y --no-install-recommends chromium >/dev/null 2>&1 ||
    { apt-get update -q >/dev/null && apt-get install -q -y --no-install-recommends chromium >/dev/null; }
