#!/bin/sh
# Makes .venv from the lock file: needs only Python >= 3.11 with its venv module. Idempotent, and quick when done already.
# usage: scripts/setup.sh runtime|dev
set -eu
cd "$(dirname "$0")/.."
want="${1:-runtime}"
lock="requirements/$want.lock"
stamp=".venv/.installed-$want"

find_python() {
    for candidate in "${PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "setup: IntelGraph needs Python 3.11 or newer; ${PYTHON:-python3} is $(${PYTHON:-python3} --version 2>&1 || echo absent)." >&2
    exit 1
}

if [ -f "$stamp" ] && [ "$stamp" -nt "$lock" ] && [ "$stamp" -nt pyproject.toml ]; then
    exit 0
fi
python="$(find_python)"
if [ ! -x .venv/bin/python ]; then
    echo "setup: making .venv with $("$python" --version)" >&2
    if ! "$python" -m venv .venv 2>/dev/null; then
        rm -rf .venv
        echo "setup: $python cannot make a virtual environment. On Debian or Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
fi
echo "setup: installing $lock (one to two minutes the first time)" >&2
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . 2>/dev/null ||
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
touch "$stamp"
# The development lock contains the runtime one.
if [ "$want" = dev ]; then touch .venv/.installed-runtime; fi
