"""`python -m bench NAME`: each name measures one thing beside a real peer, in one run."""

from __future__ import annotations

import click

from bench.connect.command import connect
from bench.dht.command import dht
from bench.dht_scale import dht_scale
from bench.names.command import names
from bench.paths.command import paths
from bench.start.command import start
from bench.swarm.command import swarm
from bench.transfer.command import files


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measure Shoal and a real peer side by side, interleaved, on this machine.

    Figures depend on the machine and on what else it does; no test depends on them.
    """


bench.add_command(connect)
bench.add_command(dht)
bench.add_command(dht_scale)
bench.add_command(files)
bench.add_command(names)
bench.add_command(paths)
bench.add_command(start)
bench.add_command(swarm)

if __name__ == "__main__":
    bench(prog_name="python -m bench")
