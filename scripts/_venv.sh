# Sourced by the other scripts. `venv [EXTRA]` makes .venv in the repository with this package and the extra's
# dependencies in it, and sets $python. It is quick when nothing changed.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# Only a root that is a throw-away CI machine may install system packages; anybody else is told the command.
may_apt() { [ "${CI:-}" = 1 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
apt_install() {
    apt-get update -qq >/dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# Print the first Python that is new enough; one that can make a venv comes before one that cannot yet.
find_python() {
    without_venv=
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3 python3.14 python3.13 python3.12 python3.11
    fi
    for candidate; do
        new_enough "$candidate" || continue
        if has_venv "$candidate"; then
            echo "$candidate"
            return
        fi
        : "${without_venv:=$candidate}"
    done
    echo "$without_venv"
}

make_venv() {
    base=$(find_python)
    if [ -z "$base" ]; then
        found=$("${PYTHON:-python3}" --version 2>&1) || found="no ${PYTHON:-python3}"
        fail "Python 3.11 or newer is needed (found: $found). Install one, or name it: PYTHON=/path/to/python3.12 $0"
    fi
    if ! has_venv "$base"; then
        case $(basename -- "$base") in
            python3*) package=$(basename -- "$base")-venv ;;
            *) package=python3-venv ;;
        esac
        if may_apt; then
            apt_install "$package" || fail "apt could not install $package"
        else
            fail "$base cannot make virtual environments. On Debian and Ubuntu this mends it:

    sudo apt install $package

Then run $0 again."
        fi
    fi
    say "Making .venv with $("$base" --version) ..."
    "$base" -m venv --clear "$root/.venv" || fail "could not make $root/.venv (see above)"
}

venv() {
    extra=${1:-}
    python=$root/.venv/bin/python
    # A .venv of another Python, or one whose making was interrupted, is made anew.
    { new_enough "$python" && "$python" -m pip --version >/dev/null 2>&1; } || make_venv

    # The path is part of the stamp: an editable install points at it, and a repository may be moved.
    stamp=$root/.venv/installed${extra:+-$extra}
    wanted="$(cksum <"$root/pyproject.toml") $root"
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return

    say "Installing the package${extra:+ and what \"$extra\" needs} into .venv ..."
    "$python" -m pip install --quiet --disable-pip-version-check --no-input \
        --editable "$root${extra:+[$extra]}" || fail "could not install (see above). This step needs the network once."
    printf '%s\n' "$wanted" >"$stamp"
}
