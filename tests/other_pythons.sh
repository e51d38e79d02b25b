#!/usr/bin/env bash
# Runs the tests of tracing, naturalizing and the sandbox on every other Python that is installed: each has its own way
# to trace, and to start and end processes.
# Environments of their own, .venv/python3.12 and so on, hold what these tests need, not torch.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
    for found in "$(command -v "python$1" || true)" "$HOME"/.pyenv/versions/"$1"*/bin/"python$1"; do
        if [ -x "$found" ] && "$found" -c "" 2>/dev/null; then
            echo "$found"
            return
        fi
    done
}

for version in 3.11 3.12 3.13; do
    if .venv/bin/python -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')"; then
        continue # the main tests ran on it
    fi
    python="$(find_python "$version")"
    if [ -z "$python" ]; then
        echo "Python $version is not installed: tracing was not tested on it"
        continue
    fi
    home=".venv/python$version"
    if [ ! -e "$home/ready" ]; then
        "$python" -m venv "$home"
        "$home/bin/pip" install --quiet --constraint constraints.txt pytest hypothesis numpy pandas tqdm
        touch "$home/ready"
    fi
    echo "Tracing, naturalizing and the sandbox on Python $version"
    "$home/bin/python" -m pytest -p no:cacheprovider tests/test_golden.py tests/test_naturalize.py tests/test_tracing.py \
        tests/test_tracing_bounds.py tests/test_tracing_truth.py tests/test_comparing.py tests/test_sandbox.py \
        tests/test_attacks.py
done
