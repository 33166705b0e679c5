#!/usr/bin/env bash
# Builds llama-server from the llama.cpp tree inside llama-cpp-python's sdist: the same llama.cpp as the library's.
# Needs cmake, ninja and a C++ compiler. Usage: build_llama_server.sh FOLDER [JOBS]; the last line is its path.
set -euo pipefail
version=0.3.36
folder=$1
jobs=${2:-1}
mkdir -p "$folder"
cd "$folder"
[ -f "llama_cpp_python-$version.tar.gz" ] ||
  python3 -m pip download --no-binary :all: --no-deps --no-build-isolation "llama-cpp-python==$version"
[ -d llama.cpp ] || tar xzf "llama_cpp_python-$version.tar.gz" --strip-components=2 "llama_cpp_python-$version/vendor"
cmake -S llama.cpp -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=ON \
  -DGGML_OPENMP=ON -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF \
  -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
nice -n 15 ninja -C build -j "$jobs" llama-server
echo "$PWD/build/bin/llama-server"
