#!/bin/sh
# Every check of the project, the tests last. Arguments go to pytest.
set -u
cd "$(dirname "$0")/.."
sh scripts/setup.sh dev,desktop,train || exit
failed=""

check() {
    echo "== $*"
    ".venv/bin/$@" || failed="$failed [$*]"
}

check ruff check .
check ruff format --check .
check mypy
check lint-imports
check pytest --cov --cov-report=term:skip-covered "$@"

if [ -n "$failed" ]; then
    echo "failed:$failed"
    exit 1
fi
