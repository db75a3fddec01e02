#!/bin/sh
# A run over several ranks by MPI: the bits of one process, one voice, what differs is refused, and
# ranks that are told to stop, die or hang.
set -u
. tests/lib/small-run
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
ranks() { # number, arguments of nashost...
    number=$1
    shift
    timeout -k 5 120 mpirun --oversubscribe -n "$number" "$NASHOST" "$@" --threads 1 </dev/null
}
says() { # text, command...: it fails, and says so
    text=$1
    shift
    ! "$@" >"$dir/said" 2>&1 && grep -qF -e "$text" "$dir/said" || { cat "$dir/said"; return 1; }
}
once() { # text: it was said, and once
    [ "$(grep -cF -e "$1" "$dir/said")" = 1 ] || { cat "$dir/said"; return 1; }
}
same() { # two run directories
    for file in supernet.safetensors split.json search/any.jsonl search/tight.jsonl family.json; do
        cmp "$dir/$1/$file" "$dir/$2/$file" || return 1
    done
    sed -E 's/"(seconds|images_per_s)": *[0-9.e+-]+//g' "$dir/$1/metrics.jsonl" >"$dir/one.metrics"
    sed -E 's/"(seconds|images_per_s)": *[0-9.e+-]+//g' "$dir/$2/metrics.jsonl" >"$dir/two.metrics"
    cmp "$dir/one.metrics" "$dir/two.metrics"
}

# ---- A stranger's plugin, which needs no launcher ----
"$NASHOST" run "$dir/p.json" --out "$dir/one" --quiet >"$dir/alone" 2>&1
export CLUSTER_FOLDER="$dir/files" CLUSTER_RANKS=3
"$NASHOST" plugins new cluster files --out "$dir/new" >/dev/null && mkdir "$CLUSTER_FOLDER" &&
    ${CC:-cc} -std=gnu17 -O2 -Icore/include -fPIC -shared -fvisibility=hidden "$dir/new/files.c" -o "$dir/new/files.so"
for rank in 1 2 0; do
    CLUSTER_RANK=$rank timeout -k 5 300 "$NASHOST" run "$dir/p.json" --out "$dir/files3" --threads 1 \
        --plugins "$dir/new/plugins.json" --cluster files >"$dir/rank$rank" 2>&1 &
    last=$!
done
wait $last
check "3 ranks that see one folder end the run" [ $? = 0 ]
wait
check "with the bits of one process" same one files3
check "rank 0 speaks" grep -q "test top-1 for reference" "$dir/rank0"
check "the others do not" [ ! -s "$dir/rank1" ]
check "none of them" [ ! -s "$dir/rank2" ]

# What launchers set; Slurm sets its numbers in the script of a batch job, too, which is one process.
launched() { # says that several processes were started and no plugin is there: settings...
    says "no manifest has a cluster plugin" env "$@" NASHOST_HOME="$dir/none" "$NASHOST" run "$dir/p.json"
}
mkdir "$dir/none" && sed '/"cluster"/d; s/\("ofa_proxyless.*}\),/\1/' "$dir/plugins.json" >"$dir/none/plugins.json"
check "Open MPI's launcher is seen" launched OMPI_COMM_WORLD_SIZE=2
check "MPICH's" launched PMI_SIZE=3
check "PMIx's" launched PMIX_RANK=0
check "Slurm's" launched SLURM_NTASKS=2 SLURM_STEP_ID=0
check "a batch job of Slurm alone is none" env NASHOST_HOME="$dir/none" SLURM_NTASKS=2 \
    "$NASHOST" run "$dir/p.json" --dry-run --out "$dir/batch"

# Commands that use no ranks: the first alone works, and says so.
env OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 "$NASHOST" eval "$dir/one" >"$dir/said" 2>"$dir/warned"
check "eval is done by rank 0" grep -q "test top-1" "$dir/said"
check "which says so" grep -q "eval works in one process: rank 0 does it" "$dir/warned"
env OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 "$NASHOST" eval "$dir/one" >"$dir/said" 2>&1
check "and is no one else's" [ $? = 0 ]
check "who says nothing" [ ! -s "$dir/said" ]
env PMIX_RANK=0 "$NASHOST" compare "$dir/one" >"$dir/said" 2>"$dir/warned"
check "one process of PMIx is not warned" [ ! -s "$dir/warned" ]
env PMI_SIZE=2 PMI_RANK=1 "$NASHOST" run "$dir/p.json" --cluster nonsense >"$dir/said" 2>&1
check "a rank that nobody ends tells its error" grep -q 'unknown cluster plugin "nonsense"' "$dir/said"
env PMI_SIZE=2 PMI_RANK=1 "$NASHOST" bench train "$dir/p.json" --cluster nonsense >"$dir/said" 2>&1
check "so does one that is timed" grep -q 'unknown cluster plugin "nonsense"' "$dir/said"

