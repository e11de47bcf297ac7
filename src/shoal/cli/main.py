"""`shoal`: the root of all commands."""

from __future__ import annotations

from typing import Final

import click

from shoal.cli.lazy import LazyGroup, Source

BEGIN: Final = "Begin here"
PEOPLE: Final = "People and conversations"
MACHINE: Final = "This machine"
SERVING: Final = "Nodes and networks"
_HELP = """Serverless peer-to-peer communication: a node, a library, a simulator.

Speaks the protocols of Jami and OpenDHT: their users and nodes, and yours, reach each other. `shoal
up` is where to begin; `shoal lab` shows it all without an account and without the Internet.

\b
Exit status of every command:
  0    done
  1    nothing found, or it failed
  2    wrong usage
  3    not connected: no node of the network answered, or no device
  4    refused: by the network, by the other side, or for a wrong password
  5    cannot start: a port or a home is taken, a file cannot be read
  130  interrupted (Ctrl-C)
  143  terminated
"""


@click.group(
    cls=LazyGroup,
    sources={
        "up": Source("shoal.cli.up:up", "Run your node, and open its page.", "web", BEGIN),
        "chat": Source("shoal.cli.chat.command:chat", "Talk in the terminal.", "", BEGIN),
        "lab": Source(
            "shoal.cli.lab:lab", "Try it: a whole private network on this machine.", "", BEGIN
        ),
        "account": Source(
            "shoal.cli.account:account", "Accounts, their backups and devices.", "", PEOPLE
        ),
        "contact": Source("shoal.cli.contact:contact", "Ask, accept, decline, block.", "", PEOPLE),
        "name": Source("shoal.cli.name:name", "Register and look up names.", "names", PEOPLE),
        "conversation": Source(
            "shoal.cli.conversation:conversation", "Begin, invite, read, leave.", "", PEOPLE
        ),
        "send": Source("shoal.cli.conversation:send", "Say something.", "", PEOPLE),
        "file": Source("shoal.cli.file:file", "Fetch, pause, resume, cancel files.", "", PEOPLE),
        "status": Source(
            "shoal.cli.status:status", "Accounts, DHT, and ways to peers.", "", MACHINE
        ),
        "doctor": Source(
            "shoal.cli.doctor.command:doctor",
            "See whether this machine reaches others.",
            "",
            MACHINE,
        ),
        "connect": Source(
            "shoal.cli.connect:connect", "Reach a device, and show how.", "", MACHINE
        ),
        "config": Source("shoal.cli.config:config", "Show, edit and check settings.", "", MACHINE),
        "backup": Source("shoal.cli.backup:backup", "All of a home in one file.", "", MACHINE),
        "token": Source("shoal.cli.token:token", "Tokens for the HTTP API.", "", MACHINE),
        "completion": Source(
            "shoal.cli.completion:completion", "Let a shell complete commands.", "", MACHINE
        ),
        "node": Source(
            "shoal.cli.running:node", "Run the node that holds your accounts.", "", SERVING
        ),
        "dht": Source(
            "shoal.cli.dht:dht", "Run a DHT node; put, get, listen, query, scan.", "", SERVING
        ),
        "names": Source("shoal.cli.name_server:names", "Serve names.", "names", SERVING),
        "chain": Source("shoal.cli.chain:chain", "A chain for names.", "chain", SERVING),
        "sim": Source("shoal.cli.sim:sim", "Whole networks in virtual time.", "sim", SERVING),
    },
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
)
@click.version_option(package_name="shoal", prog_name="shoal")
def main() -> None:
    """Do nothing by itself: the help is `_HELP`, whose layout marks would spoil a docstring."""
