#!/bin/sh
# scripts/pth-to-safetensors: PyTorch's checkpoints without PyTorch, and without running what they say.
set -eu
command -v python3 >/dev/null || {
    echo "skipped: there is no python3"
    exit 77
}
exec python3 tests/pth.py
