# To be sourced: sets PYTHON to the interpreter of the active environment, else of the project's .venv.
if [ -z "${PYTHON:-}" ]; then
    if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "${VENV:-.venv}/bin/python" ]; then
        PYTHON="${VENV:-.venv}/bin/python"
    else
        PYTHON=python
    fi
fi
"$PYTHON" -c 'import knet, torch' 2>/dev/null || {
    echo "$0: $PYTHON has no torch or no knet; run 'sh tools/setup_env.sh' first, or name an interpreter: PYTHON=/path/to/python" >&2
    exit 1
}
