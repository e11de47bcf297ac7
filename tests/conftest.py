"""What all tests share."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Where Shoal is installed, pytest finds the plugin by itself; here it may not be, and is named.
pytest_plugins = ("shoal.testing.plugin", "tests.measured")

# How long an example takes says more about the machine than about the code.
settings.register_profile("shoal", deadline=None)
settings.load_profile("shoal")

# Nobody's name server is asked but one of a test's own; here nobody answers.
os.environ["SHOAL_NAME_SERVER"] = "http://127.0.0.1:9"

# What runs in the background ignores Ctrl-C, and so would the programs that tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
