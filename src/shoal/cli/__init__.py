"""The command line: `shoal`. Commands parse, call one method of the library, and print."""

from shoal.cli.main import main

__all__ = ["main"]
