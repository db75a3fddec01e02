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
"$NASHOST" validate pipeline.json --set 'platforms.0.hardware={"plugin": "roofline", "options": {"profile": "phone-lttle"}}' \
    >"$scratch/said" 2>&1
code=$?
check "a profile that there is none of is told before anything runs" [ $code = 2 ]
check "with the nearest" grep -qF 'phone-lttle: there is no such profile; did you mean "phone-little"?' "$scratch/said"
for file in pipelines/*.json; do
    check "$file stands in the table" grep -qF "\`${file#pipelines/}\`" pipelines/README.md
done
for plugin in plugins/search/*; do
    id=$(basename "$plugin" .c)
    check "a pipeline searches with $id" grep -qF "\"search\": {\"plugin\": \"$id\"" pipelines/*.json
done
# How it trains, all of it or with the name of a key that counts.
training() { # pipeline, key
    "$NASHOST" validate "$1" --json | awk -v key="$2" '
        /^  "/ { on = /^  "(augment|train)"/ }
        on && index($0, key)'
}
training pipeline.json "" >"$scratch/wanted"
check "pipeline.json says how it trains" [ "$(wc -l <"$scratch/wanted")" -gt 10 ]
for file in pipelines/search-*.json; do
    training "$file" "" >"$scratch/found"
    check "$file trains as pipeline.json does" diff "$scratch/wanted" "$scratch/found"
done
for key in '"lr"' strong_magnitude; do
    training pipeline.json "$key" >"$scratch/wanted"
    # Those that start from a pretrained network learn at another rate.
    for file in $(grep -l fashion-mnist pipelines/*.json | grep -v /cloud-); do
        training "$file" "$key" >"$scratch/found"
        check "$file has the $key of pipeline.json" diff "$scratch/wanted" "$scratch/found"
    done
done
exit $failed
