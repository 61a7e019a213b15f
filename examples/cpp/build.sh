#!/usr/bin/env bash
# Compiles sample.cc against the TensorFlow package of a Python environment: its library and headers; Linux only.
#
#     bash examples/cpp/build.sh sample
set -euo pipefail
tensorflow=$("${PYTHON:-python}" -c 'import importlib.util as u; print(u.find_spec("tensorflow").submodule_search_locations[0])')
"${CXX:-c++}" -std=c++17 -O1 -Wall -Wextra -isystem "$tensorflow/include" "$(dirname "$0")/sample.cc" -o "$1" \
    -L "$tensorflow" -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 "-Wl,-rpath,$tensorflow"
