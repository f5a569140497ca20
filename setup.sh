#!/bin/sh
# Makes the virtual environment and installs what the project needs; called by make, once.
# Needs: Python 3.10-3.12. Installs missing system libraries with apt when it may, else says which ones to install.
set -eu

say() { printf '%s\n' "$*" >&2; }

[ -n "$PYTHON" ] || { say "setup: no Python found; install Python 3.10, 3.11 or 3.12"; exit 1; }
"$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' || {
    say "setup: $("$PYTHON" --version) cannot be used; install Python 3.10, 3.11 or 3.12, or: make PYTHON=/path/to/python3.11"
    exit 1
}

# What the drawing (EGL) and OpenCV (GL, GLib) load at run time, by the library's file and Debian's package.
missing=""
need() {
    "$PYTHON" -c "import ctypes; ctypes.CDLL('$1')" 2>/dev/null || missing="$missing $2"
}
need libEGL.so.1 libegl1
need libGL.so.1 libgl1
need libGLESv2.so.2 libgles2
need libglib-2.0.so.0 libglib2.0-0
software_gl() {
    for driver in /usr/lib/*/dri/swrast_dri.so /usr/lib/*/dri/libdril_dri.so /usr/lib/*/libgallium*.so /usr/lib64/dri/*.so; do
        [ -e "$driver" ] && return 0
    done
    return 1
}
software_gl || missing="$missing libgl1-mesa-dri"
command -v g++ >/dev/null 2>&1 || command -v c++ >/dev/null 2>&1 || missing="$missing g++"

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "setup: installing$missing"
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
    else
        say "setup: missing system packages; please run: sudo apt-get install$missing"
        exit 1
    fi
fi

[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV" || {
    say "setup: could not make $VENV; on Debian: sudo apt-get install python3-venv"
    exit 1
}
pip() { "$VENV/bin/python" -m pip --disable-pip-version-check "$@"; }

# torch first: with the CUDA libraries only where there is an NVIDIA GPU to use them.
if ! "$VENV/bin/python" -c 'import torch' 2>/dev/null; then
    say "setup: installing torch"
    if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then
        pip install -qq torch
    else
        pip install -qq torch==2.13.0
    fi
fi
say "setup: installing the Python packages"
pip install -qq --editable ".[render,smpl,eval,stream,view,c3d,usd,dev]"
"$VENV/bin/python" -c 'import torch, cv2, av, click' || { say "setup: the installed packages do not import"; exit 1; }
# TensorRT's Python signatures, 1 MB, without its libraries: a test compares our calls with them.
pip install -qq --no-deps "tensorrt_cu13_bindings>=10.14" 2>/dev/null || say "setup: without TensorRT's signatures: their test is skipped"
# MediaPipe's largest landmark network, 28 MB, which files are followed with where it is here.
if command -v npm >/dev/null 2>&1; then
    npm_config_fetch_retries=0 npm_config_fetch_timeout=60000 "$VENV/bin/python" run.py models get heavy >/dev/null 2>&1 ||
        say "setup: without the heavy landmark network; later: run.py models get heavy"
fi
say "setup: done"
