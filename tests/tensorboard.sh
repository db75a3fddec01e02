#!/bin/sh
# The event files of a run, read by TensorBoard's own reader. Needs a Python that has it:
# $NASHOST_PYTHON, or build/venv/bin/python, or python3.
set -u
. tests/lib/small-run
python=${NASHOST_PYTHON:-build/venv/bin/python}
command -v "$python" >/dev/null || python=python3
if ! "$python" -c 'import tensorboard' 2>/dev/null; then
    echo "skipped: no Python here has the package tensorboard (scripts/python-env installs it)"
    exit 77
fi

# Stopped on the way by a signal as soon as there is something to resume from; then resumed.
out=$dir/run
"$NASHOST" run "$dir/p.json" --out "$out" --quiet --set train.steps=300 >"$dir/log" 2>&1 &
pid=$!
for _ in $(seq 600); do
    [ -e "$out/checkpoint/state.safetensors" ] && break
    sleep 0.05
done
kill -KILL $pid
wait $pid 2>/dev/null
check "the run was stopped in its training" test ! -e "$out/supernet.safetensors"
check "the run goes on" "$NASHOST" run "$dir/p.json" --out "$out" --quiet --set train.steps=300
check "TensorBoard reads what metrics.jsonl and search hold" "$python" - "$out" <<'END'
import json, sys
from tensorboard.backend.event_processing import event_accumulator, event_file_loader
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

out = sys.argv[1]
board = EventMultiplexer(size_guidance={event_accumulator.SCALARS: 0})
board.AddRunsFromDirectory(out + "/tensorboard").Reload()
runs = board.Runs()
assert sorted(runs) == ["search-any", "search-tight", "train"], runs

def scalars(run, tag):
    events = board.Scalars(run, tag)
    return [e.step for e in events], [e.value for e in events]

lines = [json.loads(line) for line in open(out + "/metrics.jsonl")]
lines = [line for line in lines if "loss" in line]
assert len(lines) == 75
for tag in ["loss", "mask_rate", "pseudo_label_accuracy", "lr", "images_per_s"]:
    kept = [line for line in lines if line[tag] is not None]
    assert kept or tag == "pseudo_label_accuracy"
    steps, values = scalars("train", tag)
    assert steps == [line["step"] for line in kept], (tag, steps)
    for line, value in zip(kept, values):
        assert abs(value - line[tag]) <= 1e-6 * abs(line[tag]), (tag, line, value)
for name in ["any", "tight"]:
    judged = [json.loads(line) for line in open(f"{out}/search/{name}.jsonl")]
    best = max(c["score"] for c in judged if c["score"] is not None)
    steps, values = scalars("search-" + name, "best_score")
    assert steps == list(range(1, len(steps) + 1)) and steps, steps
    assert values == sorted(values) and abs(values[-1] - best) < 1e-6, (values, best)

raw = list(event_file_loader.LegacyEventFileLoader(out + "/tensorboard/train/events.out.tfevents.nashost").Load())
assert raw[0].file_version == "brain.Event:2"
steps = [event.step for event in raw[1:]]
assert steps == sorted(set(steps)), "a step stands there twice"
END
exit $failed
