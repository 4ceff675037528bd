"""The log as a model in plain Python: what every region may conclude from rows, written to be obviously right.

`tests/changelog` holds it against the real SQL; the simulator runs on it. Nothing of the product decides by it.
"""
