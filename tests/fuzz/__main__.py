"""`python -m tests.fuzz TARGET [libFuzzer options]`: mutate bytes until one is too much.

What was found lies in `artifacts/fuzz`; give it as an argument to replay it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["shoal"]):
    from tests.fuzz.targets import TARGETS

WORKPLACE: Final = Path("artifacts/fuzz")


def main() -> None:
    """Fuzz one target, beginning with its seeds and with what earlier runs found interesting."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz {'|'.join(TARGETS)} [libFuzzer options]")
    name = sys.argv.pop(1)
    target, seeds = TARGETS[name]
    corpus = WORKPLACE / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    if not any(Path(each).is_file() for each in sys.argv[1:]):
        sys.argv += [str(corpus), f"-artifact_prefix={WORKPLACE}/{name}-"]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


main()
