#!/usr/bin/env bash
# Writes the locks again: every version pinned with its hashes, for every platform, and no index addresses; one version
# of each package for every Python, so that what was tested on one is what another gets. Then `make sbom`.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
compile() {
  local out=$1
  shift
  "$uv" pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --no-header --no-annotate --fork-strategy fewest "$@" -o "requirements/$out" pyproject.toml ${UPGRADE:+--upgrade}
}
compile dev.txt --all-extras --group dev
compile fastapi.txt --extra fastapi --extra otlp -c requirements/dev.txt
compile bento.txt --extra bento --extra otlp -c requirements/dev.txt
# What the image's build trains the default model with.
compile train.txt --extra train -c requirements/dev.txt
# The benchmark's own environments: same versions of what they share with ours, and MLServer's apart, which wants older ones.
compile bench.txt --group bench -c requirements/dev.txt
compile bench-extra.txt --group bench-extra
