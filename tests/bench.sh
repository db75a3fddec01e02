#!/bin/sh
# nashost bench: every kind runs on images of its own, and says what scripts read.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
root=$(cd "$(dirname "$0")/.." && pwd)
# The plugins of this build, and what is shipped beside them.
sed "s#build/plugins#$NASHOST_PLUGIN_DIR#" "$root/plugins.json" >"$work/plugins.json"
ln -s "$root/spaces" "$root/pipelines" "$work"
export NASHOST_HOME="$work"
unset NASHOST_PLUGINS

small="train.batch=4 train.mu=1 train.subnets=2 split.labelled=20 split.heldout=20
       search.calibration_images=20 dataset.options.train=80"

check() { # kind, keys...
    kind=$1
    shift
    if ! "$NASHOST" bench "$kind" --rounds 1 --threads 1 --json \
        --set $small >"$work/out" 2>"$work/err"; then
        echo "not ok - bench $kind: $(cat "$work/err")"
        return
    fi
    missing=$(python3 - "$work/out" "$@" <<'PYTHON'
import json, sys

result = json.load(open(sys.argv[1]))
for key in ["threads", "rounds", "ms_per_step", "ms_min", "ms_max", "images_per_s", *sys.argv[2:]]:
    if key not in result:
        print(key, end=" ")
if not 0 < result["ms_min"] <= result["ms_per_step"] <= result["ms_max"]:
    print("order of times", end=" ")
if not 1 << 20 < result["peak_rss_bytes"] < 1 << 34:
    print("peak_rss_bytes", end=" ")
if result["bench"] == "gemm":
    rates = [row[key] for row in result["products"] for key in row if key not in ("rows", "in", "out")]
    if len(rates) != 6 * len(result["products"]) or not min(rates) > 0:
        print("rates of products", end=" ")
if result["bench"] == "train":
    parts = sum(layer["ms"] for layer in result["layers"]) + result["other_ms"]
    if not result["ms_min"] * 0.99 <= parts <= result["ms_max"] * 1.01:
        print("parts do not add up to the step", end=" ")
if result["bench"] == "search":
    own = result["ms_cost"] + result["ms_strategy"]
    if not result["ms_score"] + own >= result["ms_min"] * 0.99:
        print("parts do not add up to an evaluation", end=" ")
    if not 0 < result["ms_cost"] < own:
        print("times of the parts", end=" ")
    if abs(result["overhead"] - own / result["ms_score"]) > 1e-9:
        print("overhead", end=" ")
PYTHON
    )
    if [ -z "$missing" ]; then echo "ok - bench $kind"; else echo "not ok - bench $kind: $missing"; fi
}

check train batch mu gflops gbyte_per_s layers other_ms limits cpu_ms_per_step
check eval images ms_calibrate ms_evaluate gflops cpu_ms_per_step
check score score
check augment images
check gemm products limits blis
check search search score hardware costs ms_score ms_cost ms_strategy overhead

# What other programs compare themselves with: every weight has a gradient; and PyTorch finds the same.
verdict() { # what, command...
    what=$1
    shift
    if "$@" >"$work/out" 2>"$work/err"; then echo "ok - $what"; else
        echo "not ok - $what: $(cat "$work/err" "$work/out")"
    fi
}
has_gradients() {
    python3 - "$work/train.work" <<'PYTHON'
import json, struct, sys

raw = open(sys.argv[1], "rb").read()
start = 8 + struct.unpack("<Q", raw[:8])[0]
header = json.loads(raw[8:start])
genomes = json.loads(header.pop("__metadata__")["genomes"])
weights = {name[8:] for name in header if name.startswith("weights.")}
assert weights and len(genomes[0]) == 2, (weights, genomes[0])
for name in weights:
    begin, end = header["gradient." + name]["data_offsets"]
    assert any(raw[start + begin : start + end]), "no gradient of " + name
PYTHON
}
torch=/usr/bin/python3
for kind in train eval; do
    verdict "bench $kind --out" "$NASHOST" bench $kind --threads 1 --json --out "$work/$kind.work" \
        --set $small train.ssl.options.threshold=0.2
    script=torch_step
    [ $kind = train ] || script=torch_eval
    $torch -c 'import torch' 2>/dev/null || continue
    verdict "PyTorch computes the same $kind" \
        $torch -B "$root/bench/peers/$script.py" --work "$work/$kind.work" --check --threads 1
done
verdict "every weight has a gradient" has_gradients
"$NASHOST" bench score --out "$work/score.work" >"$work/out" 2>"$work/err"
if [ $? = 2 ] && grep -q 'out is of train and eval' "$work/err"; then
    echo "ok - --out of another kind is refused"
else
    echo "not ok - --out of another kind: $(cat "$work/err")"
fi

# What the user says of BLIS's kernels holds, and is told: 3 is haswell in BLIS 0.9.
if grep -qw avx2 /proc/cpuinfo; then
    BLIS_ARCH_TYPE=3 "$NASHOST" bench gemm --rounds 1 --threads 1 --json --set $small >"$work/out" 2>"$work/err"
    if grep -q '"blis": "haswell"' "$work/out"; then
        echo "ok - BLIS's kernels are told"
    else
        echo "not ok - BLIS's kernels: $(cat "$work/err" "$work/out")"
    fi
fi

"$NASHOST" bench trian >"$work/out" 2>"$work/err"
if [ $? = 2 ] && grep -q 'did you mean "nashost bench train"' "$work/err"; then
    echo "ok - a wrong kind is told"
else
    echo "not ok - a wrong kind: $(cat "$work/err")"
fi
