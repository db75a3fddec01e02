#!/bin/sh
# Images that do not fit into dataset.memory: the same files as with all in memory, at any number of
# threads, whatever fits, and after an interruption; and what becomes of one that cannot be read.
set -u
. tests/lib/small-run
python=build/venv/bin/python3
[ -x "$python" ] || python=python3

same() { # run directory, another
    for name in split.json supernet.safetensors family.json search/any.jsonl search/tight.jsonl; do
        cmp "$1/$name" "$2/$name" || return 1
    done
    grep -v '"seconds"' "$1/metrics.jsonl" >"$dir/metrics1"
    grep -v '"seconds"' "$2/metrics.jsonl" >"$dir/metrics2"
    cmp "$dir/metrics1" "$dir/metrics2"
}

run() { # run directory, arguments...
    out=$1
    shift
    "$NASHOST" run "$dir/p.json" --out "$dir/$out" --quiet "$@" >"$dir/$out.log" 2>&1
}

streamed() { # run directory, arguments...: what it gives is what the run in memory gave
    run "$@" && same "$dir/memory" "$dir/$1"
}

run memory --threads 1 || { cat "$dir/memory.log"; exit 1; }
for bytes in 1 20000 30000 57600 70000; do # an image is 144 bytes, and there are 400 and 80
    check "$bytes bytes, 1 thread" streamed "s$bytes" --set "dataset.memory=$bytes" --threads 1
    check "$bytes bytes, 3 threads" streamed "t$bytes" --set "dataset.memory=$bytes" --threads 3
done

# Training that is cut and goes on, with another limit.
cut() {
    run cut --set dataset.memory=1000 --until train --set train.steps=24 &
    child=$!
    while [ ! -s "$dir/cut/checkpoint.bin" ] && kill -0 $child 2>/dev/null; do sleep 0.01; done
    kill -INT $child 2>/dev/null
    wait $child
    run cut --set dataset.memory=5000 --threads 3 && same "$dir/memory" "$dir/cut"
}
check "a run that was interrupted goes on with another limit" cut

for value in 0 -1 '"much"'; do
    run bad --set "dataset.memory=$value"
    check "memory $value is refused" grep -q 'dataset.memory: expected .*, found' "$dir/bad.log"
done

# Files, of which one gets damaged.
"$python" - "$dir" <<'END' || { echo "skipped: no Python with Pillow"; exit $failed; }
import sys, os, random
from PIL import Image
random.seed(1)
for name in ("a", "b", "c"):
    os.makedirs(f"{sys.argv[1]}/photos/{name}")
    for i in range(40):
        image = Image.new("RGB", (17, 13))
        image.putdata([tuple(random.randrange(256) for _ in range(3)) for _ in range(17 * 13)])
        image.save(f"{sys.argv[1]}/photos/{name}/{i}.png")
END
set_folder='dataset={"plugin": "image_folder", "options": {"train": "photos", "side": 12}}'
folder() { # run directory, arguments...
    run "$@" --set "$set_folder" --set split.labelled=12 --set split.validation=6 \
        --set split.heldout=20
}
folder whole --threads 1 || { cat "$dir/whole.log"; exit 1; }
set_folder='dataset={"plugin": "image_folder", "options": {"train": "photos", "side": 12}, "memory": 3000}'
few_files() {
    folder few --threads 2 && same "$dir/whole" "$dir/few"
}
check "image files" few_files

# The same pictures in shards, one of them compressed.
"$python" - "$dir" <<'END'
import gzip, io, os, sys, tarfile
os.chdir(sys.argv[1])
os.mkdir("shards")
names = sorted(f"{c}/{n}" for c in "abc" for n in os.listdir("photos/" + c))
for shard in range(3):
    with tarfile.open(f"shards/{shard}.tar" + (".gz" if shard == 1 else ""), "w:gz" if shard == 1 else "w") as tar:
        for name in names[shard::3]:
            tar.add("photos/" + name, name)
            label = tarfile.TarInfo(name[:-4] + ".cls")
            label.size = 1
            tar.addfile(label, io.BytesIO(name[:1].encode()))
END
set_folder='dataset={"plugin": "tar", "options": {"train": "shards", "side": 12}}'
folder shards --threads 1
check "shards" test $? -eq 0
set_folder='dataset={"plugin": "tar", "options": {"train": "shards", "side": 12}, "memory": 3000}'
few_shards() {
    folder few-shards --threads 3 && same "$dir/shards" "$dir/few-shards"
}
check "shards that do not fit" few_shards

set_folder='dataset={"plugin": "image_folder", "options": {"train": "photos", "side": 12}, "memory": 3000}'
for name in a b c; do # all but the first of each class, so that one of the training is met
    for i in $(seq 1 39); do printf 'no image' >"$dir/photos/$name/$i.png"; done
done
folder damaged
check "a file that cannot be read ends the run" test $? -ne 0
check "and is named" grep -q 'photos/[abc]/[0-9]*.png: ' "$dir/damaged.log"
folder checked --dry-run --check-images
check "--check-images finds it" grep -q 'train images: .*photos/[abc]/[0-9]*.png: .*; test images' \
    "$dir/checked.log"
exit $failed
