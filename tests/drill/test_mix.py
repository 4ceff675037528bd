"""The choice of operations is that of its seed; lists and accounts are written by compare-and-set on what is known."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from intelgraph.drill.asking import Answer
from intelgraph.drill.history import Kind, Outcome
from intelgraph.drill.mix import WEIGHTS, Mix, MixSettings, Planned, Session

ONLY_APPENDS = MixSettings(weights={Kind.APPEND: 1.0}, lists=1, two_lists_share=0.0, contention=0.0, elements_max=3)


def _session() -> Session:
    return Session(name="a", door="us-east")


def _operations(planned: Planned) -> list[dict[str, Any]]:
    decoded: list[dict[str, Any]] = msgspec.json.decode(planned.request.body)["operations"]
    return decoded


def _acknowledge(mix: Mix, session: Session, planned: Planned, position: int) -> None:
    body = {"objects": [{"id": step.object, "revision": step.revision} for step in planned.steps]}
    answer = Answer(status=200, body=body, bookmark=f"us-east/1/1/{position}")
    mix.learn(session, planned, answer, mix.seen(planned, answer, Outcome.OK))


def test_the_same_seed_chooses_the_same_and_another_does_not() -> None:
    def choose(seed: int) -> list[bytes]:
        mix, session = Mix(MixSettings(), run="d", seed=seed), _session()
        return [mix.next(session).request.body for _ in range(50)]

    assert choose(1) == choose(1)
    assert choose(1) != choose(2)


def test_kinds_come_about_as_often_as_their_weights_say() -> None:
    mix, session = Mix(MixSettings(weights={Kind.INSERT: 3.0, Kind.PUT: 1.0}), run="d", seed=1), _session()
    counted = Counter(mix.next(session).kind for _ in range(2_000))
    assert 2.5 < counted[Kind.INSERT] / counted[Kind.PUT] < 3.5


def test_every_key_and_every_value_is_new() -> None:
    mix, session = Mix(MixSettings(weights={Kind.INSERT: 1.0, Kind.PUT: 1.0}), run="d", seed=1), _session()
    planned = [mix.next(session) for _ in range(500)]
    assert len({each.request.key for each in planned}) == 500
    values = [each.steps[0].value for each in planned if each.kind is Kind.PUT]
    assert len(set(values)) == len(values)


def test_an_append_builds_on_what_is_known_and_on_nothing_else() -> None:
    mix, session = Mix(ONLY_APPENDS, run="d", seed=1), _session()
    first = mix.next(session)
    assert _operations(first)[0]["if_revision"] == 0
    assert mix.next(session).kind is Kind.LISTS, "the only list is being written"
    _acknowledge(mix, session, first, 1)
    second = mix.next(session)
    assert _operations(second)[0]["if_revision"] == 1
    assert second.steps[0].elements == (*(first.steps[0].elements or ()), second.steps[0].value)


def test_after_an_unknown_outcome_a_list_is_read_before_it_is_written() -> None:
    mix, session = Mix(ONLY_APPENDS, run="d", seed=1), _session()
    lost = mix.next(session)
    mix.learn(session, lost, Answer(status=0), lost.steps)
    refresh = mix.next(session)
    assert (refresh.kind, refresh.refreshes) == (Kind.LISTS, True)
    found = {"id": lost.steps[0].object, "revision": 1, "properties": {"elements": [1]}}
    answer = Answer(status=200, body={"data": {"entities": {"items": [found]}}})
    mix.learn(session, refresh, answer, mix.seen(refresh, answer, Outcome.OK))
    assert _operations(mix.next(session))[0]["if_revision"] == 1


def test_a_full_list_is_followed_by_a_new_one() -> None:
    mix, session = Mix(ONLY_APPENDS, run="d", seed=1), _session()
    for position in range(1, 5):
        _acknowledge(mix, session, mix.next(session), position)
    assert mix.objects[Kind.LISTS] == ["d-l1", "d-l2"]


def test_a_transfer_moves_and_neither_makes_nor_loses() -> None:
    mix, session = Mix(MixSettings(weights={Kind.TRANSFER: 1.0}), run="d", seed=1), _session()
    deposit = mix.deposit()
    _acknowledge(mix, session, deposit, 1)
    balances = {step.object: step.value or 0 for step in deposit.steps}
    for position in range(2, 200):
        transfer = mix.next(session)
        assert transfer.kind is Kind.TRANSFER
        assert [operation["if_revision"] for operation in _operations(transfer)] == [
            (step.revision or 0) - 1 for step in transfer.steps
        ]
        balances |= {step.object: step.value or 0 for step in transfer.steps}
        assert sum(balances.values()) == sum(step.value or 0 for step in deposit.steps)
        assert min(balances.values()) >= 0
        _acknowledge(mix, session, transfer, position)


def test_a_bookmark_is_carried_to_a_read_that_must_see_it_and_dropped_when_it_is_superseded() -> None:
    mix, session = Mix(MixSettings(weights={Kind.GET: 1.0}, carry_share=1.0), run="d", seed=1), _session()
    session.last[Kind.GET] = (("d-r3",), "us-east/1/1/9")
    mix.latest = "us-east/1/1/9"
    read = mix.next(session)
    assert (read.request.path, read.request.carried) == ("/v1/entities/d-r3", "us-east/1/1/9")
    mix.learn(session, read, Answer(status=409, code="superseded"), read.steps)
    assert mix.next(session).request.carried is None
    assert mix.latest is None


def test_the_default_mix_has_every_kind_that_a_client_may_choose() -> None:
    assert set(WEIGHTS) == set(Kind) - {Kind.MEMBERS, Kind.DEPOSIT, Kind.FOLLOW}
