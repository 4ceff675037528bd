"""A drill's report: one value, and the three ways to show it (terminal, JSON, one HTML page). Pure.

The value holds all figures, the anomalies with the operations that they are made of (so that a person can judge them
without the history), and what was done to the fleet. The page is self-contained: no script, no font, no address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from string import Template

import msgspec

from intelgraph.drill.checker.verdict import Anomaly, Verdict
from intelgraph.drill.history import History, Mark, Operation
from intelgraph.drill.score import BUCKET_S, Outage, Score
from intelgraph.drill.timeline import draw
from intelgraph.model.printable import in_markup, printable

ANOMALIES_MAX = 100
"""Of each check, how many are kept with their operations; all are counted."""
_SHOWN_IN_TEXT = 5
_HEADINGS = "<tr><th>#<th>client<th>what<th class=number>from<th class=number>to<th>outcome<th>bookmark<th>region</tr>"


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that is kept of a drill. ``about`` is what it was run with, in words, in the order to be shown."""

    id: str
    title: str
    began: str
    seed: int
    regions: dict[str, tuple[str, ...]]
    score: Score
    verdicts: tuple[Verdict, ...]
    about: dict[str, str] = {}
    marks: tuple[Mark, ...] = ()
    evidence: dict[str, Operation] = {}
    """The operations of the anomalies, by number."""

    @property
    def holds(self) -> bool:
        """Whether every promise was kept (``Score.holds``)."""
        return self.score.holds


def make_report(
    history: History, verdicts: Sequence[Verdict], score: Score, *, id: str, title: str, about: Mapping[str, str]
) -> Report:
    """Put together what is to be kept."""
    kept = tuple(
        msgspec.structs.replace(
            verdict,
            anomalies=(*verdict.unexplained, *(each for each in verdict.anomalies if each.explained))[:ANOMALIES_MAX],
        )
        for verdict in verdicts
    )
    wanted = {number for verdict in kept for anomaly in verdict.anomalies for number in anomaly.operations}
    return Report(
        id=id,
        title=title,
        began=history.header.began,
        seed=history.header.seed,
        regions=history.header.regions,
        score=score,
        verdicts=kept,
        about=dict(about),
        marks=history.marks,
        evidence={str(each.id): each for each in history.operations if each.id in wanted},
    )


