"""The graph's query language: a GraphQL document becomes one SQL statement that returns the answer's JSON.

``schema.graphql`` is what callers see. On the way in, in this order: ``limits`` (before anything is parsed or walked),
``document`` (parse, validate, choose the operation), ``selection`` (which fields, with which arguments), ``cost``, and
``compile`` (one statement with parameters). Nothing here talks to a database: an ``Engine`` runs what was compiled.
"""
