"""From when on something was said: of looks at known times."""

from __future__ import annotations

import pytest

from tests.proof.watching import from_when_s


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        ([(1.0, False), (2.0, True), (3.0, True)], 1.0),
        ([(1.0, True), (2.0, False), (3.0, True)], 2.0),
        ([(3.0, True), (1.0, False), (2.0, True)], 1.0),  # in the order in which they were answered
        ([(1.0, True), (2.0, True), (3.0, False)], None),
        ([(0.5, True), (1.5, True), (9.5, False)], 0.5),  # before and after the window nothing counts
        ([], None),
    ],
)
def test_the_first_look_from_which_on_all_are_right_counts(
    looks: list[tuple[float, bool]], found: float | None
) -> None:
    assert from_when_s(looks, 1.0, 9.0, bool) == found
