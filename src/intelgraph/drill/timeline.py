"""The time line of a drill as one SVG: requests, latency, epochs, and marks, over the same seconds. Pure.

Colours come from the page that it is put into (``report.html``), by class, so that it follows light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from intelgraph.drill.history import END, FAULT, HEAL, Mark
from intelgraph.drill.score import BUCKET_S, LATENCY_BUCKET_S, Bucket, EpochChange, Latency, Score
from intelgraph.model.printable import in_markup

_WIDTH, _LEFT, _RIGHT = 1120, 64, 16
_TOP, _REQUESTS, _LATENCY, _LANE, _GAP = 46, 170, 150, 24, 44
_BARS_MAX = 560
_TICKS_MAX = 12
_STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600)
_COLUMNS = ("ok", "lost_races", "unknown", "failed")
_LINES = (("writes", "p50_ms"), ("writes", "p99_ms"), ("reads", "p50_ms"), ("reads", "p99_ms"))
_LABEL_WIDTH = 7.0


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """Where one chart is, and how seconds become places."""

    top: float
    height: float
    until_s: float

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def x(self, at_s: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(max(at_s / self.until_s, 0.0), 1.0)


def draw(score: Score, marks: Sequence[Mark]) -> str:
    """The whole picture."""
    shown = [mark for mark in marks if mark.what != END]
    end_s = max((bucket.at_s for bucket in score.buckets), default=0.0) + BUCKET_S
    until_s = max([end_s, *(mark.at_s for mark in shown)])
    requests = _Frame(top=_TOP, height=_REQUESTS, until_s=until_s)
    latency = _Frame(top=requests.bottom + _GAP, height=_LATENCY, until_s=until_s)
    placements = list(dict.fromkeys(change.placement for change in score.epochs))
    lanes = _Frame(top=latency.bottom + _GAP, height=_LANE * max(1, len(placements)), until_s=until_s)
    height = lanes.bottom + 34
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="time line of the drill" '
        'xmlns="http://www.w3.org/2000/svg">',
        *_seconds(requests.top, lanes),
        *_requests(score.buckets, requests),
        *_latencies(score, latency),
        *_epochs(score.epochs, placements, lanes),
        *_marks(shown, requests, lanes.bottom),
        "</svg>",
    ]
    return "\n".join(parts)


def _requests(buckets: Sequence[Bucket], frame: _Frame) -> Iterable[str]:
    together = max(1, math.ceil(len(buckets) / _BARS_MAX))
    groups = [buckets[place : place + together] for place in range(0, len(buckets), together)]
    sums = [{column: sum(getattr(each, column) for each in group) for column in _COLUMNS} for group in groups]
    # A burst when held requests go through would flatten all the rest: it is cut off, and its number written on it.
    most = _usual([sum(counts.values()) for counts in sums])
    step = _round_step(most / 3)
    top = math.ceil(most / step) * step
    yield _title(frame, f"requests that ended in {together * BUCKET_S * 1000:.0f} ms")
    for tick in range(0, top + 1, step):
        yield _grid(frame, frame.bottom - frame.height * tick / top, str(tick))
    for group, counts in zip(groups, sums, strict=True):
        left, right = frame.x(group[0].at_s), frame.x(group[0].at_s + together * BUCKET_S)
        said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count)
        yield f"<g><title>{group[0].at_s:.1f} s: {said or 'nothing'}</title>"
        base, whole = frame.bottom, sum(counts.values())
        for column, count in counts.items():
            if count:
                tall = frame.height * count / max(top, whole)
                base -= tall
                wide = max(right - left - 0.3, 0.6)
                yield f'<rect class="{column}" x="{left:.2f}" y="{base:.2f}" width="{wide:.2f}" height="{tall:.2f}"/>'
        if whole > top:
            middle = f'x="{(left + right) / 2:.1f}" y="{frame.top - 3}"'
            yield f'<text class="tall" text-anchor="middle" {middle}>{whole}</text>'
        yield "</g>"


def _usual(counts: Sequence[int]) -> int:
    """A little more than what all but two in a hundred stay below; at least 1."""
    ordered = sorted(counts)
    return max(1, min(ordered[-1], math.ceil(1.5 * ordered[math.ceil(len(ordered) * 0.98) - 1]))) if ordered else 1


def _round_step(at_least: float) -> int:
    """The next of 1, 2, 5, 10, 20, ..."""
    size = 10 ** math.floor(math.log10(max(at_least, 1)))
    return next(int(size * factor) for factor in (1, 2, 5, 10) if size * factor >= at_least)


def _latencies(score: Score, frame: _Frame) -> Iterable[str]:
    everything = (*score.writes, *score.reads)
    low = 10 ** math.floor(math.log10(max(min((each.p50_ms for each in everything), default=1.0), 0.1)))
    high = 10 ** math.ceil(math.log10(max(max((each.max_ms for each in everything), default=10.0), low * 10)))
    decades = round(math.log10(high / low))

    def y(value_ms: float) -> float:
        share = math.log10(max(value_ms, low) / low) / decades
        return frame.bottom - frame.height * min(share, 1.0)

    yield _title(frame, "latency of what succeeded, each second (logarithmic)")
    for decade in range(decades + 1):
        value = low * 10**decade
        yield _grid(frame, y(value), f"{value:g} ms" if value < 1000 else f"{value / 1000:g} s")
    for name, figure in _LINES:
        latencies: Sequence[Latency] = getattr(score, name)
        for stretch in _stretches(latencies):
            points = [(frame.x(each.at_s + 0.5), y(getattr(each, figure))) for each in stretch]
            path = " ".join(f"{x:.1f},{at:.1f}" for x, at in points)
            yield f'<polyline class="line {name} {figure[:3]}" points="{path}"/>'
    for name in ("writes", "reads"):
        for each in getattr(score, name):
            said = f"{name} from {each.at_s:.0f} s: {each.count}, p50 {each.p50_ms:.1f}, p99 {each.p99_ms:.1f} ms"
            x, at = frame.x(each.at_s + 0.5), y(each.max_ms)
            yield f'<circle class="most {name}" cx="{x:.1f}" cy="{at:.1f}" r="2.2"><title>{said}</title></circle>'


def _stretches(latencies: Sequence[Latency]) -> list[list[Latency]]:
    """Where nothing succeeded there is no line."""
    stretches: list[list[Latency]] = []
    for each in latencies:
        if stretches and each.at_s - stretches[-1][-1].at_s <= LATENCY_BUCKET_S:
            stretches[-1].append(each)
        else:
            stretches.append([each])
    return stretches


def _epochs(changes: Sequence[EpochChange], placements: Sequence[str], frame: _Frame) -> Iterable[str]:
    yield _title(frame, "epochs, from their first acknowledged write")
    homes = list(dict.fromkeys(change.home for change in changes))
    for lane, placement in enumerate(placements):
        mine = [change for change in changes if change.placement == placement]
        top = frame.top + lane * _LANE
        for change, after in zip(mine, [*mine[1:], None], strict=True):
            left = frame.x(change.at_s)
            right = frame.x(after.at_s if after is not None else frame.until_s)
            words = f"{placement}: epoch {change.epoch}, {change.home}"
            colour = f"home{homes.index(change.home) % 4}"
            yield (
                f'<g><title>{in_markup(words)} from {change.at_s:.2f} s</title><rect class="{colour}" '
                f'x="{left:.1f}" y="{top:.1f}" width="{max(right - left - 1, 1):.1f}" height="{_LANE - 4}" rx="3"/>'
            )
            if right - left > len(words) * _LABEL_WIDTH:
                yield f'<text class="on" x="{left + 8:.1f}" y="{top + 14:.1f}">{in_markup(words)}</text>'
            yield "</g>"


def _seconds(top: float, lowest: _Frame) -> Iterable[str]:
    step = next((each for each in _STEPS_S if lowest.until_s / each <= _TICKS_MAX), _STEPS_S[-1])
    for number in range(math.floor(lowest.until_s / step) + 1):
        x = lowest.x(number * step)
        yield f'<line class="grid faint" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{lowest.bottom:.1f}"/>'
        place = f'x="{x:.1f}" y="{lowest.bottom + 18:.1f}"'
        yield f'<text class="tick" text-anchor="middle" {place}>{number * step:g} s</text>'


def _marks(marks: Sequence[Mark], frame: _Frame, bottom: float) -> Iterable[str]:
    """A line down through all charts for each mark; labels that would overlap go to the next row."""
    ends = [0.0, 0.0]
    for mark in sorted(marks, key=lambda mark: mark.at_s):
        x = frame.x(mark.at_s)
        words = f"{mark.what} {mark.at_s:.1f} s" + (f": {mark.detail}" if mark.detail else "")
        kind = mark.what if mark.what in (FAULT, HEAL) else "note"
        width = len(words) * _LABEL_WIDTH
        left = min(x, _WIDTH - _RIGHT - width)
        row = next((place for place, end in enumerate(ends) if left > end + 8), len(ends) - 1)
        ends[row] = left + width
        yield f'<line class="mark {kind}" x1="{x:.1f}" y1="{16 + row * 14}" x2="{x:.1f}" y2="{bottom:.1f}"/>'
        yield f'<text class="mark {kind}" x="{left + 4:.1f}" y="{12 + row * 14}">{in_markup(words)}</text>'


def _title(frame: _Frame, words: str) -> str:
    return f'<text class="title" x="{_LEFT}" y="{frame.top - 8:.1f}">{words}</text>'


def _grid(frame: _Frame, y: float, label: str) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
        f'<text class="tick" text-anchor="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{label}</text>'
    )
