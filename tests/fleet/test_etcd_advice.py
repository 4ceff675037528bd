"""What `status` says when members of etcd are missing: what it costs, and what to do."""

from intelgraph.fleet.etcd_status import MemberStatus, advice_on

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
