# Sourced by ./quickstart and ./check: makes .venv, or brings it up to date, and leaves it alone
# where nothing that it depends on has changed.  Usage: prepare_venv NAME PIP_ARGUMENT...

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.11 python3.12 python3.13 python; do
        if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer is needed (set PYTHON=... to name one)." >&2
    return 1
}

prepare_venv() {
    local stamp=".venv/.$1" wanted python
    shift
    wanted=$(cat pyproject.toml setup.py constraints.txt tools/venv.sh | cksum)
    if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c '' 2>/dev/null; then
        python=$(find_python)
        echo "Making .venv with $("$python" --version) ..."
        rm -rf .venv
        "$python" -m venv .venv
    fi
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        local step
        for step in "$@"; do
            echo "Installing: $step"
            # shellcheck disable=SC2086  # one string holds several arguments on purpose
            .venv/bin/python -m pip install --quiet --disable-pip-version-check \
                --constraint constraints.txt $step
        done
        echo "$wanted" >"$stamp"
    fi
}
