"""Tests interrupt what they start, so that SIGINT must not be ignored, as it is in what a shell starts behind `&`."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
