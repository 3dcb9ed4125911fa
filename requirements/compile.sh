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
cat > "$constraints" <<'END'
# the last torch whose wheels have kernels for V100 (sm_70) as well as for the newest GPUs; see tests/test_requirements.py
torch==2.10.0
torchvision==0.25.0
# mmcv-full's setup.py imports pkg_resources
setuptools<81
# cityscapesscripts asks for it, and Python 3.5 and newer take none of its later versions
typing<3.10
END
echo "$build" | uv pip compile setup.py - --all-extras --universal --python-version 3.10 --constraints "$constraints" --build-constraints "$constraints" \
    --no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command 'sh requirements/compile.sh' \
    -o requirements/lock.txt "$@"
