#!/bin/sh
# Every pipeline that comes with the program is valid, and its table names it.
set -u
cd "$(dirname "$0")/.." || exit 1
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nashost-test-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
sed "s#build/plugins#$NASHOST_PLUGIN_DIR#" plugins.json >"$scratch/plugins.json"
ln -s "$PWD/spaces" "$PWD/plugins" "$scratch/"
export NASHOST_HOME="$scratch"
unset NASHOST_PLUGINS
failed=0

check() { # what, and a command that must succeed
    what=$1
    shift
    if "$@" >"$scratch/out" 2>&1; then
        echo "ok - $what"
    else
        echo "not ok - $what"
        cat "$scratch/out"
        failed=1
    fi
}

for file in pipeline.json pipelines/*.json; do
    check "$file is valid" "$NASHOST" validate "$file"
done
for file in pipelines/*.json; do
    check "$file stands in the table" grep -qF "\`${file#pipelines/}\`" pipelines/README.md
done
for plugin in plugins/search/*.c; do
    id=$(basename "$plugin" .c)
    check "a pipeline searches with $id" grep -qF "\"search\": {\"plugin\": \"$id\"" pipelines/*.json
done
exit $failed
