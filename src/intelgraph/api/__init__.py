"""The door: HTTP in, one decision and one statement, HTTP out.

``app`` puts a worker together, ``door`` is the one way in (token, tenant, placement, residency, role), ``routes`` the
table of what is served. Every refusal is a problem document made from the ``Denied`` value of whoever refused. It
decides nothing about epochs, cuts or acceptance: the log's functions do, and it hands on what they say.
"""
