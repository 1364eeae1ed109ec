#!/usr/bin/env bash
# Format, lint, types and tests in one command: what a change must pass.
set -euo pipefail
cd "$(dirname "$0")/.."
ruff format --check .
ruff check .
mypy
pytest "$@"
