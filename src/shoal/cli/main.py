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
  3    not connected: no node of the network answered, or no device
  4    refused: by the network, by the other side, or for a wrong password
  5    cannot start: a port or a home is taken, a file cannot be read
  130  interrupted (Ctrl-C)
  143  terminated
"""


@click.group(
    cls=LazyGroup,
    sources={
        "account": Source("shoal.cli.account:account", "Accounts, their backups and devices."),
        "backup": Source("shoal.cli.backup:backup", "All of a home in one file."),
        "chain": Source("shoal.cli.chain:chain", "A chain for names.", extra="chain"),
        "chat": Source("shoal.cli.chat.command:chat", "Talk in the terminal."),
        "completion": Source("shoal.cli.completion:completion", "Let a shell complete commands."),
        "config": Source("shoal.cli.config:config", "Show, edit and check settings."),
        "connect": Source("shoal.cli.connect:connect", "Reach a device, and show how."),
        "contact": Source("shoal.cli.contact:contact", "Ask, accept, decline, block."),
        "conversation": Source(
            "shoal.cli.conversation:conversation", "Begin, invite, read, leave."
        ),
        "dht": Source("shoal.cli.dht:dht", "Run a DHT node; put, get, listen, query, scan."),
        "doctor": Source(
            "shoal.cli.doctor.command:doctor", "See whether this machine reaches others."
        ),
        "lab": Source("shoal.cli.lab:lab", "A whole private network on this machine."),
        "file": Source("shoal.cli.file:file", "Fetch, pause, resume, cancel files."),
        "name": Source("shoal.cli.name:name", "Register and look up names.", extra="names"),
        "names": Source("shoal.cli.name_server:names", "Serve names.", extra="names"),
        "node": Source("shoal.cli.running:node", "Run the node that holds your accounts."),
        "send": Source("shoal.cli.conversation:send", "Say something."),
        "sim": Source("shoal.cli.sim:sim", "Whole networks in virtual time.", extra="sim"),
        "status": Source("shoal.cli.status:status", "Accounts, DHT, and ways to peers."),
        "token": Source("shoal.cli.token:token", "Tokens for the HTTP API."),
        "up": Source("shoal.cli.up:up", "Run your node, and open its page.", extra="web"),
    },
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
)
@click.version_option(package_name="shoal", prog_name="shoal")
def main() -> None:
    """Do nothing by itself: the help is `_HELP`, whose layout marks would spoil a docstring."""
