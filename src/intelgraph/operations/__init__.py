"""Every use case of an operator, as a function: the command line, drills, the demo and an HTTP API call the same.

An operation takes an ``Operator`` (over which fleet, by whom, and who is told of the steps) and returns frozen values;
it raises a refusal, prints nothing, and knows no terminal. What changes something is recorded with its actor before it
is done (``record``); a plan that agents carry out holds the actor too (``plan_progress``). Words for people belong to
whoever shows the values. Each function is asynchronous, unless it says why not.
"""
