#!/bin/sh
# Real searches, with each strategy that is installed: nothing is judged twice, a search that was
# killed in the middle ends with the same bits when it is run again, and one that can find nothing
# ends, and says why.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nashost-test-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
sed "s#build/plugins#$NASHOST_PLUGIN_DIR#" "$root/plugins.json" >"$scratch/plugins.json"
export NASHOST_HOME="$scratch" OMP_NUM_THREADS=1
unset NASHOST_PLUGINS
cd "$scratch" || exit 1
failed=0

# A device whose latency is its number of layers, and which kills the search at a call's number.
cat >device.sh <<'EOF'
echo x >>calls
[ ! -f deadly ] || [ "$(wc -l <calls)" -lt "$(cat deadly)" ] || kill -9 $PPID
echo "{\"latency_ms\": $(grep -o '"op"' "$1" | wc -l)}"
EOF
cat >pipeline.json <<'EOF'
{
  "dataset": {"plugin": "synthetic", "options": {"classes": 4, "side": 8, "train": 200, "test": 20}},
  "split": {"labelled": 8, "heldout": 40},
  "space": {
    "name": "small", "resolution": 8,
    "stem": {"kernel": 3, "stride": 2, "width": 4, "activation": "relu"},
    "stages": [{"width": [4, 6], "stride": 1, "depth": [1, 2], "kernel": [3, 5], "expand": [1, 2],
                "activation": "relu"}],
    "head": {"width": 8, "activation": "relu"}
  },
  "train": {"steps": 2, "batch": 4, "mu": 1, "ssl": {"plugin": "fixmatch"}},
  "search": {"plugin": "random", "evaluations": 12, "batch": 4, "calibration_images": 8,
             "score": {"plugin": "agreement"}},
  "platforms": [{"name": "device", "constraints": {"latency_ms": 10},
    "hardware": {"plugin": "command", "options": {"command": ["sh", "device.sh", "{network}"]}}}],
  "export": [{"plugin": "safetensors"}]
}
EOF

check() { # what, and a command that must succeed
    what=$1
    shift
    if "$@"; then echo "ok - $what"; else echo "not ok - $what"; cat out; failed=1; fi
}
run() { # exit code, folder, further arguments
    code=$1 folder=$2
    shift 2
    : >calls
    "$NASHOST" run pipeline.json --quiet --out "$folder" "$@" >out 2>&1
    status=$?
    [ $status = "$code" ] || echo "exit code $status, not $code" >>out
    [ $status = "$code" ]
}
distinct() { # a search's file: as many scored subnets as were asked for, and the two extremes
    [ "$(grep -o '"genome": *{.*\]}' "$1" | sort | uniq -d | wc -l)" = 0 ] || return 1
    scored=$(grep -cv '"score": *null' "$1")
    [ "$scored" -ge 12 ] && [ "$scored" -le 14 ]
}
same() { # two run directories
    cmp "$1/search/device.jsonl" "$2/search/device.jsonl" >>out && cmp "$1/family.json" "$2/family.json" >>out
}

run 0 trained --until train || { cat out; exit 1; }
for id in $(cd "$root/plugins/search" && ls | sed 's#\.c$##'); do
    for copy in whole killed none; do cp -r trained "$copy"; done
    check "$id: a search" run 0 whole --set "search.plugin=$id"
    check "$id: judges nothing twice" distinct whole/search/device.jsonl
    calls=$(wc -l <calls)
    echo $((calls / 2)) >deadly
    check "$id: is killed in the middle" run 137 killed --set "search.plugin=$id"
    check "$id: leaves no answer then" test ! -e killed/family.json
    rm deadly
    check "$id: goes on" run 0 killed --set "search.plugin=$id"
    check "$id: to the same bits" same whole killed
    check "$id: ends where nothing fits" \
        run 3 none --set "search.plugin=$id" --set platforms.0.constraints.latency_ms=2
    check "$id: and says why" grep -q 'latency_ms is to be at most 2, the lowest found is [0-9]' out
    rm -r whole killed none
done
exit $failed
