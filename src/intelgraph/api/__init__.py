"""The API of a region: HTTP in, one decision and one statement, HTTP out.

``services`` puts a worker together and gives each handler what it needs; ``admission`` is the one way in (token,
tenant, placement, residency, role); ``routes`` is the table of what is served; ``app`` turns what a handler returns or
raises into one answer. Every refusal is a problem document made from the ``Denied`` value of whoever refused. The API
decides nothing about epochs, cuts or acceptance: the log's functions do, and it hands on what they say.
"""
