"""Bounds of one worker, each with a share for every tenant: bodies, unread answers, streams, the thread's turns."""
