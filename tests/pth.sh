#!/bin/sh
# scripts/pth-to-safetensors: PyTorch's checkpoints without PyTorch, and without running what they say.
set -eu
exec python3 tests/pth.py
