#!/bin/sh
# A run over four hosts, which are network namespaces with a delay between them: the bits of one
# process, and a rank that is killed is named.
set -u
. tests/lib/small-run
. tests/lib/hosts
skip() { # why
    echo "ok - ranks on four hosts # SKIP $1"
    exit 0
}
command -v mpirun >/dev/null || skip "no mpirun"
[ -f "$NASHOST_PLUGIN_DIR/cluster/mpi.so" ] || skip "built without MPI"
if ldd "$NASHOST" | grep -qE 'libasan|libtsan' || nm "$NASHOST" 2>/dev/null | grep -q __tsan_init; then
    skip "a sanitizer judges MPI's own memory"
fi
trap 'hosts_end; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
hosts_begin 4 2>"$dir/hosts.log" || skip "no network namespaces: $(tail -n 1 "$dir/hosts.log")"
hosts_shape delay 1ms 2>"$dir/shape.log" ||
    echo "ok - a delay of 1 ms between hosts # SKIP $(tail -n 1 "$dir/shape.log")"

run="run $dir/p.json --quiet --threads 1 --set train.steps=3 search.evaluations=4"
# shellcheck disable=SC2086
"$NASHOST" $run --out "$dir/one" >/dev/null 2>&1
began=$(host_bytes 2)
# shellcheck disable=SC2086
timeout -k 5 60 "$hosts_dir/mpirun" -n 4 "$NASHOST" $run --out "$dir/four" >"$dir/said" 2>&1
check "four hosts end the run" [ $? = 0 ]
for file in supernet.safetensors split.json search/any.jsonl search/tight.jsonl family.json; do
    check "the bits of one process: $file" cmp "$dir/one/$file" "$dir/four/$file"
done
check "the ranks met over the network" [ $(($(host_bytes 2) - began)) -gt 100000 ]

# shellcheck disable=SC2086
timeout -k 5 60 "$hosts_dir/mpirun" -n 4 "$NASHOST" $run --out "$dir/bad" --set train.steps=100000 \
    train.checkpoint_every=1 >"$dir/said" 2>&1 &
launcher=$!
for _ in $(seq 200); do
    [ -f "$dir/bad/checkpoint/state.safetensors" ] && break
    sleep 0.1
done
kill -KILL "$(host_rank 3 2)"
wait $launcher
code=$?
check "a killed rank ends the run" [ $((code != 0 && code != 124)) = 1 ]
check "by its name" grep -q "rank 2 with PID .* on node 10.77.0.3" "$dir/said"
check "its checkpoint is there" [ -s "$dir/bad/checkpoint/state.safetensors" ]
[ $failed = 0 ] || cat "$dir/said"
exit $failed
