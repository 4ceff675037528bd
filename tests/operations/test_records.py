"""Operations that need no database: what is returned, and that who asked is recorded before anything is done."""

from __future__ import annotations

import asyncio
import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from intelgraph.control import issuer
from intelgraph.model.actor import REASON_MAX, Actor, Channel
from intelgraph.model.errors import IntelGraphError
from intelgraph.model.placement import Tenant
from intelgraph.operations.placements import create_placement, list_placements, show_placement
from intelgraph.operations.record import read_record, record, record_file
from intelgraph.operations.site import Site
from intelgraph.operations.tenants import create_tenant, list_tenants, show_tenant
from intelgraph.operations.tokens import issue, renewed_token
from intelgraph.operations.view import read_placements, wait_for_placements

from .sites import BOTH, PERSON, operator_of, site_of

ACME = Tenant(id="acme", placement="both")


async def place(site: Site) -> None:
    """The placement ``both``, whose epoch nobody opens."""
    async with site.directory() as directory:
        await directory.create_placement(BOTH)


def test_a_tenant_is_created_once_and_each_asking_is_recorded(tmp_path: Path) -> None:
    site = site_of(tmp_path)

    async def body() -> None:
        await place(site)
        operator = operator_of(site)
        assert await create_tenant(operator, ACME) == await create_tenant(operator, ACME) == ACME
        with pytest.raises(IntelGraphError) as unknown:
            await create_tenant(operator, replace(ACME, placement="none"))
        assert unknown.value.denied.code == "unknown_placement"
        found = await show_tenant(operator, "acme")
        assert (found.tenant, found.placement) == (ACME, BOTH)
        assert await list_tenants(operator) == [ACME]
        assert [each.placement for each in await list_placements(operator)] == [BOTH]
        assert (await show_placement(operator, "both")).placement == BOTH

    asyncio.run(body())
    lines = read_record(tmp_path)
    assert [(each.operation, each.actor) for each in lines] == [("tenant create", PERSON)] * 3
    assert lines[0].facts == {"tenant": "acme", "placement": "both"}


def test_a_token_is_recorded_and_is_not_in_the_record(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    issuer.ensure_key(tmp_path)

    async def body() -> str:
        await place(site)
        operator = operator_of(site)
        with pytest.raises(IntelGraphError) as unknown:
            await issue(operator, "acme", "writer", 60)
        assert unknown.value.denied.code == "unknown_tenant"
        await create_tenant(operator, ACME)
        issued = await issue(operator, "acme", "writer", 60)
        assert issued.unchecked is None and issued.token not in repr(issued)
        return issued.token

    token = asyncio.run(body())
    (line,) = [each for each in read_record(tmp_path) if each.operation == "token"]
    assert (line.actor, line.facts) == (PERSON, {"tenant": "acme", "role": "writer", "ttl_s": 60})
    assert token not in record_file(tmp_path).read_text()


def test_a_token_that_is_renewed_is_the_same_until_then_and_is_recorded_once(tmp_path: Path) -> None:
    issuer.ensure_key(tmp_path)
    token = renewed_token(operator_of(site_of(tmp_path)), "acme", "writer")
    assert token() == token()
    (line,) = read_record(tmp_path)
    assert (line.actor, line.facts["renewed"]) == (PERSON, True)


def test_a_region_that_the_fleet_does_not_have_gets_no_placement(tmp_path: Path) -> None:
    far = replace(BOTH, regions=(*BOTH.regions, "ap-south"))
    with pytest.raises(IntelGraphError) as refused:
        asyncio.run(create_placement(operator_of(site_of(tmp_path)), far))
    assert refused.value.denied.code == "unknown_region"
    assert read_record(tmp_path) == []


def test_placements_are_waited_for_until_they_are_so_or_the_time_is_over(tmp_path: Path) -> None:
    site = site_of(tmp_path)

    async def body() -> None:
        operator = operator_of(site)
        nothing = await wait_for_placements(operator, lambda known: bool(known.placements), within_s=0.05)
        assert nothing is None
        await place(site)
        found = await wait_for_placements(operator, lambda known: bool(known.placements), within_s=5.0)
        assert found is not None and found.placements.keys() == {"both"}
        assert (await read_placements(operator)).placements.keys() == {"both"}

    asyncio.run(body())


def test_the_record_is_its_owners_and_grows_by_a_line(tmp_path: Path) -> None:
    operator = operator_of(site_of(tmp_path))
    record(operator, "one", placement="both")
    record(operator.because("another"), "two", regions=["us-east"], cut_off=True)
    lines = [json.loads(line) for line in record_file(tmp_path).read_text().splitlines()]
    assert [each["operation"] for each in lines] == ["one", "two"]
    assert lines[1]["actor"] == {"subject": "a person", "channel": "http", "reason": "another"}
    assert stat.S_IMODE(record_file(tmp_path).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("", ""),
        (" ", ""),
        ("s" * 257, ""),
        ("s", "r" * (REASON_MAX + 1)),
        ("s", "f\udcfcr"),  # what Python makes of an argument's byte 0xFC
        ("s\udcff", ""),
        ("s", "a\0b"),
        ("\0", ""),
    ],
)
def test_an_actor_that_no_record_can_hold_is_refused(subject: str, reason: str) -> None:
    with pytest.raises(IntelGraphError) as refused:
        Actor(subject=subject, channel=Channel.CLI, reason=reason)
    assert refused.value.denied.code == "bad_actor"


def test_a_name_that_is_no_utf_8_is_recorded_and_every_line_is_read_again(tmp_path: Path) -> None:
    operator = operator_of(site_of(tmp_path))
    for source in ("plain", "b\udcfcndel.json", "\ud83d", "\u2028\x85\n"):
        record(operator, "import", source=source)
    told = [each.facts["source"] for each in read_record(tmp_path)]
    assert told == ["plain", r"b\udcfcndel.json", r"\ud83d", "\u2028\x85\n"]


@pytest.mark.parametrize("cut", [b'{"at": 1.0, "oper', b"{", b"", b"\x00" * 40])
def test_a_line_that_was_written_in_part_hides_no_other(tmp_path: Path, cut: bytes) -> None:
    operator = operator_of(site_of(tmp_path))
    record(operator, "one")
    with record_file(tmp_path).open("ab") as file:
        file.write(cut)
    record(operator, "two")
    assert [each.operation for each in read_record(tmp_path)] == ["one", "two"]
