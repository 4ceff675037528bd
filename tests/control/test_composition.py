"""How agents are composed: a region's on the ports of its machine, the witness's on none; every module has a test."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

from intelgraph.control.agent import __main__ as main
from intelgraph.control.agent.controller.ports import MachinePorts
from intelgraph.control.agent.leases.times import lease_policy
from intelgraph.control.agent.observer.surveying import Surveying
from intelgraph.control.agent.observer.witness import WitnessHook
from intelgraph.placement.lease import LeasePolicy
from intelgraph.settings import LeaseTimes, WitnessConfig

from .shell import EU, US, Shell, config

ROOT = Path(__file__).parents[2]
AGENT = ROOT / "src/intelgraph/control/agent"
UNIT_TESTS = ("tests/control", "tests/placement", "tests/simulator")


def test_a_region_s_controller_runs_on_the_ports_of_its_machine(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert set(shell.loops) == {"act", "probe", "probe writes", "salvage", "note", "clock"}
    assert isinstance(shell.ports.survey(shell.agent, shell.hook.observing), Surveying)
    assert shell.ports.survivors.keys() == {EU}
    assert MachinePorts(config(tmp_path)).edge is None, "a region whose settings name no edge probes nothing"


def test_the_witness_looks_and_asks_and_has_nothing_to_lose(tmp_path: Path) -> None:
    hook = main.witness_hook(
        WitnessConfig(directory=str(tmp_path), control=config(tmp_path).control, regions={US: "http://127.0.0.1:1"})
    )
    assert isinstance(hook, WitnessHook)
    agent = Shell(tmp_path).agent
    assert set(hook.loops(agent)) == {"probe"}
    assert hook.seen().reached == {} and hook.bounds() == hook.limits() == {}
    assert not hook.is_passed_over() and hook.gives_up() is None


def test_leases_are_timed_by_the_settings() -> None:
    assert lease_policy(LeaseTimes()) == LeasePolicy()
    assert lease_policy(LeaseTimes(renew_s=2.0, lease_s=9.0)).over_after_s == 9.25


def test_a_region_s_agent_lets_go_of_everything_when_it_is_ended(tmp_path: Path) -> None:
    async def body() -> None:
        running = asyncio.ensure_future(main.run_region(config(tmp_path)))
        await asyncio.sleep(0.2)
        running.cancel()
        ended = await asyncio.gather(running, return_exceptions=True)
        assert isinstance(ended[0], asyncio.CancelledError)

    asyncio.run(body())


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_module_of_the_agent_is_imported_by_a_unit_test() -> None:
    modules = {
        ".".join(("intelgraph.control.agent", *path.relative_to(AGENT).with_suffix("").parts))
        for path in AGENT.rglob("*.py")
        if path.name != "__init__.py"
    }
    tests = [path for folder in UNIT_TESTS for path in (ROOT / folder).rglob("*.py")]
    imported = {name for path in tests for name in _imported(ast.parse(path.read_text(encoding="utf-8")))}
    assert modules <= imported, sorted(modules - imported)
