#!/bin/sh
# Exports on real engines, a few subnets and images; `make check-engines` has the long run.
# Arguments go to export_engines.py.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=$root/build/venv/bin/python
if [ ! -x "$python" ]; then
    echo "skipped: there is no build/venv with the engines (scripts/python-env makes it)"
    exit 77
fi
# What runs here is mostly others' code; test_deploy watches ours.
case $NASHOST in */build/nashost) ;; *)
    echo "skipped: only the plain build's exports are run"
    exit 77
    ;;
esac
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nashost-test-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
# The plugins of this build, and the shipped spaces.
sed "s#build/plugins#$NASHOST_PLUGIN_DIR#" "$root/plugins.json" >"$scratch/plugins.json"
ln -s "$root/spaces" "$scratch/spaces"
export NASHOST_HOME="$scratch"
unset NASHOST_PLUGINS
"$python" "$root/tests/export_engines.py" --subnets 2 --images 100 "$@"
