"""Compile src/shoal/chain/contracts/*.vy to *.json; `tools/compile-contracts` runs it.

The JSON files hold ABI, bytecode, and what they were made of and with. They are shipped, so that
running Shoal never compiles. --check compares instead of writing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Final

import vyper

COMPILER: Final = "0.4.3"
FOLDER: Final = Path(__file__).parents[1] / "src" / "shoal" / "chain" / "contracts"


def compiled(source: Path) -> str:
    """Return the JSON text for one contract."""
    text = source.read_text("utf-8")
    made = vyper.compile_code(
        text, output_formats=["abi", "bytecode", "bytecode_runtime", "method_identifiers"]
    )
    content = {
        "contract": source.stem,
        "compiler": f"vyper {vyper.__version__.partition('+')[0]}",
        "source_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "abi": made["abi"],
        "methods": made["method_identifiers"],
        "bytecode": made["bytecode"],
        "runtime": made["bytecode_runtime"],
    }
    return json.dumps(content, indent=1) + "\n"


def main() -> int:
    """Compile all, or compare all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with what is there")
    arguments = parser.parse_args()
    found = vyper.__version__.partition("+")[0]
    if found != COMPILER:
        print(f"compile-contracts needs vyper {COMPILER}, not {found}", file=sys.stderr)
        return 2
    status = 0
    for source in sorted(FOLDER.glob("*.vy")):
        target, text = source.with_suffix(".json"), compiled(source)
        if not arguments.check:
            target.write_text(text, "utf-8")
            print(f"{target.name}: {len(json.loads(text)['runtime']) // 2 - 1} bytes of code")
        elif not target.exists() or target.read_text("utf-8") != text:
            print(f"{target.name} is not what {source.name} compiles to", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
