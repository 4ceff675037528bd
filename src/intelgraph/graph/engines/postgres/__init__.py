"""The engine that answers from PostgreSQL: a plan becomes one SQL statement that returns the answer's JSON.

``nodes`` is SQL as values and ``render`` the only module that writes text; ``builder`` has what the parts of one
statement share. A module for each kind of question builds its part, ``statement`` puts the parts together, and
``engine`` is the way in. Nothing here talks to a database.
"""
