#!/usr/bin/env bash
# Makes bench/peers/.venv: PyTorch with MKL, transformers and PEFT, for the CPU benchmarks (Linux x86-64, Python >= 3.11, gcc).
#
# The package index carries PyTorch for Linux only as the CUDA build, whose GPU libraries take 4 GB. Its CPU kernels need
# none of them, but the loader wants the names resolved. So only PyTorch, the small CUDA runtime and its profiler are
# installed, and one stub library stands in for the others: every function returns 100 (no device); none is ever called.
set -euo pipefail
cd "$(dirname "$0")"

rm -rf .venv
"${PYTHON:-python3}" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r requirements.txt

cd "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch/lib"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# One line per symbol that PyTorch expects of an absent library: name, or name@version.
nm -D --undefined-only libtorch*.so libc10_cuda.so | awk '$1 == "U" { print $2 }' |
  grep -E '^(cu|nccl|nvrtc|nvshmem)' | grep -vE '^(cuda|cupti)' | sort -u >"$work/symbols"
awk -F@ '{ print "int " $1 "(void) { return 100; }" }' "$work/symbols" | sort -u >"$work/stub.c"
awk -F@ '$2 { names[$2] = names[$2] $1 ";" } END { for (v in names) print v " {" names[v] "};" }' "$work/symbols" >"$work/stub.map"
gcc -shared -fPIC "$work/stub.c" -Wl,--version-script="$work/stub.map" -o libcuda-absent.so
for name in $(ldd libtorch_python.so libtorch_cuda_linalg.so | awk '/not found/ { print $1 }' | sort -u); do
  ln -s libcuda-absent.so "$name"
done

cd - >/dev/null
gcc -shared -fPIC mkl-avx512.c -o .venv/mkl-avx512.so
.venv/bin/python -c 'import torch, transformers, peft; print("torch", torch.__version__, "transformers", transformers.__version__, "peft", peft.__version__, "MKL", torch.backends.mkl.is_available())'
