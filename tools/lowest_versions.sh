#!/usr/bin/env bash
# Install the lowest versions that pyproject.toml allows into .venv-lowest and run the
# tests there: a bound that is too low shows here. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .venv-lowest
.venv-lowest/bin/pip install -q --disable-pip-version-check 'uv>=0.5'
.venv-lowest/bin/uv pip install -q --python .venv-lowest/bin/python \
    --resolution lowest-direct -e '.[test]'
.venv-lowest/bin/python -m pytest -q \
    --ignore=tests/packaging -W default "$@"
