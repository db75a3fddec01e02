#!/bin/sh
# The export key "verify": files run in their engines, and who starts them. Also which name a file has.
set -u
python=$PWD/build/venv/bin/python
# shellcheck source=tests/lib/small-run
. tests/lib/small-run
ln -s "$PWD/tools" "$dir/tools"
ln -s "$PWD/docs" "$dir/docs"
not() { ! "$@"; }
run() { # words...
    "$NASHOST" run "$dir/p.json" --quiet --set train.steps=2 search.evaluations=4 "$@" 2>"$dir/stderr"
}
form() { # plugin, dtype
    echo "{\"plugin\": \"$1\", \"verify\": true, \"options\": {\"dtype\": \"$2\"}}"
}
both="export=[$(form tflite float32), $(form tflite int8)]"

# ---- An engine that is made up ----
export NASHOST_PYTHON="$dir/python"
answers() { # what the engine prints
    printf '#!/bin/sh\n[ -s "$2" ] && [ -s "$3" ] && [ -s "$4" ] || exit 3\necho "$2" >>"%s/started"\n%s\n' "$dir" "$1" >"$dir/python"
    chmod +x "$dir/python"
    rm -f "$dir/started"
}
figures() { # same answers, largest difference
    answers "echo '{\"engine\": \"Made up 1\", \"images\": 40, \"same_answers\": $1, \"largest_difference\": $2, \"largest_logit\": 4}'"
}
figures 36 0.03
run "$both" --out "$dir/a" >"$dir/table"
check "files are verified" grep -q 'any.tflite agrees in Made up 1: 36 of 40 answers are the host.s, logits of up to 4 differ by 0.03$' "$dir/table"
check "in 8 bits, too" grep -q 'tight.int8.tflite agrees' "$dir/table"
check "family.json says so" grep -q '"engine": "Made up 1"' "$dir/a/family.json"
check "and the report" grep -q 'Made up 1' "$dir/a/report.html"
check "an engine is started for each file" [ "$(wc -l <"$dir/started")" = 4 ]
rm "$dir/started"
"$NASHOST" report "$dir/a" --quiet >"$dir/table"
check "report of a run directory starts none" [ ! -e "$dir/started" ]
check "and says so" grep -q 'any.tflite is not verified: no program is started without --allow-commands' "$dir/table"
"$NASHOST" report "$dir/a" --quiet --allow-commands >"$dir/table"
check "but with --allow-commands" grep -q 'any.tflite agrees' "$dir/table"
rm "$dir/started"
run "$both" --out "$dir/b" --dry-run --allow-commands >"$dir/table"
check "a dry run starts none" [ ! -e "$dir/started" ]
figures 35 0.05
run "$both" --out "$dir/b" >"$dir/table"
check "a logit that is off is told" grep -q 'any.tflite DIFFERS' "$dir/table"
check "answers that differ in 8 bits are told" grep -q 'any.int8.tflite DIFFERS' "$dir/table"
check "in family.json as well" grep -q '"agrees": false' "$dir/b/family.json"
answers "echo '{\"missing\": \"no such engine\"}'"
check "a missing engine is no error" run "$both" --out "$dir/c"
"$NASHOST" report "$dir/c" --quiet --allow-commands >"$dir/table"
check "and told" grep -q 'any.tflite is not verified: no such engine' "$dir/table"
answers 'echo it burns >&2; exit 4'
check "an engine that fails is no error" run "$both" --out "$dir/d"
check "but told" grep -q 'any.tflite is not verified: it ended with exit status 4; its standard error ends with: it burns' "$dir/stderr"
rm "$dir/python"
run "$both" --out "$dir/e" >"$dir/table"
check "a Python that is not there is told" grep -q 'any.tflite is not verified: cannot start' "$dir/table"
check "nothing is left in TMPDIR" sh -c "mkdir '$dir/t' && TMPDIR='$dir/t' '$NASHOST' report '$dir/e' --quiet --allow-commands && rmdir '$dir/t'"

# ---- Names ----
run "export=[$(form tflite float32), $(form tflite float16), $(form tflite int8)]" --out "$dir/names" >"$dir/table"
for name in any.tflite any.float16.tflite any.int8.tflite; do
    check "family/$name is there" [ -s "$dir/names/family/$name" ]
done
check "names that collide are found by a dry run" not run "export=[$(form tflite float16), $(form tflite float16)]" --out "$dir/f" --dry-run
check "and named" grep -q 'export\[1\]: .tflite. writes family/any.float16.tflite for platform .any., as export\[0\] does already' "$dir/stderr"

# ---- Engines that are here ----
real() { # what is expected, module, plugin, dtype
    if ! "$python" -c "import $2" 2>/dev/null; then
        echo "ok - $1 verifies $3 in $4 # SKIP build/venv has no $2"
        return
    fi
    NASHOST_PYTHON=$python run "platforms.1.export=[$(form "$3" "$4")]" dataset.options.side=28 'space.resolution=[28]' platforms.1.constraints.macs=1000000 \
        --out "$dir/real" >"$dir/table"
    [ -s "$dir/table" ] || cat "$dir/stderr"
    check "$1 verifies $3 in $4" grep -q "tight: family/tight.* agrees in $1" "$dir/table"
}
real LiteRT ai_edge_litert tflite float32
real LiteRT ai_edge_litert tflite float16
real LiteRT ai_edge_litert tflite int8
real onnxruntime onnxruntime onnx float32
real onnxruntime onnxruntime onnx int8
real ncnn ncnn ncnn float32
real ncnn ncnn ncnn int8
real "C, " numpy c float32
real "C, " numpy c int8
exit "$failed"
