#!/bin/sh
# One allocation, or one call that reads or writes, fails, or the process is killed there: a run either
# ends badly (and says so, unless it was killed), and the same command then ends as if nothing had
# been; or it ends well, and every file is as it should be. FAULT_TRIES of each kind (24), spread
# evenly over the calls of a small run; "all" tries each.
set -u
. tests/lib/small-run
faults=$(dirname "$NASHOST")/tests/lib/faults.so
[ -f "$faults" ] || { echo "not ok - $faults is not built"; exit 1; }
# Sanitizers replace malloc themselves.
if ldd "$NASHOST" | grep -qE 'libasan|libtsan' || nm "$NASHOST" 2>/dev/null | grep -q __tsan_init; then
    echo "skipped: a sanitizer's program"
    exit 77
fi
out=$dir/out
run() { # the result is in $out; more words go to env
    # Counts of a coverage build go elsewhere: a call that fails may be the one that writes them.
    env GCOV_PREFIX="$dir/gcov" "$@" "$NASHOST" run "$dir/p.json" --out "$out" --threads 1 --quiet --set train.steps=5 \
        --set train.log_every=2 --set train.checkpoint_every=3 \
        --set search.evaluations=4 --set 'export=[{"plugin":"safetensors"},{"plugin":"onnx"},{"plugin":"ncnn"},{"plugin":"c"}]' \
        >"$dir/stdout" 2>"$dir/stderr"
}
# Every file with its content, but for times.
content() {
    (cd "$1" && find . ! -type d | LC_ALL=C sort | while read -r file; do
        echo "== $file"
        case $file in *tfevents*) wc -c <"$file"; continue ;; esac # each event has a time in it
        sed -E 's/"(seconds|images_per_s)": ?[0-9.e+-]+//g; s/"date": ?"[^"]*"//' "$file" | cksum
    done)
}
run FAULT_AT=0 || { echo "not ok - the undisturbed run"; cat "$dir/stderr"; exit 1; }
content "$out" >"$dir/reference"
for kind in ${FAULT_KINDS:-malloc io kill}; do
    rm -rf "$out"
    run LD_PRELOAD="$faults" FAULT_KIND=$kind FAULT_COUNT="$dir/count"
    total=$(cat "$dir/count") tries=${FAULT_TRIES:-24} survived=0 refused=0 bad=0 at=1 tried=0
    [ "$tries" = all ] && tries=$total
    step=$((total / tries))
    [ $step -gt 0 ] || step=1
    while [ "$at" -le "$total" ]; do
        rm -rf "$out"
        run LD_PRELOAD="$faults" FAULT_KIND=$kind FAULT_AT="$at"
        code=$? why=
        if [ $kind = kill ] && [ $code = 137 ]; then
            refused=$((refused + 1))
            run FAULT_AT=0 || why="the same command then failed: $(cat "$dir/stderr")"
        elif [ $code -gt 125 ]; then
            why="ended with $code"
        elif [ $code != 0 ] && ! [ -s "$dir/stderr" ]; then
            why="failed without a word"
        elif [ $code != 0 ]; then
            refused=$((refused + 1))
            run FAULT_AT=0 || why="the same command then failed: $(cat "$dir/stderr")"
        fi
        [ -n "$why" ] || content "$out" 2>/dev/null | cmp -s - "$dir/reference" ||
            why="other files after exit $code: $(content "$out" | diff "$dir/reference" - | grep -B1 '^[<>] [0-9]' | head -4 | tr '\n' ' ')"
        tried=$((tried + 1))
        if [ -z "$why" ]; then survived=$((survived + 1)); else
            bad=$((bad + 1)); echo "$kind $at of $total: $why"; fi
        at=$((at + step))
    done
    check "$kind: $survived of $tried survived ($refused ended there)" [ $bad = 0 ]
done
exit "$failed"