# ---- MPI ----
skip() { # why the rest is not tried
    echo "ok - ranks by MPI # SKIP $1"
    exit $failed
}
command -v mpirun >/dev/null || skip "no mpirun"
[ -f "$NASHOST_PLUGIN_DIR/cluster/mpi.so" ] || skip "built without MPI"
if ldd "$NASHOST" | grep -qE 'libasan|libtsan' || nm "$NASHOST" 2>/dev/null | grep -q __tsan_init; then
    skip "a sanitizer judges MPI's own memory"
fi

# ---- The same bits ----
for n in 1 2 4; do
    ranks $n run "$dir/p.json" --out "$dir/ranks$n" >"$dir/said" 2>&1
    check "$n ranks end the run" [ $? = 0 ]
    check "$n ranks: the bits of one process" same one "ranks$n"
    check "$n ranks: one table" once "test top-1 for reference"
    check "$n ranks: one log" once "trained 24 steps"
done
# Losses with a state, with mixed images, with another teacher; statistics of all images together.
while read -r name settings; do
    # shellcheck disable=SC2086
    "$NASHOST" run "$dir/p.json" --out "$dir/one-$name" --quiet --set $settings >/dev/null 2>&1
    # shellcheck disable=SC2086
    ranks 3 run "$dir/p.json" --out "$dir/three-$name" --quiet --set $settings >"$dir/said" 2>&1
    check "$name on 3 ranks: the bits of one process" same "one-$name" "three-$name"
done <<'END'
state train.steps=9 train.ssl.plugin=freematch train.dropout=0.3 train.anchor=0.01
mixed train.steps=9 train.ssl.plugin=mixmatch train.batch=16
tutor train.steps=9 train.ssl.plugin=mean_teacher train.batch_statistics=joint train.clip_norm=1
parts train.steps=9 train.accumulate=2 train.batch=16
plain train.steps=9 train.ssl.plugin=supervised search.plugin=nsga2 search.score.plugin=zico
END

# ---- Stages alone, plans, errors ----
ranks 2 run "$dir/p.json" --out "$dir/parts" --quiet --until train >"$dir/said" 2>&1
ranks 2 search "$dir/parts" --quiet >"$dir/said" 2>&1
check "search alone" once "genome"
ranks 2 report "$dir/parts" --quiet >"$dir/said" 2>&1
check "report alone" once "test top-1 for reference"
check "stages alone: the same bits" same one parts
ranks 2 run "$dir/p.json" --out "$dir/plan" --dry-run >"$dir/said" 2>&1
check "a plan is printed once" once "writes    $dir/plan"
check "and writes nothing" [ ! -e "$dir/plan" ]
check "a wrong pipeline is an error" says "did you mean \"lr\"" ranks 2 run "$dir/p.json" --set train.lrr=1
check "told once" once "nashost: error"
check "so is an impossible platform" says "none of" \
    ranks 2 run "$dir/p.json" --out "$dir/tight" --quiet --set platforms.1.constraints.macs=1
check "told once, too" once "nashost: error"
check "an unknown cluster" says "did you mean \"mpi\"" "$NASHOST" run "$dir/p.json" --cluster mpj
check "an unknown one on 2 ranks" says 'unknown cluster plugin "nonsense"' ranks 2 run "$dir/p.json" --cluster nonsense
check "is told once" once "nashost: error"
ranks 2 eval "$dir/one" >"$dir/said" 2>&1
check "eval on 2 ranks prints once" once "smallest"
check "one process that is told to be a cluster is alone" \
    "$NASHOST" run "$dir/p.json" --out "$dir/single" --quiet --until train --cluster mpi

