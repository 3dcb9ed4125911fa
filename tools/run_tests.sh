#!/bin/sh
# Set up the environment where that is not done yet, then check style and types and run the test suite.
#
#   sh tools/run_tests.sh [options of pytest]
set -eu
cd "$(dirname "$0")/.."
sh tools/setup_env.sh tests
VENV=${VENV:-.venv}
"$VENV/bin/python" -m ruff check .
"$VENV/bin/python" -m ruff format --check .
"$VENV/bin/python" -m mypy
"$VENV/bin/python" -m pytest "$@"
