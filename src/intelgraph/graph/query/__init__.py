"""The graph's query language: a GraphQL document becomes a plan, which says what is asked for and names no engine.

``schema.graphql`` is what callers see. On the way in, in this order: ``limits`` (before anything is parsed or walked),
``document`` (parse, validate, choose the operation), ``selection`` (which fields, with which arguments), ``cost``, and
``plan_builder`` (questions as values, with what ``arguments`` takes from each request). ``planning`` keeps what was
made. Nothing here knows a database or an engine: an ``engines.protocol.Engine`` makes a statement of a plan.
"""