def as_json(report: Report) -> bytes:
    """The report for machines; ``from_json`` reads it back equal."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1)


def from_json(raw: bytes) -> Report:
    """Read ``as_json`` back."""
    return msgspec.json.decode(raw, type=Report)


def figures(score: Score) -> list[tuple[str, str, str]]:
    """The figures that matter most: name, value, what it means."""
    lost_writes = f"{score.lost_writes} of them unexplained" if score.lost_writes else "none unexplained"
    return [
        ("RTO", _seconds(score.rto_s), _about_rto(score)),
        ("RPO", _seconds(score.rpo_s), "age of the oldest acknowledged write taken back"),
        ("writes taken back", f"{score.rpo_writes:,}", lost_writes),
        ("writes unavailable", _seconds(score.write_outage.seconds), _who(score.write_outage)),
        ("… of patient clients", _seconds(score.patient_writes.seconds), _who(score.patient_writes)),
        ("reads unavailable", _seconds(score.read_outage.seconds), _who(score.read_outage)),
        ("… of patient clients", _seconds(score.patient_reads.seconds), _who(score.patient_reads)),
        ("doomed writes", f"{score.doomed_writes:,}", "acknowledged after the healing in an epoch that was over"),
        (
            "patient clients' failures",
            f"{score.patient_failed:,}",
            "operations without an answer within their deadline",
        ),
        ("staleness, at most", _milliseconds(score.staleness_ms_max), "as answers said of themselves"),
        (
            "anomalies",
            f"{sum(score.anomalies.values()):,}",
            f"and {sum(score.explained.values()):,} explained by listed keys",
        ),
    ]


def broken_words(score: Score) -> list[str]:
    """Say what was promised and not kept, where no check of the history says so: one sentence each."""
    said = []
    if score.fault is not None and score.fault.region is not None and score.rto_s is None:
        until_s = score.buckets[-1].at_s + BUCKET_S if score.buckets else score.fault.injected_s
        said.append(
            f"nobody took over: no write was acknowledged elsewhere within {until_s - score.fault.injected_s:.1f} s "
            f"after {score.fault.region} was lost, when the drill ended"
        )
    if score.doomed_writes:
        said.append(f"{score.doomed_writes:,} writes were acknowledged in an epoch that was over")
    return said


def as_text(report: Report) -> str:
    """The report as text, each line of visible characters only."""
    return "\n".join(printable(line) for line in text_lines(report)) + "\n"


def text_lines(report: Report) -> list[str]:
    """The report for a terminal, line by line, as it is: whoever shows it makes it printable."""
    score = report.score
    lines = [f"{report.title}  ({report.id})", f"began {report.began}, seed {report.seed}"]
    lines += [f"  {name}: {value}" for name, value in report.about.items()]
    lines += [f"  {mark.at_s:7.2f} s  {mark.what}{f': {mark.detail}' if mark.detail else ''}" for mark in report.marks]
    lines += ["", *(f"  {name:<26}{value:>10}  {meaning}" for name, value, meaning in figures(score))]
    lines += [
        f"  {'nobody wrote, nobody read':<26}{_seconds(score.write_gap.seconds):>10}  and "
        f"{_seconds(score.read_gap.seconds)}, at the longest",
        "",
        f"  operations: {_counts(score.operations)}",
    ]
    if score.codes:
        lines.append(f"  not acknowledged: {_codes(score.codes)}")
    if score.retried:
        lines.append(f"  tries that were repeated: {_codes(score.retried)}")
    changes = [
        f"{change.placement} epoch {change.epoch} in {change.home} at {change.at_s:.2f} s" for change in score.epochs
    ]
    lines += [f"  epochs: {'; '.join(changes) or 'none'}", ""]
    lines += [f"  BROKEN: {sentence}" for sentence in broken_words(score)]
    for verdict in report.verdicts:
        found = score.anomalies.get(verdict.check, 0)
        said = "holds" if not found else f"BROKEN: {found:,} anomalies"
        explained = score.explained.get(verdict.check, 0)
        said += f", {explained:,} explained" if explained else ""
        lines.append(f"  {verdict.check:<12} {said}  ({_counts(verdict.counted)})")
        lines += [f"    {_sentence(anomaly)}" for anomaly in verdict.anomalies[:_SHOWN_IN_TEXT]]
    return lines


def as_html(report: Report) -> str:
    """The report as one page."""
    template = Template(files("intelgraph.drill").joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=in_markup(report.title),
        subtitle=in_markup(f"{report.began} · seed {report.seed} · {report.id}"),
        verdict="holds" if report.holds else "broken",
        verdict_words=in_markup("; ".join(_verdict_words(report))),
        figures="\n".join(_card(*figure) for figure in figures(report.score)),
        timeline=draw(report.score, report.marks),
        checks="\n".join(_check_row(report, verdict) for verdict in report.verdicts),
        anomalies=_anomalies(report),
        counts="\n".join(_tables(report)),
    )


def _verdict_words(report: Report) -> list[str]:
    return ["every promise held"] if report.holds else ["promises were broken", *broken_words(report.score)]


def _card(name: str, value: str, meaning: str) -> str:
    return f"<div class=card><h3>{in_markup(name)}</h3><b>{in_markup(value)}</b><p>{in_markup(meaning)}</p></div>"


def _check_row(report: Report, verdict: Verdict) -> str:
    found, explained = report.score.anomalies.get(verdict.check, 0), report.score.explained.get(verdict.check, 0)
    state, words = ("broken", f"{found:,} anomalies") if found else ("holds", "holds")
    extra = f" <small>{explained:,} explained</small>" if explained else ""
    return (
        f"<tr><th>{in_markup(verdict.check)}</th><td><span class='pill {state}'>{words}</span>{extra}</td>"
        f"<td>{in_markup(_counts(verdict.counted))}</td><td class=number>{verdict.seconds:.2f} s</td></tr>"
    )


def _anomalies(report: Report) -> str:
    parts = []
    for verdict in report.verdicts:
        for anomaly in verdict.anomalies:
            involved = (report.evidence[str(number)] for number in anomaly.operations if str(number) in report.evidence)
            rows = "".join(_operation_row(each) for each in involved)
            state = "explained" if anomaly.explained else "broken"
            keys = f"<p>explained by {in_markup(', '.join(anomaly.explained_by))}</p>" if anomaly.explained else ""
            parts.append(
                f"<details class={state}><summary><span class='pill {state}'>{in_markup(anomaly.check)} "
                f"{in_markup(anomaly.kind)}</span> {in_markup(anomaly.reason)}</summary>{keys}"
                f"<div class=scroll><table>{_HEADINGS}{rows}</table></div></details>"
            )
    return f"<section><h2>Anomalies</h2>{''.join(parts)}</section>" if parts else ""


def _operation_row(operation: Operation) -> str:
    what = f"{operation.kind.value} {', '.join(_step_words(operation))}"
    cells = (operation.id, operation.client, what)
    ended = operation.outcome.value + (f" ({operation.code})" if operation.code else "")
    rest = (ended, operation.bookmark or operation.carried or "", operation.region or operation.door)
    times = "".join(f"<td class=number>{at:.3f}</td>" for at in (operation.invoked_s, operation.completed_s))
    return "<tr>" + _cells(cells) + times + _cells(rest) + "</tr>"


def _step_words(operation: Operation) -> Iterable[str]:
    if operation.members:
        yield f"{len(operation.members):,} members"
    for step in operation.steps:
        value = list(step.elements) if step.elements is not None else step.value
        yield f"{step.object} {'' if value is None else value}".strip()


def _cells(values: Iterable[object]) -> str:
    return "".join(f"<td>{in_markup(str(value))}</td>" for value in values)


def _tables(report: Report) -> Iterable[str]:
    score = report.score
    yield _table("Run with", report.about)
    yield _table("Operations", {name.replace("_", " "): f"{count:,}" for name, count in score.operations.items()})
    yield _table("Not acknowledged", {name: f"{count:,}" for name, count in score.codes.items()})
    yield _table("Tries that were repeated", {name: f"{count:,}" for name, count in score.retried.items()})
    gaps = {"nobody wrote for": _seconds(score.write_gap.seconds), "nobody read for": _seconds(score.read_gap.seconds)}
    yield _table("All clients together", gaps)
    epochs = {f"{each.placement}, epoch {each.epoch}": f"{each.home}, {each.at_s:.2f} s" for each in score.epochs}
    yield _table("Epochs", epochs)


def _table(name: str, rows: Mapping[str, str]) -> str:
    if not rows:
        return ""
    body = "".join(
        f"<tr><th>{in_markup(key)}</th><td class=number>{in_markup(value)}</td></tr>" for key, value in rows.items()
    )
    return f"<div><h3>{in_markup(name)}</h3><table>{body}</table></div>"


def _sentence(anomaly: Anomaly) -> str:
    keys = f" [explained by {', '.join(anomaly.explained_by)}]" if anomaly.explained else ""
    return f"{anomaly.kind}: {anomaly.reason}{keys}"


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counted.items())


def _codes(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {code}" for code, count in counted.items())


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"


def _about_rto(score: Score) -> str:
    if score.fault is None or score.fault.region is None:
        return "no home was lost"
    return "from the fault to the first write elsewhere" if score.rto_s is not None else "NO WRITE WENT ELSEWHERE"


def _who(outage: Outage) -> str:
    return f"the longest for one client, from {outage.since_s:.1f} s" if outage.client else "nobody asked"