# ---- What a step exchanges ----
traffic() { # of rank 0 of 2, told once: bytes of gradients and of sums, and no broadcast
    once '"traffic"' && python3 - "$dir/said" <<'PYTHON'
import json, sys

result = json.load(open(sys.argv[1]))
kinds = result["traffic"]
sys.exit(not (result["ranks"] == 2 and kinds["gradients"]["bytes"] > 1000 and kinds["sums"]["bytes"] > 1000
              and kinds["gradients"]["exchanges"] < kinds["sums"]["exchanges"]
              and kinds["meetings"]["exchanges"] == 4 and kinds["broadcast"]["exchanges"] == 0))
PYTHON
}
ranks 2 bench train "$dir/p.json" --rounds 2 --json >"$dir/said" 2>"$dir/log"
check "bench on 2 ranks tells what a step exchanges" traffic
"$NASHOST" bench train "$dir/p.json" --rounds 1 --json >"$dir/said" 2>"$dir/log"
check "one process exchanges nothing" [ "$(grep -c traffic "$dir/said")" = 0 ]

# ---- What differs ----
differ() { # what it says, the other rank's program and its arguments...
    text=$1
    shift
    says "$text" timeout -k 5 120 mpirun --oversubscribe \
        -n 1 "$NASHOST" run "$dir/p.json" --out "$dir/differ" --threads 1 : \
        -n 1 "$@" --out "$dir/differ" --threads 1
}
check "another pipeline" differ "rank 1: pipeline.train.lr is 0.01 here, but" \
    "$NASHOST" run "$dir/p.json" --set train.lr=0.01
check "is told once" once "nashost: error"
check "and nothing is written" [ ! -e "$dir/differ/split.json" ]
cp "$NASHOST" "$dir/nashost" && printf x >>"$dir/nashost"
check "another build" differ "rank 1: program.file is" "$dir/nashost" run "$dir/p.json"
mkdir "$dir/other" && cp -r "$NASHOST_PLUGIN_DIR" "$dir/other/plugins" && printf x >>"$dir/other/plugins/ssl/fixmatch.so"
sed "s#$NASHOST_PLUGIN_DIR#$dir/other/plugins#" "$dir/plugins.json" >"$dir/other/plugins.json"
check "another plugin" differ "rank 1: plugins.fixmatch.file is" \
    env NASHOST_HOME="$dir/other" "$NASHOST" run "$dir/p.json"
check "a rank whose pipeline is missing" differ "rank 1: cannot read $dir/none.json" "$NASHOST" run "$dir/none.json"
if grep -qw avx2 /proc/cpuinfo; then
    check "other instructions" differ "rank 1: instructions is \"base\" here" \
        env NASHOST_ISA=base "$NASHOST" run "$dir/p.json"
fi

# ---- Ranks that stop, die and hang ----
process() { # of mpirun, rank
    for p in $(cat /proc/"$1"/task/*/children); do
        tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$2" && echo "$p"
    done
}
disturb() { # signal, rank: once there is a checkpoint; sets code and took
    rm -rf "$dir/bad"
    mpirun --oversubscribe -n 3 "$NASHOST" run "$dir/p.json" --out "$dir/bad" --threads 1 \
        --set train.checkpoint_every=1 --set dataset.options.test=4000 --set search.evaluations=400 \
        --set train.steps=60 --quiet >"$dir/said" 2>&1 &
    launcher=$!
    for _ in $(seq 600); do
        [ -f "$dir/bad/checkpoint/state.safetensors" ] && break
        sleep 0.05
    done
    began=$(date +%s)
    kill -s "$1" "$(process $launcher "$2")"
    wait $launcher
    code=$?
    took=$(($(date +%s) - began))
}
goes_on() { # ranks: the disturbed run ends as one that was not
    ranks "$1" run "$dir/p.json" --out "$dir/bad" --set dataset.options.test=4000 \
        --set search.evaluations=400 --set train.steps=60 --quiet >"$dir/said" 2>&1 && same calm bad
}
"$NASHOST" run "$dir/p.json" --out "$dir/calm" --quiet --set dataset.options.test=4000 \
    --set search.evaluations=400 --set train.steps=60 >/dev/null 2>&1
disturb TERM 2
check "a signal to any rank stops all" [ $code = 130 ]
check "told by rank 0 alone" once "nashost: error: stopped at training step"
check "with 4 ranks it goes on to the same bits" goes_on 4
disturb KILL 1
check "a killed rank ends the run" [ $code != 0 ]
check "within a minute" [ "$took" -le 60 ]
check "its checkpoint is whole: one process goes on to the same bits" goes_on 1
disturb STOP 2
check "a rank that hangs ends the run" [ $code != 0 ]
check "within a minute too" [ "$took" -le 60 ]
check "by its name" once "rank 2 on $(uname -n) has given no sign of life"
check "2 ranks go on to the same bits" goes_on 2
exit $failed
