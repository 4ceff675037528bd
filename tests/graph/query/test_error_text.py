"""What is wrong with a value that is written in a document: named by its argument, and placed where it stands."""

from __future__ import annotations

import pytest

from intelgraph.graph.query.document import QueryRefused, read_document
from intelgraph.graph.query.limits import QueryLimits
from intelgraph.graph.query.schema import load_schema

NODE = '{id:"x",type:"t",name:"n",properties:%s}'
UPSERT = "mutation{upsertEntities(entities:[%s]){status}}"
FILTER = "{entities(filter:{properties:%s}){items{id}}}"


def refused(text: str) -> tuple[str, str | None, str]:
    """The argument that is named, what is said of it, and the text at the place that is given."""
    with pytest.raises(QueryRefused) as caught:
        read_document(text, None, schema=load_schema(), limits=QueryLimits())
    error = caught.value.errors[0]
    assert error.locations is not None, error
    line, column = error.locations[0].line, error.locations[0].column
    argument = (error.extensions or {}).get("argument")
    assert argument is None or error.message.startswith(f"{argument} is refused: ")
    return str(argument), error.message, text.splitlines()[line - 1][column - 1 :]


@pytest.mark.parametrize(
    ("text", "argument", "at"),
    [
        (UPSERT % (NODE % "{k:1e64}"), "entities[0].properties.k", "{k:1e64}"),
        (UPSERT % (NODE % "{a:{b:[0,1e64]}}"), "entities[0].properties.a.b[1]", "{a:{b"),
        (UPSERT % f"{NODE % '{k:1}'},{NODE % '{k:[[1e64]]}'}", "entities[1].properties.k[0][0]", "{k:[["),
        (FILTER % "{k:FOO}", "filter.properties", "{k:FOO}"),
        (FILTER % "{a:{k:{l:1e64}}}", "filter.properties.a.k.l", "{a:{k"),
        (FILTER % "[1]", "filter.properties", "[1]"),
        (FILTER % "7", "filter.properties", "7"),
        ('{entity(id:"x",nope:{a:1}){id}}', None, "nope"),
    ],
)
def test_the_argument_is_named_and_placed(text: str, argument: str | None, at: str) -> None:
    found, message, place = refused(text)
    assert (found, place.startswith(at)) == (str(argument), True), (found, message, place)
