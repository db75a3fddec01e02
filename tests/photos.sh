#!/bin/sh
# Pictures from a user's folder: infer names their classes, and what describes an exported file tells
# how they become a network's input.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nashost-test-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
sed "s#build/plugins#$NASHOST_PLUGIN_DIR#" "$root/plugins.json" >"$scratch/plugins.json"
ln -s "$root/spaces" "$scratch/spaces"
ln -s "$root/plugins" "$scratch/plugins"
export NASHOST_HOME="$scratch"
unset NASHOST_PLUGINS
cd "$scratch"

failed=0
expect() { # what, file, text...
    what=$1 file=$2
    shift 2
    for text; do
        grep -qF -- "$text" "$file" && continue
        echo "not ok - $what: expected \"$text\", found:"
        sed 's/^/# /' "$file" | head -20
        failed=1
        return 0
    done
    echo "ok - $what"
}

# 12 x 8 pixels of one colour each, RGB.
red=iVBORw0KGgoAAAANSUhEUgAAAAwAAAAICAIAAABChommAAAAEUlEQVR42mO4oyFHEDGMKgIAKxlswXQbp9cAAAAASUVORK5CYII=
blue=iVBORw0KGgoAAAANSUhEUgAAAAwAAAAICAIAAABChommAAAAEUlEQVR42mOQs7lEEDGMKgIAy2hwgd73qpIAAAAASUVORK5CYII=
for i in 1 2 3 4 5 6 7 8 9 10; do
    for class in red blue; do
        for part in train test; do
            mkdir -p "photos/$part/$class"
            eval "printf %s \$$class" | base64 -d >"photos/$part/$class/$i.png"
        done
    done
done

cat >p.json <<'JSON'
{
  "dataset": {"plugin": "image_folder",
              "options": {"train": "photos/train", "test": "photos/test", "side": 8}},
  "split": {"labelled": 10, "heldout": 4},
  "space": {"name": "tiny", "resolution": [8, 12],
    "stem": {"kernel": 3, "stride": 1, "width": 8, "activation": "relu"},
    "stages": [{"width": 8, "stride": 2, "depth": 1, "kernel": 3, "expand": 1,
                "squeeze_excite": false, "activation": "relu"}],
    "head": {"width": 8, "activation": "relu"}},
  "train": {"steps": 30, "batch": 4, "mu": 1, "subnets": 2, "ssl": {"plugin": "fixmatch"}},
  "search": {"plugin": "random", "evaluations": 2, "calibration_images": 8, "score": {"plugin": "agreement"}},
  "platforms": [{"name": "little",
                 "hardware": {"plugin": "roofline", "options": {"profile": "phone-little"}},
                 "constraints": {"latency_ms": 100}}],
  "export": [{"plugin": "c"}, {"plugin": "c", "options": {"dtype": "int8"}}]
}
JSON
"$NASHOST" run p.json --out r --quiet >log 2>&1 || { sed 's/^/# /' log; exit 1; }

"$NASHOST" infer r --platform little --input photos/test/red/1.png >one
expect "a picture" one "photos/test/red/1.png: red, "
"$NASHOST" infer r --platform little --input photos/test >all
expect "a folder" all "photos/test/red/9.png: red, " "photos/test/blue/1.png: blue, "
[ "$(wc -l <all)" = 20 ] && echo "ok - all of a folder" || { echo "not ok - all of a folder"; failed=1; }
"$NASHOST" infer r --int8 --input photos/test/blue/1.png --json >json
expect "as JSON" json '"image": "photos/test/blue/1.png"' '"class": "blue"' '"confidence": '
"$NASHOST" infer r --input photos/test/blue/none.png >none 2>&1 && failed=1
expect "a picture that is not there" none "photos/test/blue/none.png"
mkdir empty
"$NASHOST" infer r --input empty >none 2>&1 && failed=1
expect "a folder without pictures" none "empty: expected image files"

expect "how pictures become an input" r/family/little.c.json '"crop": "the largest square' \
    '"resize": "bilinear' '"colours": "RGB"' '"red"' '"in_network": true'
expect "an export in 8 bits" r/family/little.int8.c.json '"weight_scales"' '"zero"' \
    '"by": "nashost'"'"'s arithmetic in 8 bits'

"$NASHOST" run p.json --out s --dry-run --set platforms.0.hardware.options.profile=phone-litle \
    >names 2>&1 && failed=1
expect "a profile that is not there" names "ethos-u55-128, mcu-int8, mcu-m55-int8, mcu, phone-a55-int8, phone-big-int8, phone-big, phone-little"
exit $failed
