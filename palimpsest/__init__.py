"""The name under which Palimpsest is installed.

In a wheel this package holds `app`, `engine`, `trainer` and `resources`; in a checkout they are its neighbours. Only
`main` makes them importable, so importing this package has no side effect (docs/decisions/0002-wheel-layout.md).
"""

import sys
from pathlib import Path


def main() -> None:
    """Run the command line."""
    here = Path(__file__).resolve().parent
    root = here if (here / "engine").is_dir() else here.parent
    sys.path.insert(0, str(root))
    from app.cli import main as run

    run()
