"""Carrying plans out, whatever their kind: recording, moving on, giving up and resuming, written once.

What plans are and where they may go is pure and in ``intelgraph.plans``; what each action does is registered by the
package that knows how (``control.agent.controller.acting`` for placements).
"""
