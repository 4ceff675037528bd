"""What a topology file may say, and what it is told when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelgraph.fleet.layout.postgres_settings import why_fixed
from intelgraph.fleet.layout.topology import Topology, default_topology, fixed_ports, port_conflicts, port_names
from intelgraph.fleet.layout.topology_file import find_topology_file, load_topology, parse_topology
from intelgraph.fleet.postgres.server import SETTINGS
from intelgraph.model.errors import IntelGraphError
from tests.cases import cases

ROOT = Path(__file__).parents[2]
TWO = 'zones = ["us", "eu"]\n[[region]]\nname = "us-east"\nzone = "us"\n[[region]]\nname = "eu-west"\nzone = "eu"\n'


def _parse(text: str) -> Topology:
    return parse_topology(text, Path("fleet.toml")).topology


def _mistakes(text: str) -> list[str]:
    with pytest.raises(IntelGraphError) as caught:
        _parse(text)
    assert caught.value.denied.code == "bad_topology"
    found = caught.value.denied.facts["mistakes"]
    assert isinstance(found, list)
    return found


def test_the_shipped_file_is_the_built_in_fleet() -> None:
    shipped = load_topology(ROOT / "intelgraph.toml").topology
    built_in = default_topology()
    assert (shipped.regions, shipped.links, shipped.zones) == (built_in.regions, built_in.links, built_in.zones)
    assert fixed_ports(shipped) == fixed_ports(built_in)


def test_every_pair_of_four_regions_has_one_link_with_its_delay_or_none() -> None:
    fleet = load_topology(Path(__file__).parent / "four-regions.toml").topology
    assert len(fleet.links) == 6
    assert fleet.link("eu-west", "us-east").delay_ms == 40
    assert fleet.link("us-east", "us-west").delay_ms == 0
    assert fleet.base_port is None


def test_without_a_file_there_are_two_regions() -> None:
    assert [region.name for region in load_topology(None).topology.regions] == ["us-east", "eu-west"]


def test_the_nearest_file_above_is_found(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "intelgraph.toml").write_text(TWO, encoding="utf-8")
    assert find_topology_file(tmp_path / "a" / "b") == tmp_path / "intelgraph.toml"


def test_every_mistake_is_told_at_once() -> None:
    found = _mistakes(
        'zons = 1\nzones = ["us", "us"]\nports = 80\n[[region]]\nname = "a"\nzone = "uss"\n'
        '[[region]]\nname = "a"\nzone = "us"\nports = { api = 70000 }\n[[link]]\nbetween = ["a", "b"]\n'
    )
    assert len(found) == 7


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TWO + "[edgy]\n", "did you mean 'edge'?"),
        (TWO + '[[region]]\nname = "us-east"\nzone = "us"\n', "region us-east is given twice"),
        (TWO + '[[region]]\nname = "x"\nzone = "ue"\n', "unknown zone 'ue'"),
        (TWO + '[[region]]\nzone = "us"\n', "has no name"),
        (TWO + '[[region]]\nname = "Nope"\nzone = "us"\n', "lower-case letters"),
        (TWO + '[[link]]\nbetween = ["us-east", "eu-wset"]\n', "did you mean 'eu-west'?"),
        (TWO + '[[link]]\nbetween = ["us-east"]\n', "between"),
        (TWO + '[[link]]\nbetween = ["us-east", "us-east"]\n', "to itself"),
        (TWO + '[[link]]\nbetween = ["us-east", "eu-west"]\ndelay_ms = -1\n', "delay_ms is -1"),
        (TWO + '[[link]]\nbetween = ["us-east", "eu-west"]\ndelay_ms = nan\n', "delay_ms is nan"),
        (TWO + '[[link]]\nbetween = ["us-east", "eu-west"]\ndelay_ms = inf\n', "delay_ms is inf"),
        (TWO + "[postgres.settings]\nrandom_page_cost = nan\n", "random_page_cost must be text, a finite number or"),
        (TWO + "[edge]\nport = 99999\n", "edge.port is 99999"),
        (TWO + "[edge]\nport = 7401\n", "port 7401 is wanted by us-east/api and global-edge"),
        (TWO + "[api]\nworkers = 0\n", "api.workers is 0"),
        (TWO + '[api]\nallowed_origins = "*"\n', "must be a list"),
        (TWO + '[api]\nallowed_origins = ["https://app.example/"]\n', "no origin as browsers send it"),
        (TWO + '[api]\nallowed_origins = ["*", 3]\n', "3 is no origin"),
        (TWO + '[postgres.settings]\nwal_level = "replica"\n', "wal_level is fixed"),
        (TWO + '[postgres.settings]\nlog_statement = "all"\n', "log_statement is fixed"),
        ('ports = "some"\n' + TWO, '"free"'),
        ("state = 3\n" + TWO, "state must be a directory"),
        ('state = "~nosuchuser/x"\n' + TWO, "state is '~nosuchuser/x'"),
        ("fake_clocks = 1\n" + TWO, "fake_clocks is 1: it must be true or false"),
        ('zones = ["us"]\n', "no region is given"),
        ("region = 3\n", "[[region]]"),
        ("zones = [", "it is not TOML"),
    ],
)
def test_a_mistake_is_told_with_what_would_be_right(text: str, told: str) -> None:
    assert any(told in mistake for mistake in _mistakes(text))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("FSync = false", "fsync is fixed by IntelGraph: an acknowledged write would not"),
        ('synchronous_commit = "off"', "an acknowledged write would not be on disk"),
        ("full_page_writes = 0", "an acknowledged write would not be on disk"),
        ('archive_command = "cp %p /tmp"', "copies tenants' data"),
        ('archive_library = "x"', "copies tenants' data"),
        ('restore_command = "x"', "runs a command"),
        ('SHARED_PRELOAD_LIBRARIES = "x"', "loads code"),
        ('session_preload_libraries = "x"', "loads code"),
        ('local_preload_libraries = "x"', "loads code"),
        ('jit_provider = "x"', "loads code"),
        ("ssl = true", "whom it lets in"),
        ('Listen_Addresses = "*"', "whom it lets in"),
        ('include = "/tmp/x.conf"', "what IntelGraph writes"),
        ('include_dir = "/tmp"', "what IntelGraph writes"),
        ('"auto_explain.log_min_duration" = 0', "belongs to a library"),
        ("max_slot_wal_keep_size = -1", "must have a bound above 0"),
        ('max_slot_wal_keep_size = "0MB"', "must have a bound above 0"),
        ("autovacuum = false", "old rows are never removed"),
        ('work_mem = "1MB"\nWORK_MEM = "2MB"', "work_mem is given twice"),
        ('work_mem = "1MB\\rfsync = off"', "on one line"),
    ],
)
def test_a_setting_that_a_promise_stands_on_is_refused_with_the_reason(line: str, told: str) -> None:
    assert any(told in mistake for mistake in _mistakes(f"{TWO}[postgres.settings]\n{line}\n"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = " + "[" * 5_000, "its lists or tables are nested too deeply to be read"),
        ("x = " + "9" * 5_000, "a number in it has too many digits to be read"),
        ("state = 0x" + "f" * 10_000, "state must be a directory, not something too large to show"),
        ("state" + ".a" * 5_000 + " = 1", "state must be a directory, not something too large to show"),
        ("[postgres.settings]\nwork_mem = 0x" + "f" * 10_000, "work_mem must be text, a finite number or true/false"),
        (f'state = "{"s" * 5_000}"', "that is no directory's path (File name too long)"),
    ],
)
def test_what_is_too_large_or_too_deep_is_a_mistake_like_others(text: str, told: str) -> None:
    assert any(told in mistake for mistake in _mistakes(text))


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(TWO, encoding="utf-8-sig")
    assert len(load_topology(path).topology.regions) == 2


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    for name, why in (
        ("absent.toml", "No such file or directory"),
        ("", "Is a directory"),
        ("n" * 300, "File name too long"),
        ("latin.toml", "it is not UTF-8 text"),
    ):
        path = tmp_path / name
        with pytest.raises(IntelGraphError, match=f"cannot be read: {why}$"):
            load_topology(path)


def test_the_default_ports_do_not_collide_even_with_the_most_regions() -> None:
    regions = "".join(f'[[region]]\nname = "r{index}"\nzone = "us"\n' for index in range(12))
    fleet = _parse('zones = ["us"]\n' + regions)
    ports = fixed_ports(fleet)
    assert not port_conflicts(ports)
    assert sorted(ports) == sorted(port_names(fleet))


@settings(max_examples=cases(200), deadline=None)
@given(
    st.recursive(
        st.one_of(st.integers(), st.booleans(), st.text(max_size=5), st.floats(allow_nan=False)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["zones", "region", "link", "ports", "edge", "api", "postgres", "name", "zone"]), inner
            ),
        ),
        max_leaves=12,
    )
)
def test_whatever_a_file_holds_the_answer_is_a_topology_or_a_typed_refusal(value: object) -> None:
    text = "\n".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) if isinstance(value, dict) else ""
    try:
        _parse(text)
    except IntelGraphError as error:
        assert error.denied.code == "bad_topology"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(entry) for entry in value) + "]"
    return f"'{value}'" if isinstance(value, str) and value.isalnum() else "1" if isinstance(value, str) else str(value)


def test_what_is_about_speed_and_size_may_be_set(tmp_path: Path) -> None:
    given = {"shared_buffers": "1GB", "max_slot_wal_keep_size": "64MB", "random_page_cost": "1.1", "work_mem": "9MB"}
    lines = "".join(f'{name} = "{value}"\n' for name, value in given.items())
    path = tmp_path / "intelgraph.toml"
    path.write_text(f"{TWO}[postgres.settings]\n{lines}", encoding="utf-8")
    assert dict(load_topology(path).topology.postgres_settings) == given


def test_every_setting_that_intelgraph_gives_itself_is_looked_at() -> None:
    """What the servers are started with is either fixed, or about speed and size."""
    assert {name for name, value in SETTINGS.items() if why_fixed(name, value) is None} == {
        "max_slot_wal_keep_size",
        "max_locks_per_transaction",
        "shared_buffers",
        "work_mem",
        "maintenance_work_mem",
        "io_method",
        "jit",
        "autovacuum_max_workers",
        "autovacuum_naptime",
        "checkpoint_timeout",
        "checkpoint_completion_target",
        "min_wal_size",
        "max_wal_size",
        "log_checkpoints",
        "log_autovacuum_min_duration",
    }
