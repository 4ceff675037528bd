"""``python -m tests.simulator.planted [NAME …]``: plants each mistake, and says which schedule finds it."""

from __future__ import annotations

import sys

from tests.simulator.planted.mistakes import MISTAKES
from tests.simulator.planted.search import SCHEDULES_MAX, found_by, row

HEADER = "| mistake | planted in | found by | seed | schedules |\n|---|---|---|---|---|"


def main() -> None:
    """Search for every mistake that is named, or for all."""
    wanted = sys.argv[1:]
    chosen = [each for each in MISTAKES if not wanted or any(name in each.name for name in wanted)]
    print(HEADER, flush=True)
    missed = 0
    for mistake in chosen:
        found = found_by(mistake, SCHEDULES_MAX)
        missed += found is None
        print(row(mistake, found), flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} are found by a broken promise", flush=True)


if __name__ == "__main__":
    main()
