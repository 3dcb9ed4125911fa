#!/bin/sh
# Writes requirements/lock.txt anew: one list of exact versions for Python 3.10 to 3.13, with markers where they differ.
#
#   sh requirements/compile.sh [options of `uv pip compile`, such as --upgrade or --upgrade-package torch]
#
# Versions that the list has already stay unless an option says otherwise. Needs uv (`pip install uv`).
set -eu
cd "$(dirname "$0")/.."
# what tools/setup_env.sh builds mmcv-full with
build='setuptools<81
wheel
ninja
psutil
packaging'
constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT
# mmcv-full's setup.py imports pkg_resources; cityscapesscripts asks for typing, whose later versions no Python 3.5 and newer takes
printf '%s\n' 'setuptools<81' 'typing<3.10' > "$constraints"
echo "$build" | uv pip compile setup.py - --all-extras --universal --python-version 3.10 --constraints "$constraints" --build-constraints "$constraints" \
    --no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command 'sh requirements/compile.sh' \
    -o requirements/lock.txt "$@"
