"""What `status` says when members of etcd are missing: what it costs, and what to do."""

import msgspec

from intelgraph.fleet.etcd.members import EtcdPolicy
from intelgraph.fleet.etcd.status import MemberStatus, advice_on

WELL = [MemberStatus(site=site, term=2, leads=site == "us-east") for site in ("us-east", "eu-west", "witness")]


def without(*sites: str) -> list[MemberStatus]:
    return [
        MemberStatus(site=each.site, refusal="it does not answer: TimeoutError") if each.site in sites else each
        for each in WELL
    ]


def test_nothing_is_said_while_every_member_follows_a_leader() -> None:
    assert advice_on(WELL) is None
    assert advice_on([]) is None


def test_one_lost_member_stops_nothing_and_is_named() -> None:
    told = advice_on(without("witness"))
    assert told is not None
    assert "nothing stops" in told
    assert "witness/etcd" in told


def test_without_a_majority_it_says_what_stops_what_goes_on_and_what_to_do() -> None:
    told = advice_on(without("witness", "us-east"))
    assert told is not None
    for words in (
        "no majority, 1 of 3",
        "lease_over",
        "reads go on",
        "us-east/etcd and witness/etcd",
        "intelgraph wan",
    ):
        assert words in told


def test_a_file_of_half_its_quota_is_said_before_it_stops_all_writing() -> None:
    quota = EtcdPolicy().quota_bytes
    sizes = {"us-east": quota // 2 - 1, "eu-west": quota // 2, "witness": 30_000_000}
    told = advice_on([msgspec.structs.replace(each, db_bytes=sizes[each.site], db_used_bytes=1) for each in WELL])
    assert told is not None
    assert "eu-west/etcd has 537 MB (0 MB in use) of a quota of 1074 MB" in told
    assert "us-east" not in told
