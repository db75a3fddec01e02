#!/bin/sh
# Checkpoints: two are kept, a damaged one is named and the other used, what another build or pipeline
# made is refused, and when they are written changes nothing.
set -u
. tests/lib/small-run
not() { ! "$@"; }
steps=300
parts=train.accumulate=2 # a step's images in two parts, which are no state of their own
run() { # directory, words...
    to=$dir/$1
    shift
    "$NASHOST" run "$dir/p.json" --out "$to" --threads 1 --until train --set train.steps=$steps $parts "$@" \
        >"$dir/stdout" 2>"$dir/stderr"
}
run whole --set train.checkpoint_every=0 --set train.checkpoint_seconds=0
check "no checkpoint is left after a training" [ ! -e "$dir/whole/checkpoint" ]
same() { cmp "$dir/$1/supernet.safetensors" "$dir/whole/supernet.safetensors"; }

# One by time, stopped in the midst by a kill.
"$NASHOST" run "$dir/p.json" --out "$dir/killed" --threads 1 --until train --quiet \
    --set train.steps=$steps $parts --set train.checkpoint_every=0 --set train.checkpoint_seconds=0.001 \
    >"$dir/stdout" 2>&1 &
pid=$!
for _ in $(seq 200); do
    [ -e "$dir/killed/checkpoint/previous.safetensors" ] && break
    sleep 0.02
done
kill -KILL $pid
wait $pid 2>/dev/null
check "checkpoints are written by time" [ -e "$dir/killed/checkpoint/previous.safetensors" ]
if [ -e "$dir/killed/supernet.safetensors" ]; then
    echo "ok - the rest: the training was over before the kill # SKIP"
    exit "$failed"
fi
for name in damaged both step isa plugin other; do cp -a "$dir/killed" "$dir/$name"; done
run killed
check "the same command goes on" grep -q 'goes on from step' "$dir/stderr"
check "to the same bits" same killed

flip() { # file: one bit in the midst of the numbers
    size=$(wc -c <"$1")
    printf 'x' | dd of="$1" bs=1 seek=$((size - 2000)) conv=notrunc 2>/dev/null
}
flip "$dir/damaged/checkpoint/state.safetensors"
run damaged
check "a damaged one is named" grep -q 'checkpoint/state.safetensors: it is damaged' "$dir/stderr"
check "the one before it is used, to the same bits" same damaged
flip "$dir/both/checkpoint/state.safetensors"
flip "$dir/both/checkpoint/previous.safetensors"
check "two damaged ones are refused" not run both
check "and named" grep -q 'previous.safetensors: it is damaged' "$dir/stderr"
rm "$dir/step/checkpoint/previous.safetensors"
sed -i -E 's/"step":"[0-9]+"/"step":"inf"/' "$dir/step/checkpoint/state.safetensors"
check "a step that is no number is refused" not run step
code_of() { "$@" >"$dir/stdout" 2>"$dir/stderr"; code=$?; }
code_of env NASHOST_ISA=base "$NASHOST" run "$dir/p.json" --out "$dir/isa" --until train \
    --set train.steps=$steps $parts --quiet
check "a checkpoint by other instructions is refused, as the user's mistake" [ $code = 2 ]
check "and not taken for a damaged one" not grep -q 'the one before it is used' "$dir/stderr"
cp -a "$dir/other" "$dir/aged"
rm -f "$dir/other/pipeline.json" "$dir/other/.nashost"
run other --set train.lr=0.5
code=$?
check "one by another pipeline is refused, as the user's mistake" [ $code = 2 ]
check "with the key that differs" grep -q 'train.lr was' "$dir/stderr"
check "and not taken for a damaged one" not grep -q 'the one before it is used' "$dir/stderr"
# A nashost from before there was train.weight_decay.
sed -i '/"weight_decay"/d' "$dir/aged/pipeline.json"
run aged
code=$?
check "a directory from before a key came is refused, as the user's mistake" [ $code = 2 ]
check "the key is named, and what to do" grep -q \
    'train.weight_decay was not given there and is .* now (what an older nashost left lacks keys.*; give another' \
    "$dir/stderr"
exit "$failed"
