"""Engines that answer planned questions. Each is a package of its own; ``protocol`` says what an engine must provide.

Engines know the query language's plans; the query language knows no engine.
"""
