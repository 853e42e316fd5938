#!/usr/bin/env bash
# Builds the images twinscore-fastapi and twinscore-bento: build.sh [fastapi|bento ...]. No argument: both.
#
#   REPOSITORY  what stands before the names, such as registry.example.com/fraud/ (default: nothing)
#   VERSION     the tag beside `latest` (default: the version of the project)
#   BASE        the base image, by digest where builds must repeat (default: python:3.11-slim)
#   NETWORK     the network of the build's steps (default: the engine's)
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/.venv/bin
repository=${REPOSITORY:-}
version=${VERSION:-$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' shared/__init__.py)}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
variants=("$@")
[ "$#" -gt 0 ] || variants=(fastapi bento)

options=("build-arg=VERSION=$version" "build-arg=REVISION=$revision" ${BASE:+"build-arg=BASE=$BASE"} ${NETWORK:+"network=$NETWORK"})

fastapi() {
  local name=${repository}twinscore-fastapi
  DOCKER_BUILDKIT=1 docker build "${options[@]/#/--}" -t "$name:$version" -t "$name:latest" -f Dockerfile.fastapi .
}

bento() {
  local name=${repository}twinscore-bento tag
  # A setting that names another model would leave the Bento without one.
  unset TWINSCORE_MODEL
  "$bin/twinscore" models store
  tag=$("$bin/bentoml" build --output tag | sed -n 's/^__tag__://p')
  # BentoML takes a template from below the working directory only, and unpacks the Bento into the temporary folder.
  cd "${TMPDIR:-/tmp}"
  "$bin/bentoml" containerize "$tag" "${options[@]/#/--opt=}" -t "$name:$version" -t "$name:latest"
}

for variant in "${variants[@]}"; do
  case $variant in
    fastapi | bento) "$variant" ;;
    *) echo "build.sh: no variant $variant: use fastapi or bento" >&2; exit 2 ;;
  esac
done
