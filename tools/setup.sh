#!/bin/sh
# Creates .venv from requirements.txt, or updates it when requirements.txt changed. Called by make.
# PYTHON=/path/to/python3.12 make    takes that interpreter; otherwise the first of the list that is new enough is taken.
set -eu

VENV=.venv
OLD=""

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3.11 python3.12 python3.13 python3 python
    fi
    for candidate in "$@"; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
        OLD=$("$candidate" -c 'import platform; print(platform.python_version())' 2>/dev/null || true)
        [ -z "$OLD" ] || echo "$OLD" >&3
    done
}

if [ -e "$VENV" ] && [ ! -e "$VENV/.installed" ] && [ -e "$VENV/pyvenv.cfg" ]; then
    if ! new_enough "$VENV/bin/python" || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || [ -n "${PYTHON:-}" ]; then
        rm -rf "$VENV" # unfinished, and it cannot be finished, or another Python was asked for
    fi
fi
if [ -e "$VENV" ] && ! new_enough "$VENV/bin/python"; then
    echo "make: $VENV has no working Python 3.11 or newer, perhaps because the system's Python changed. Delete the folder $VENV and run make again" >&2
    exit 1
fi

if [ ! -x "$VENV/bin/python" ]; then
    SEEN=$(mktemp)
    FOUND=$(find_python 3>"$SEEN")
    OLD=$(head -n 1 "$SEEN")
    rm -f "$SEEN"
    if [ -z "$FOUND" ]; then
        if [ -n "$OLD" ]; then
            echo "make: this course needs Python 3.11 or newer, but only Python $OLD was found. Install a newer one, or name it: make PYTHON=/path/to/python3.11" >&2
        else
            echo "make: this course needs Python 3.11 or newer, but no Python was found${PYTHON:+ at $PYTHON}. Install it, or name it: make PYTHON=/path/to/python3.11" >&2
        fi
        exit 1
    fi
    if ! "$FOUND" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "make: $FOUND cannot create virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
    echo "Creating $VENV with $("$FOUND" --version)"
    "$FOUND" -m venv "$VENV"
fi

QUIET=""
[ -t 1 ] || QUIET="-q"
echo "Installing the packages of requirements.txt into $VENV (README says how much is downloaded)"
if ! "$VENV/bin/python" -m pip install $QUIET --disable-pip-version-check -r requirements.txt ||
    ! "$VENV/bin/python" -m pip install $QUIET --disable-pip-version-check --no-deps --no-build-isolation -e .; then
    echo "make: the packages could not be installed into $VENV, for the reason that pip gives above. Run make again; if it fails again, delete $VENV first, or name another Python: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
touch "$VENV/.installed"
