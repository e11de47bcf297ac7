"""`shoal`: the root of all commands."""

from __future__ import annotations

import click

from shoal.cli.lazy import LazyGroup, Source

_HELP = """Serverless peer-to-peer communication: a node, a library, a simulator.

Speaks OpenDHT's protocol: nodes of both kinds form one network.

\b
Exit status of every command:
  0    done
  1    nothing found, or it failed
  2    wrong usage
  3    not connected: no node of the network answered
  4    refused: the network keeps another value, or ours is not acceptable
  5    cannot start: a port is taken, a file cannot be read
  130  interrupted (Ctrl-C)
  143  terminated
"""


@click.group(
    cls=LazyGroup,
    sources={
        "chain": Source("shoal.cli.chain:chain", "A chain for names.", extra="chain"),
        "dht": Source("shoal.cli.dht:dht", "Run a DHT node; put, get, listen, query, scan."),
        "name": Source("shoal.cli.name:name", "Register and look up names.", extra="names"),
        "names": Source("shoal.cli.name_server:names", "Serve names.", extra="names"),
        "sim": Source("shoal.cli.sim:sim", "Whole networks in virtual time.", extra="sim"),
    },
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
)
@click.version_option(package_name="shoal", prog_name="shoal")
def main() -> None:
    """Do nothing by itself: the help is `_HELP`, whose layout marks would spoil a docstring."""
