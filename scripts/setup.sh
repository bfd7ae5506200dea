#!/bin/sh
# Makes .venv and installs Palimpsest into it, with pinned versions.
#
#   sh scripts/setup.sh                to use the program
#   sh scripts/setup.sh desktop        with the window
#   sh scripts/setup.sh dev,desktop,train      to work on it and to train models
#
# The first run compiles llama.cpp: about eight minutes on two cores. A later run does nothing unless pyproject.toml or
# constraints.txt changed. PYTHON names another interpreter; CMAKE_ARGS goes to llama.cpp's build (for a GPU), which is
# then compiled anew and stays so.
set -eu
cd "$(dirname "$0")/.."
extras=${1:-}

fail() {
    echo "setup: $1" >&2
    exit 1
}

# apt_install PACKAGE...: quiet, and only where this user may.
apt_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    echo "setup: installing $*"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

QT_LIBRARIES="libegl1 libgl1 libglib2.0-0 libdbus-1-3 libfontconfig1 libxkbcommon0 libxkbcommon-x11-0 libxcb-cursor0
libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 fonts-dejavu-core"

# qt_loads: whether Qt finds the libraries that a window on X11 needs.
qt_loads() {
    .venv/bin/python - <<'END' 2>/dev/null
import ctypes
import pathlib

import PySide6.QtPdf
import PySide6.QtSvg
import PySide6.QtWidgets

ctypes.CDLL(str(pathlib.Path(PySide6.__file__).parent / "Qt/plugins/platforms/libqxcb.so"))
END
}

find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

# compiler_flags: what the C++ compiler needs, beside the user's own flags, to make a llama.cpp that works.
#
# Without its kernels for AMX: GCC 12 drops most of the tile configuration that they write, and where another library
# of the process (torch) uses the tiles they are left without one. Either ends in an illegal instruction (docs/log.md).
compiler_flags() {
    amx="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
    # shellcheck disable=SC2086
    if echo 'int x;' | "${CXX:-c++}" -x c++ -Werror $amx -c -o /dev/null - 2>/dev/null; then
        echo "$amx"
    fi
}

python=$(find_python)
[ -n "$python" ] || fail "Python 3.11 or newer is needed; install it, or name it: PYTHON=/path/to/python sh scripts/setup.sh"

stamp=.venv/.setup-$(echo "$extras" | tr -c 'a-z\n' '-')
state=$("$python" - "$extras" <<'END'
import hashlib
import pathlib
import sys

digest = hashlib.sha256(f"{sys.version}\n{sys.argv[1]}\n{pathlib.Path.cwd()}".encode())
for name in ("pyproject.toml", "constraints.txt"):
    digest.update(pathlib.Path(name).read_bytes())
print(digest.hexdigest())
END
)
built=.venv/.llama-cpp-build # how llama.cpp was compiled: CMAKE_ARGS, then flags of the compiler
if [ -x .venv/bin/palimpsest ] && [ "$(cat "$stamp" 2>/dev/null)" = "$state" ] && [ -f "$built" ] &&
    [ "${CMAKE_ARGS:-$(sed -n 1p "$built")}" = "$(sed -n 1p "$built")" ]; then
    exit 0
fi

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install python3-venv || fail "Python's venv module is missing; install the package python3-venv and run this again."
        "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "Python's venv module is missing for $python."
    fi
    "$python" -m venv --clear .venv
fi

is_installed() { .venv/bin/python -c 'import importlib.metadata as m; m.version("llama-cpp-python")' 2>/dev/null; }
if ! is_installed; then
    if ! command -v "${CC:-cc}" >/dev/null || ! command -v "${CXX:-c++}" >/dev/null; then
        apt_install gcc g++ libc6-dev || fail "A C and a C++ compiler are needed to build llama.cpp; install gcc and g++ and run this again."
    fi
    echo "setup: llama.cpp may have to be compiled; that takes about eight minutes on two cores"
fi

CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)}
CMAKE_ARGS=${CMAKE_ARGS:-$(sed -n 1p "$built" 2>/dev/null || true)}
flags=$(compiler_flags)
CFLAGS="${CFLAGS:-} $flags"
CXXFLAGS="${CXXFLAGS:-} $flags"
export CMAKE_BUILD_PARALLEL_LEVEL CMAKE_ARGS CFLAGS CXXFLAGS
build=$(printf '%s\n%s' "$CMAKE_ARGS" "$flags")
pip_install() { .venv/bin/python -m pip install --disable-pip-version-check --quiet -c constraints.txt "$@"; }

if [ "$(cat "$built" 2>/dev/null)" != "$build" ] && { is_installed || [ -n "$CMAKE_ARGS" ]; }; then
    # pip keeps what it compiled by version alone, whatever the flags were.
    pip_install --force-reinstall --no-deps --no-cache-dir --no-binary llama-cpp-python llama-cpp-python
fi
pip_install -e ".${extras:+[$extras]}"
echo "$build" >"$built"

# Qt's wheels leave the system's own libraries to the system.
case ",$extras," in *,desktop,*)
    if [ "$(uname)" = Linux ] && ! qt_loads; then
        # shellcheck disable=SC2086
        apt_install $QT_LIBRARIES || true
        qt_loads || fail "Qt misses libraries of the system; on Debian and Ubuntu: apt-get install $QT_LIBRARIES"
    fi ;;
esac
echo "$state" >"$stamp"
echo "setup: ready, .venv/bin/palimpsest --help"
