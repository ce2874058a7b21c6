# Sourced by the other scripts. `venv [EXTRA [FOLDER]]` makes .venv (or FOLDER) in the repository with this package and
# the extra's dependencies in it, and sets $python. It is quick when nothing changed. With $lowest, the folder has
# "-lowest" at its end, and the dependencies their lowest versions.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

# Only a root that is a throw-away CI machine may install system packages; anybody else is told the command.
may_apt() { [ "${CI:-}" = 1 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
apt_install() {
    (
        flock 9  # scripts/check installs two things at once, and apt refuses that
        apt-get update -qq >/dev/null &&
            DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
    ) 9<"$root/scripts/_venv.sh"
}

# Run a command, `logged PROBLEM COMMAND...`; where it fails, one line says so, and which file has what it said.
logged() {
    problem=$1 log=$root/$folder.log
    shift
    "$@" >"$log" 2>&1 && rm -f "$log" && return
    [ "${CI:-}" != 1 ] || cat "$log" >&2
    fail "$problem (it said why in $log)"
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# Print the first Python that is new enough; one that can make a venv comes before one that cannot yet.
find_python() {
    without_venv=
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    elif [ -n "${lowest:-}" ]; then
        set -- python3.11 python3.12 python3.13 python3.14 python3
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

# Print every Python that is new enough and can make a venv, one of each minor version.
every_python() {
    for version in 3.11 3.12 3.13 3.14; do
        for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python "/usr/bin/python$version"; do
            if [ "$(version_of "$candidate")" = "$version" ] && has_venv "$candidate"; then
                echo "$candidate"
                break
            fi
        done
    done
}
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# Print, as constraints for pip, the version at which each range in pyproject.toml begins.
lowest_versions() {
    "$python" - "$root/pyproject.toml" <<'END'
import re, sys, tomllib

project = tomllib.load(open(sys.argv[1], "rb"))["project"]
for needed in sum(project["optional-dependencies"].values(), project["dependencies"]):
    if found := re.fullmatch(r"([\w.-]+)>=([\w.]+)", needed):
        print(f"{found[1]}=={found[2]}")
END
}

make_venv() {
    base=$(find_python)
    if [ -z "$base" ]; then
        found=$("${PYTHON:-python3}" --version 2>&1) || found="no ${PYTHON:-python3}"
        fail "Python 3.11 or newer is needed (found: $found): install one, or name it: PYTHON=/path/to/python3.12 $0"
    fi
    if ! has_venv "$base"; then
        case $(basename -- "$base") in
            python3*) package=$(basename -- "$base")-venv ;;
            *) package=python3-venv ;;
        esac
        if may_apt; then
            apt_install "$package" || fail "apt could not install $package"
        else
            fail "$base cannot make virtual environments: sudo apt install $package, and run $0 again"
        fi
    fi
    say "Making $folder with $("$base" --version) ..."
    logged "could not make $root/$folder" "$base" -m venv --clear "$root/$folder"
}

venv() {
    extra=${1:-}
    folder=${2:-.venv}${lowest:+-lowest}
    python=$root/$folder/bin/python
    # A .venv of another Python, or one whose making was interrupted, is made anew.
    { new_enough "$python" && "$python" -m pip --version >/dev/null 2>&1; } || make_venv

    # The path is part of the stamp: an editable install points at it, and a repository may be moved.
    stamp=$root/$folder/installed${extra:+-$extra}
    wanted="$(cksum <"$root/pyproject.toml") $root"
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return

    say "Installing the package${extra:+ and what \"$extra\" needs} into $folder ..."
    set --
    if [ -n "${lowest:-}" ]; then
        lowest_versions >"$root/$folder/lowest.txt" || fail "could not read the versions in $root/pyproject.toml"
        set -- --constraint "$root/$folder/lowest.txt"
    fi
    logged "could not install, which needs the network once: connect, and run $0 again" \
        "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-compile "$@" --editable "$root${extra:+[$extra]}"
    printf '%s\n' "$wanted" >"$stamp"
}
