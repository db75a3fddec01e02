#!/bin/sh
# Exported .tflite files on LiteRT and LiteRT Micro, few of them; `make check-engines` has the long run.
# Arguments go to export_litert.py.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/build/venv/bin/python
if [ ! -x "$python" ]; then
    echo "skipped: there is no build/venv with the engines (scripts/python-env makes it)"
    exit 77
fi
# What runs here is mostly others' code; test_export_tflite watches ours.
case $NASHOST in */build/nashost) ;; *)
    echo "skipped: only the plain build's exports are run"
    exit 77
    ;;
esac
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nashost-test-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
sed "s#build/plugins#$NASHOST_PLUGIN_DIR#" "$root/plugins.json" >"$scratch/plugins.json"
ln -s "$root/spaces" "$scratch/spaces"
export NASHOST_HOME="$scratch"
unset NASHOST_PLUGINS
"$python" "$root/tests/export_litert.py" --subnets 1 --images 40 --steps 60 "$@"
