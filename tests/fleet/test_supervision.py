"""Who asks a supervisor waits longer than what it asked for may take."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from intelgraph.fleet.composition.parts import Kind
from intelgraph.fleet.layout.places import locate
from intelgraph.fleet.layout.topology_file import load_topology
from intelgraph.fleet.supervisor import stopping
from intelgraph.fleet.supervisor.process import ENDED_WITHIN_S
from intelgraph.fleet.supervisor.status import Request
from intelgraph.fleet.supervisor.stop_order import patience_s
from intelgraph.fleet.supervisor.supervision import ANSWER_WITHIN_S, ask, ask_async
from intelgraph.model.errors import PermanentError

STATUS = Request(do="status")


def test_everything_that_can_be_asked_for_has_its_time() -> None:
    assert ANSWER_WITHIN_S.keys() == set(get_args(get_type_hints(Request)["do"]))


def test_a_hold_is_waited_for_until_what_was_killed_must_have_ended() -> None:
    assert ANSWER_WITHIN_S["hold"] > 2 * ENDED_WITHIN_S


@pytest.mark.parametrize("kind", Kind)
def test_a_restart_is_waited_for_until_the_part_must_have_ended(kind: Kind) -> None:
    ended_s = patience_s(f"home/{kind.value}") + stopping.TOLD_S + stopping.KILLED_S
    assert ANSWER_WITHIN_S["restart"] > 2 * ended_s


@pytest.mark.parametrize("answer", [b"{}\n", b'{"supervisor_pid":1,"plan":7}\n', b"HTTP/1.1 400\n", b"\xff\n"])
def test_an_answer_of_another_release_is_a_sentence(tmp_path: Path, answer: bytes) -> None:
    fleet = locate(load_topology(None), start=tmp_path)
    fleet.supervisor_socket.parent.mkdir(parents=True, exist_ok=True)

    async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    async def asked() -> None:
        async with await asyncio.start_unix_server(says, str(fleet.supervisor_socket)):
            for coming in (asyncio.to_thread(ask, fleet, STATUS), ask_async(fleet, STATUS)):
                with pytest.raises(PermanentError, match="another release") as caught:
                    await coming
                assert caught.value.denied.code == "supervisor_not_understood"

    try:
        asyncio.run(asked())
    finally:
        shutil.rmtree(fleet.supervisor_socket.parent, ignore_errors=True)
