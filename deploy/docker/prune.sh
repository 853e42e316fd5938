#!/bin/sh
# Takes out of an environment what serving never loads: `prune.sh SITE_PACKAGES`.
#
# A release that moves something shows at once: the image loads the model with every backend while it is built.
set -eu
cd "$1"

# The libraries' own tests, type stubs and headers. numpy.testing stays: SciPy imports it.
find . -type d \( -name tests -o -name include \) -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.a' -o -name '*.pyx' -o -name '*.pxd' \) -delete

# ONNX Runtime: tools for making models, and its C library, which the Python extension does not link.
if [ -d onnxruntime ]; then
  rm -rf onnxruntime/transformers onnxruntime/quantization onnxruntime/tools onnxruntime/datasets onnxruntime/backend
  rm -f onnxruntime/capi/libonnxruntime.so*
fi

# SciPy: XGBoost imports scipy.sparse and scipy.special, to recognise input that these services never send it.
if [ -d scipy ]; then
  find scipy -mindepth 1 -maxdepth 1 -type d ! -name _lib ! -name sparse ! -name special ! -name __pycache__ \
    -exec rm -rf {} +
fi
