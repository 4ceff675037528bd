"""The values every package speaks in, and the one error tree.

Frozen, keyword-only, validated when built. Imports nothing of ours, does no I/O, reads no clock.
"""
