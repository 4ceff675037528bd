"""The statements that IntelGraph compiles, sent by pgbench: what the database alone can do.

pgbench logs in as the door's role, so that row-level security applies, and gives every value as a parameter of a
prepared statement, as the door does.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from bench.figures import Sample
from bench.paths import pgbench_sample, run_program
from bench.read_data import TENANT
from bench.read_queries import Dialect, Query
from bench.read_site import CONNECTIONS, PLACEMENT, Site
from intelgraph.fleet.layout.binaries import postgres_programs
from intelgraph.graph.engines.postgres.engine import PostgresEngine
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema

_GRACE_S = 60.0
_PARAMETER = re.compile(r"\$([0-9]+)::")


def script(query: Query) -> tuple[str, dict[str, str]]:
    """The pgbench script of a query, and the variables that it expects."""
    planner = Planner(schema=load_schema())
    asked = query.variables(0)
    prepared = planner.prepare(planner.document(query.documents[Dialect.INTELGRAPH], None), asked)
    assert prepared.plan is not None
    (drawn,) = asked.values()
    given = {"tenant": TENANT, "placement": PLACEMENT}
    texts = {1: ":tenant", 2: ":placement", 3: "null"}
    for number, value in enumerate(prepared.values, start=4):
        if value == drawn:
            texts[number] = query.parameter
        else:
            texts[number] = f":p{number}"
            given[f"p{number}"] = str(value)
    statement = _PARAMETER.sub(
        lambda found: f"{texts[int(found[1])]}::", PostgresEngine().statement(prepared.plan).text
    )
    return f"{query.pgbench}\n{statement};\n", given


async def pgbench(site: Site, query: Query, seconds: float) -> Sample:
    """Run a query's statement for some seconds."""
    login = site.postgres.login("ig_api")
    text, given = script(query)
    with tempfile.TemporaryDirectory(prefix="ig-pgbench-") as directory:
        path = Path(directory) / "query.sql"
        path.write_text(text, encoding="utf-8")
        bound = ["taskset", "-c", str(site.pins.server)] if site.pins.server is not None else []
        said = await run_program(
            [
                *(*bound, str(postgres_programs() / "pgbench"), "--no-vacuum", "-M", "prepared", "-f", str(path)),
                *("-c", str(CONNECTIONS), "-j", "1", "-T", str(max(1, round(seconds)))),
                *(part for name, value in given.items() for part in ("-D", f"{name}={value}")),
                *("-h", login.host, "-p", str(login.port), "-U", login.user, login.database),
            ],
            wait_s=seconds + _GRACE_S,
            environment={"PGPASSWORD": login.password},
        )
    return pgbench_sample(said)
