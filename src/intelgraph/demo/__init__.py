"""``intelgraph demo``: the promises shown on a real fleet, with the commands a person would type and their real output.

``story`` holds the acts in order, ``stage`` runs commands and asks the doors, ``scan`` searches a region's files.
Everything it shows it has just done; an act that does not hold ends the demo with a failure.
"""
