#!/bin/sh
# A first pipeline for a data set's folder: it is valid, it can be run, and nothing is overwritten.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nashost-test-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
sed "s#build/plugins#$NASHOST_PLUGIN_DIR#" "$root/plugins.json" >"$scratch/plugins.json"
ln -s "$root/spaces" "$root/plugins" "$scratch/"
export NASHOST_HOME="$scratch"
unset NASHOST_PLUGINS
cd "$scratch" || exit 1
failed=0

check() { # what, and a command that must succeed
    what=$1
    shift
    if "$@"; then echo "ok - $what"; else echo "not ok - $what"; cat out err; failed=1; fi
}
init() { # exit code, words that must be said, arguments
    code=$1 words=$2
    shift 2
    "$NASHOST" init "$@" >out 2>err
    status=$?
    [ $status = "$code" ] && cat out err | grep -qF -- "$words"
}
pair() { # folder, train or t10k: 80 grey images of 12 x 12 in 4 classes
    mkdir -p "$1"
    { printf '\0\0\10\3\0\0\0\120\0\0\0\14\0\0\0\14'; yes | head -c 11520; } >"$1/$2-images-idx3-ubyte"
    { printf '\0\0\10\1\0\0\0\120'; for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        printf '\0\1\2\3'; done; } >"$1/$2-labels-idx1-ubyte"
}

pair data train
pair data t10k
check "a folder is recognised" init 0 "pipeline.json: data set idx, 80 training images 12x12x1, 4 classes" data
check "the pipeline is valid" "$NASHOST" validate pipeline.json
check "its first line names the schema" grep -qF '"$schema": "./pipeline.schema.json"' pipeline.json
check "the folder is written relative to it" grep -qF '"folder": "data"' pipeline.json
check "it can be run" "$NASHOST" run pipeline.json --dry-run
check "every label is used" grep -qF '"labelled": "all"' pipeline.json
check "it says how the images are used" init 0 "it trains on 72 labels; 8 more images are held out, to score subnets by, as there are no unlabelled ones" data --out said.json
cp pipeline.json before.json
check "nothing is overwritten" init 2 "pipeline.json is there already" data
check "nothing has changed" cmp pipeline.json before.json
mkdir empty && echo '{}' >empty/p.schema.json
check "the schema neither" init 2 "p.schema.json is there already" data --out empty/p.json
check "elsewhere, the folder is absolute" init 0 '"pipeline": "empty/q.json"' data --out empty/q.json --json
check "an absolute folder" grep -qF "\"folder\": \"$(realpath data)\"" empty/q.json
check "a folder of something else" init 2 "any data set plugin does not recognise it" empty --out e.json
check "no folder" init 2 "there is no such folder" nowhere --out e.json
head -c 30740 /dev/zero >data/train.bin
cp data/train.bin data/test.bin
check "two data sets" init 2 "several plugins would read it: idx, cifar" data --out e.json
check "one of them" init 0 "data set idx" data --dataset idx --out e.json
check "another one" init 2 "idx does not recognise it" empty --dataset idx --out f.json
rm data/train.bin data/test.bin
printf '\0\0\10\3' >data/train-images-idx3-ubyte
check "a damaged file leaves nothing behind" init 2 "train-images-idx3-ubyte: truncated" data --out f.json
check "no pipeline" test ! -e f.json
check "no schema" test ! -e f.schema.json

# Photos: 20 and 5 images of two classes, and a folder of unlabelled ones.
picture() { # file
    mkdir -p "$(dirname "$1")"
    cp "$root/tests/corpus/image/rgb.png" "$1"
}
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do picture photos/train/cat/$i.png; done
for i in 1 2 3 4 5; do picture photos/train/dog/$i.png; picture photos/test/dog/$i.png; done
picture photos/test/cat/1.png
picture photos/unlabelled/1.png
i=1
while [ $i -lt 1200 ]; do ln photos/unlabelled/1.png photos/unlabelled/x$i.png; i=$((i + 1)); done
check "held-out images are of the unlabelled ones" init 0 "it trains on all 25 labels; of the 1200 unlabelled images 1000 are held out, to score subnets by" photos --out photos.json
check "the pipeline tells how many" grep -qF '"heldout": 1000' photos.json
check "and can be run" "$NASHOST" run photos.json --dry-run
rm photos/unlabelled/x?*.png
check "a few unlabelled ones" init 0 "it trains on 23 labels; 2 more images are held out, to score subnets by" photos --out few.json
check "can be run too" "$NASHOST" run few.json --dry-run
exit $failed
