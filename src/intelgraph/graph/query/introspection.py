"""What the schema says of itself. No statement answers it, so graphql-core does."""

from __future__ import annotations

from typing import Any

from graphql import DocumentNode, ExecutionResult, GraphQLSchema, OperationDefinitionNode, execute_sync
from graphql.language import FragmentDefinitionNode, SelectionSetNode

from intelgraph.graph.query.plan_builder import OUTSIDE
from intelgraph.graph.query.prepared import Prepared


def introspect(schema: GraphQLSchema, prepared: Prepared) -> dict[str, Any]:
    """Answer the fields ``__schema`` and ``__type`` of an operation, by their names in the answer."""
    nodes = tuple(root.node for root in prepared.selection.roots if root.name in OUTSIDE)
    operation = prepared.document.operation
    only = OperationDefinitionNode(
        operation=operation.operation,
        name=operation.name,
        variable_definitions=operation.variable_definitions,
        directives=(),
        selection_set=SelectionSetNode(selections=nodes),
    )
    fragments: list[FragmentDefinitionNode] = [kept.definition for kept in prepared.document.fragments.values()]
    document = DocumentNode(definitions=(only, *fragments))
    result = execute_sync(schema, document, variable_values=dict(prepared.given))
    assert isinstance(result, ExecutionResult)
    return dict(result.data or {})
