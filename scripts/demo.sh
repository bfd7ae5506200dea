#!/bin/sh
# Asks the bundled model one question about the bundled report of 121 pages; the answer stands on page 11.
set -eu
cd "$(dirname "$0")/.."
sh scripts/setup.sh
exec .venv/bin/palimpsest ask resources/samples/kestrelmouth-report.pdf \
    -q "What length of the North Mole was breached?" "$@"
