"""Which control store a fleet gets and keeps, where the witness is, and what the WAN carries for both."""

from __future__ import annotations

from pathlib import Path

import pytest

from intelgraph.fleet.etcd import members as etcd
from intelgraph.fleet.etcd.members import EtcdPolicy
from intelgraph.fleet.layout.chosen_control import as_kept, choose
from intelgraph.fleet.layout.places import settle
from intelgraph.fleet.layout.topology import (
    REGIONS_MAX,
    WITNESS,
    Control,
    ControlKind,
    Region,
    Topology,
    carried,
    default_topology,
    fixed_ports,
    full_mesh,
    port_conflicts,
    port_names,
    wan_port,
    with_control,
)
from intelgraph.fleet.layout.topology_file import load_topology, parse_topology
from intelgraph.model.errors import IntelGraphError
from intelgraph.settings import EtcdControl

ETCD, SQLITE = ControlKind.ETCD, ControlKind.SQLITE
TWO = 'zones = ["us", "eu"]\n[[region]]\nname = "us-east"\nzone = "us"\n[[region]]\nname = "eu-west"\nzone = "eu"\n'


def parse(text: str) -> Topology:
    return parse_topology(text, Path("fleet.toml")).topology


def mistakes(text: str) -> str:
    with pytest.raises(IntelGraphError) as caught:
        parse(text)
    return caught.value.denied.reason


def many(count: int) -> Topology:
    regions = tuple(Region(name=f"r{number}", zone="z") for number in range(count))
    return Topology(zones=("z",), regions=regions, links=full_mesh(regions, {}))


def test_a_fleet_is_on_sqlite_unless_somebody_says_otherwise() -> None:
    assert choose(default_topology(), kept=None, has_data=False, asked=None).control == Control()
    assert choose(parse(TWO + '[control]\nkind = "etcd"\n'), kept=None, has_data=False, asked=None).control.kind is ETCD
    assert choose(default_topology(), kept=None, has_data=False, asked=ETCD).control.kind is ETCD


def test_what_was_chosen_is_kept_once_there_is_data() -> None:
    kept = Control(kind=ETCD, members=("us-east", "eu-west"))
    assert choose(default_topology(), kept=kept, has_data=True, asked=None).control == kept
    assert choose(default_topology(), kept=kept, has_data=False, asked=SQLITE).control == Control()
    assert as_kept(default_topology(), kept).control == kept
    for topology, asked in ((default_topology(), SQLITE), (parse(TWO + '[control]\nkind = "sqlite"\n'), None)):
        with pytest.raises(IntelGraphError, match=r"placements are in etcd.*--control etcd.*down --wipe") as caught:
            choose(topology, kept=kept, has_data=True, asked=asked)
        assert caught.value.denied.code == "control_is_kept"
    with pytest.raises(IntelGraphError, match="placements are in sqlite"):
        choose(default_topology(), kept=Control(), has_data=True, asked=ETCD)


def test_other_members_than_the_founders_are_refused() -> None:
    members = '[control]\nmembers = ["eu-west", "us-east"]\n'
    with pytest.raises(IntelGraphError, match="founded with us-east, eu-west"):
        choose(parse(TWO + members), kept=Control(kind=ETCD, members=("us-east", "eu-west")), has_data=True, asked=None)


def test_a_fleet_on_etcd_is_the_same_however_it_was_asked_for() -> None:
    asked = choose(default_topology(), kept=None, has_data=False, asked=ETCD)
    kept = choose(default_topology(), kept=asked.control, has_data=True, asked=None)
    given = choose(parse(TWO + '[control]\nkind = "etcd"\n'), kept=asked.control, has_data=True, asked=None)
    assert repr(asked) == repr(kept) == repr(given)


def test_a_running_choice_is_found_again(place: Path) -> None:
    file = place / "again.toml"
    file.write_text(f'state = "{place / file.stem}"\nports = "free"\n' + TWO, encoding="utf-8")
    first = settle(load_topology(file), start=place, control=ETCD)
    assert first.topology.control.voters == ("us-east", "eu-west", WITNESS)
    (first.etcd_data(WITNESS)).mkdir(parents=True)
    assert settle(load_topology(file), start=place) == first
    with pytest.raises(IntelGraphError, match="placements are in etcd"):
        settle(load_topology(file), start=place, control=SQLITE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[control]\nkind = "consul"\n', "control.kind is 'consul': it must be one of sqlite, etcd"),
        ('[control]\nmembers = ["us-east"]\n', "an even number of different regions"),
        ('[control]\nmembers = ["us-east", "us-east"]\n', "an even number of different regions"),
        ('[control]\nmembers = ["us-east", "eu-wst"]\n', "did you mean 'eu-west'?"),
        ('[control]\nkinds = "etcd"\n', "did you mean 'kind'?"),
        ('[[region]]\nname = "witness"\nzone = "eu"\n', "that is the site that is no region"),
    ],
)
def test_a_mistake_is_told(text: str, told: str) -> None:
    assert told in mistakes(TWO + text)


