#!/bin/sh
# Creates the Python environment of Video K-Net; does nothing where it is already complete.
#
#   sh tools/setup_env.sh [prepare|tests]
#
# "prepare" adds what the scripts of datasets/ need for Cityscapes and Waymo, "tests" that and the packages of the test suite.
# Environment variables:
#   VENV    the environment's folder (default: .venv in the project)
#   PYTHON  the interpreter it is made with (default: that of an environment that is there already, else the first of python3.11,
#           3.12, 3.10, 3.13 and python3 that works)
# The versions are those of requirements/lock.txt. It can be interrupted and run again. The mmcv-full wheel is built once and
# kept in the user's cache.
set -eu
umask 022
cd "$(dirname "$0")/.."
extra=${1:-}
case "$extra" in ''|prepare|tests) ;; *) echo "usage: sh tools/setup_env.sh [prepare|tests]" >&2; exit 2 ;; esac
VENV=${VENV:-.venv}
# Whether $1 is an interpreter that the locked packages exist for and that can make an environment where there is none yet.
needed='venv, ensurepip'
[ ! -x "$VENV/bin/pip" ] || needed=sys
suits() { "$1" -c "import sys, $needed; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))" 2>/dev/null; }
if [ -z "${PYTHON:-}" ]; then
    for PYTHON in "$VENV/bin/python" python3.11 python3.12 python3.10 python3.13 python3; do suits "$PYTHON" && break; done
fi
suits "$PYTHON" || {
    echo "setup: '$PYTHON' is no Python 3.10 to 3.13 with the venv module (Debian, Ubuntu: apt-get install python3-venv)," \
        "which the locked packages need; name one: PYTHON=/path/to/python3.11 sh $0" >&2
    exit 1
}

lock=requirements/lock.txt
pin() { sed -n "s/^$1==\([^ ;]*\).*/\1/p" $lock; }
stamp="$VENV/video_knet_setup"
state="$("$PYTHON" -V) $(cat $lock requirements.txt setup.py tools/setup_env.sh tools/build_mmcv_wheel.py | cksum) root=$PWD"
there=$(cat "$stamp" 2>/dev/null || true)
case "$there" in
    "$state tests"|"$state $extra") exit 0 ;;
    "$state prepare") [ -n "$extra" ] || exit 0 ;;
esac

start=$(date +%s)
say() { echo "setup [$(($(date +%s) - start)) s]: $*"; }
say "Python environment in $VENV"
[ -x "$VENV/bin/pip" ] || "$PYTHON" -m venv "$VENV"
[ "$("$VENV/bin/python" -V)" = "$("$PYTHON" -V)" ] || {
    echo "setup: $VENV holds $("$VENV/bin/python" -V), $PYTHON is $("$PYTHON" -V); remove that folder, or name another one: VENV=folder sh $0" >&2
    exit 1
}
rm -f "$stamp"
python="$VENV/bin/python"
pip_install() { "$python" -m pip --disable-pip-version-check install -q "$@"; }

say "torch $(pin torch) and torchvision (about 2 minutes the first time, several GB with the CUDA libraries)"
pip_install -c $lock torch torchvision setuptools wheel ninja psutil packaging

tag=$("$python" -c 'import sys, platform, torch; print("cp%d%d-torch%s-%s" % (*sys.version_info[:2], torch.__version__, platform.machine()))')
wheels="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/video-knet/mmcv-full-$(pin mmcv-full)-$tag${FORCE_CUDA:+-cuda}"
# A wheel that others could have put there is not installed.
if [ -e "$wheels" ] && [ -n "$(find "$wheels/.." "$wheels" -maxdepth 1 \( ! -user "$(id -u)" -o ! -type l -perm -020 -o ! -type l -perm -002 \) | head -n 1)" ]; then
    say "other users can write to $wheels: the wheel goes to the environment instead"
    wheels="$VENV/wheels/${wheels##*/}"
fi
if ! ls "$wheels"/*.whl >/dev/null 2>&1; then
    command -v "${CXX:-c++}" >/dev/null || { echo "setup: a C++ compiler is needed to build mmcv-full (Debian: apt-get install g++)" >&2; exit 1; }
    say "building mmcv-full $(pin mmcv-full) (about 2 minutes on two cores, once; kept in $wheels)"
    PATH="$PWD/$VENV/bin:$VENV/bin:$PATH" "$python" tools/build_mmcv_wheel.py "$(pin mmcv-full)" "$wheels"
fi
say "the other packages"
# forced: a wheel of the same version may have been built against another torch
pip_install --force-reinstall --no-index --no-deps --find-links "$wheels" "mmcv-full==$(pin mmcv-full)"
pip_install -c $lock --no-build-isolation -e ".[mmcv${extra:+,$extra}]"
printf '%s' "$state $extra" > "$stamp"
say "done"
