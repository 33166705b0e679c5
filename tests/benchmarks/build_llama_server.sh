#!/usr/bin/env bash
# Builds llama-server from the sdist of the installed llama-cpp-python, and links it with the very llama.cpp libraries
# that Python loads: both sides of a comparison run the same machine code. Only the server's own sources are compiled.
# Needs cmake, ninja and a C++ compiler. Usage: build_llama_server.sh FOLDER [JOBS]; the last line is its path.
set -euo pipefail
folder=$1
jobs=${2:-1}
version=$(python3 -c 'from importlib.metadata import version; print(version("llama-cpp-python"))')
libraries=$(python3 -c 'from importlib.util import find_spec; print(find_spec("llama_cpp").submodule_search_locations[0])')/lib
mkdir -p "$folder"
cd "$folder"
[ -f "llama_cpp_python-$version.tar.gz" ] ||
  python3 -m pip download -q --no-deps --no-binary llama-cpp-python "llama-cpp-python==$version"
[ -d llama.cpp ] || tar xzf "llama_cpp_python-$version.tar.gz" --strip-components=2 "llama_cpp_python-$version/vendor"
cmake -S llama.cpp -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DLLAMA_OPENSSL=OFF \
  -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF \
  -DLLAMA_USE_PREBUILT_UI=OFF
# All objects of the server, less those of the libraries: src/ (llama), ggml/ and mtmd.
mapfile -t objects < <(ninja -C build -t commands llama-server | grep -o -- '-o [^ ]*\.o ' | cut -d' ' -f2 |
  grep -v '^src/\|^ggml/\|mtmd' | sort -u)
nice -n 15 ninja -C build -j "$jobs" "${objects[@]}"
cd build
mkdir -p bin
c++ -O3 "${objects[@]}" -o bin/llama-server -L"$libraries" -lmtmd -lllama -lggml -lggml-cpu -lggml-base \
  -Wl,-rpath,"$libraries" -fopenmp -lpthread -ldl -lm
echo "$PWD/bin/llama-server"
