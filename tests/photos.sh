#!/bin/sh
# A run knows its data, and says before the training what it would refuse after it.
set -u
. tests/lib/small-run
root=$PWD
ln -s "$root/spaces" "$root/plugins" "$dir/"
picture() { # file
    mkdir -p "$(dirname "$1")"
    cp "$root/tests/corpus/image/${2:-rgb.png}" "$1"
}
says() { # exit code, words that must be said, command
    code=$1 words=$2
    shift 2
    "$@" >"$dir/said" 2>&1
    status=$?
    cat "$dir/said"
    [ $status = "$code" ] && grep -qF -- "$words" "$dir/said"
}
run() { # further arguments
    "$NASHOST" run "$dir/photos.json" --out "$dir/run" --quiet --set train.steps=3 train.batch=4 \
        search.evaluations=2 "$@"
}
photos=$dir/photos
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    for class in cat dog; do picture "$photos/train/$class/$i.png"; done
done
for class in cat dog; do picture "$photos/test/$class/1.png"; done
check "a pipeline" "$NASHOST" init "$photos" --out "$dir/photos.json"
check "a run" run
check "its data set is written down" grep -q '"cat"' "$dir/run/data.json"
check "it is used again" "$NASHOST" eval "$dir/run"
mv "$photos" "$dir/elsewhere" && mv "$dir/elsewhere" "$photos"
check "a folder may be moved" "$NASHOST" eval "$dir/run"

for part in train test; do mv "$photos/$part/cat" "$photos/$part/zcat"; done
swapped='class 0 was "cat" when the run began, and is "dog"'
check "another order of the classes is refused by eval" says 2 "$swapped" "$NASHOST" eval "$dir/run"
check "by report" says 2 "$swapped" "$NASHOST" report "$dir/run"
check "by export" says 2 "$swapped" "$NASHOST" export "$dir/run" --format safetensors --out "$dir/x"
check "by a run" says 2 "$swapped" run
check "by a dry run" says 2 "$swapped" run --dry-run
for part in train test; do mv "$photos/$part/zcat" "$photos/$part/cat"; done

mv "$photos/train/cat/3.png" "$photos/train/cat/99.png"
check "another list of files is refused" says 2 "train: the images are not those that the run began with" \
    "$NASHOST" eval "$dir/run"
mv "$photos/train/cat/99.png" "$photos/train/cat/3.png"
picture "$photos/test/dog/2.png"
check "other test images too" says 2 "test: there were 2 images when the run began, and the data set has 3 now" \
    "$NASHOST" eval "$dir/run"
rm "$photos/test/dog/2.png"
check "the old data are good again" "$NASHOST" eval "$dir/run"

# What was not trained may begin anew with other images.
mkdir "$dir/new" && cp "$dir/run/pipeline.json" "$dir/run/data.json" "$dir/run/split.json" "$dir/new"
picture "$photos/train/dog/13.png"
check "more images before the training" "$NASHOST" run "$dir/run/pipeline.json" --out "$dir/new" --quiet --until train
rm "$photos/train/dog/13.png"

late() { # words, settings
    words=$1
    shift
    says 2 "$words" "$NASHOST" run "$dir/p.json" --dry-run --out "$dir/late" --set "$@" &&
        says 2 "$words" "$NASHOST" run "$dir/p.json" --out "$dir/late" --set "$@" &&
        ! grep -q '^trained' "$dir/said"
}
check "no held-out image for a score is said before the training" late "search.score: agreement: expected held-out images" split.heldout=0
check "fewer labels than zico's batches" late "search.score: zico: expected at least 50 labelled images" \
    'search.score={"plugin":"zico","options":{"batches":50}}'

# Every image is read, and every bad one named, before the training; or they are left out.
for class in cat dog; do : >"$photos/test/$class/empty.png"; done
picture "$photos/train/cat/cmyk.jpg" cmyk.jpg
checked() {
    says 2 "train images: 1 of 25 images cannot be read" "$NASHOST" run "$dir/photos.json" --dry-run --check-images \
        --out "$dir/bad" && grep -q 'test images: 2 of 4 images cannot be read' "$dir/said" &&
        grep -q 'train/cat/cmyk.jpg: .*CMYK' "$dir/said" && grep -q 'test/cat/empty.png: ' "$dir/said" &&
        grep -q 'test/dog/empty.png: ' "$dir/said"
}
check "all bad images are named" checked
sed 's/"side"/"on_bad_image": "skip", "side"/' "$dir/photos.json" >"$dir/skip.json"
check "they may be left out" says 0 "3 images cannot be read and are left out" \
    "$NASHOST" run "$dir/skip.json" --dry-run --check-images --out "$dir/bad"
check "a run says so" says 0 "3 images cannot be read and were left out" "$NASHOST" run "$dir/skip.json" \
    --out "$dir/skipped" --set train.steps=3 train.batch=4 search.evaluations=2
check "so does the family" grep -q '"skipped_images": 3' "$dir/skipped/family.json"
rm "$photos/test/cat/"*
check "a class without a test image" says 0 'no test image, first "cat"' \
    "$NASHOST" run "$dir/skip.json" --dry-run --out "$dir/bad2"
exit $failed