def test_one_region_cannot_be_on_etcd() -> None:
    one = 'zones = ["us"]\n[[region]]\nname = "us-east"\nzone = "us"\n'
    assert "at least two regions" in mistakes(one + '[control]\nkind = "etcd"\n')
    with pytest.raises(IntelGraphError, match="it takes two that vote"):
        choose(parse(one), kept=None, has_data=False, asked=ETCD)


def test_the_witness_is_linked_to_every_region_and_its_links_have_their_delays() -> None:
    text = TWO + '[[link]]\nbetween = ["witness", "us-east"]\ndelay_ms = 15\n'
    fleet = with_control(parse(text), ETCD)
    assert [link.name for link in fleet.links] == ["us-east--eu-west", "us-east--witness", "eu-west--witness"]
    assert fleet.link("us-east", "witness").delay_ms == 15
    assert [link.name for link in with_control(fleet, SQLITE).links] == ["us-east--eu-west"]


def test_the_wan_carries_to_the_witness_what_is_no_tenants_data() -> None:
    fleet = with_control(many(4), ETCD)
    assert fleet.control.voters == ("r0", "r1", WITNESS)
    assert carried(fleet, "r0", WITNESS) == ("etcd", "etcd-peer")
    assert carried(fleet, "r3", WITNESS) == ("etcd",)
    assert carried(fleet, WITNESS, "r0") == ("edge", "etcd", "etcd-peer")
    assert carried(fleet, WITNESS, "r3") == ("edge",)
    assert carried(fleet, "r3", "r0") == ("postgres", "edge", "etcd")
    assert carried(fleet, "r0", "r3") == ("postgres", "edge")


@pytest.mark.parametrize("count", range(2, REGIONS_MAX + 1))
def test_every_port_of_a_fleet_on_etcd_is_its_own_and_sqlites_are_where_they_were(count: int) -> None:
    fleet = with_control(many(count), ETCD)
    ports = fixed_ports(fleet)
    assert sorted(ports) == sorted(port_names(fleet))
    assert port_conflicts(ports) == []
    before = fixed_ports(many(count))
    assert {name: ports[name] for name in before} == before


def test_every_site_asks_its_own_member_first_and_then_by_distance(place: Path) -> None:
    text = (
        TWO + '[[region]]\nname = "us-west"\nzone = "us"\n[control]\nkind = "etcd"\n'
        '[[link]]\nbetween = ["us-west", "us-east"]\ndelay_ms = 30\n[[link]]\nbetween = ["us-west", "eu-west"]\n'
        'delay_ms = 70\n[[link]]\nbetween = ["us-west", "witness"]\ndelay_ms = 50\n'
    )
    file = place / "distance.toml"
    file.write_text(f'state = "{place / file.stem}"\nports = "free"\n' + text, encoding="utf-8")
    fleet = settle(load_topology(file), start=place)

    def urls(*names: str) -> EtcdControl:
        return EtcdControl(members=[f"http://127.0.0.1:{fleet.ports[name]}" for name in names])

    def over(site: str, voter: str) -> str:
        return wan_port(site, voter, "etcd")

    east = ["us-east/etcd", *(over("us-east", voter) for voter in ("eu-west", WITNESS))]
    assert etcd.control_at(fleet, "us-east") == urls(*east)
    west = [over("us-west", voter) for voter in ("us-east", WITNESS, "eu-west")]
    assert etcd.control_at(fleet, "us-west") == urls(*west)
    assert etcd.control_for_operators(fleet) == urls("us-east/etcd", "eu-west/etcd", "witness/etcd")
    assert set(etcd.ways_out(fleet, WITNESS).values()) == {
        fleet.ports[wan_port(WITNESS, "us-east", "etcd-peer")],
        fleet.ports[wan_port(WITNESS, "eu-west", "etcd-peer")],
    }


def test_members_far_apart_are_given_more_time() -> None:
    policy = EtcdPolicy()
    assert policy.heartbeat_ms(0) == 100
    assert policy.heartbeat_ms(160) == 200
