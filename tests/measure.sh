#!/bin/sh
# tools/measure-*, as the hardware plugin `command` runs them.
set -u
python=$PWD/build/venv/bin/python
# shellcheck source=tests/lib/small-run
. tests/lib/small-run
if [ ! -x "$python" ]; then
    echo "skipped: there is no build/venv with the engines (scripts/python-env makes it)"
    exit 77
fi
cat >"$dir/g.json" <<'END'
{"resolution": 12, "stages": [{"width": 8, "blocks": [{"kernel": 3, "expand": 2}]},
 {"width": 16, "blocks": [{"kernel": 3, "expand": 3}]}]}
END

cost() { # export plugin, its dtype or null, words of the command
    "$NASHOST" cost "$dir/p.json" --allow-commands --genome "$dir/g.json" --json --set "platforms=[{\"name\": \"here\",
        \"hardware\": {\"plugin\": \"command\", \"options\": {\"command\": [$3, \"{file}\"],
        \"export\": \"$1\", \"export_dtype\": $2, \"retries\": 0, \"device\": \"here\"}}}]"
}
engine="\"$python\", \"tools/measure-engine.py\", \"--seconds\", \"0.02\""

has() { # Python module
    "$python" -c "import $1" 2>/dev/null
}
answers() { # what, module, export plugin, dtype
    if has "$2"; then
        check "$1" sh -c 'echo "$1" | grep -q "\"latency_ms\": [0-9.e-]*[1-9]"' sh "$(cost "$3" "$4" "$engine" 2>&1)"
    else
        echo "ok - $1 # SKIP build/venv has no $2"
    fi
}
answers "LiteRT times a float32 file" ai_edge_litert tflite null
answers "LiteRT times an int8 file of a subnet that nobody trained" ai_edge_litert tflite '"int8"'
answers "onnxruntime times a file" onnxruntime onnx null
answers "ncnn times a file" ncnn ncnn null

# Vela is installed by who needs it; here its report is made up.
mkdir "$dir/bin"
cat >"$dir/bin/vela" <<'END'
#!/bin/sh
[ "$(dd if="$1" bs=1 skip=4 count=4 2>/dev/null)" = TFL3 ] || exit 1
[ "$2 $3 $4" = "--accelerator-config ethos-u55-128 --output-dir" ] || exit 1
echo "CPU operators = $CPU (1.0%)"
echo "NPU operators = 9 (90.0%)"
echo "inference_time,sram_memory_used,on_chip_flash_memory_used,off_chip_flash_memory_used,cycles_total
0.0025,16.5,0.0,32.0,1000" >"$5/net_summary_x.csv"
END
chmod +x "$dir/bin/vela"
PATH=$dir/bin:$PATH
export PATH CPU
vela="\"$python\", \"tools/measure-vela.py\", \"--all\""
CPU=0
cost tflite '"int8"' "$vela" >"$dir/vela" 2>&1
check "Vela's report is a latency" grep -q '"latency_ms": 2.5' "$dir/vela"
check "... and memory" grep -q '"peak_bytes": 16896' "$dir/vela"
check "... and flash" grep -q '"flash_bytes": 32768' "$dir/vela"
CPU=1
cost tflite '"int8"' "$vela" >"$dir/vela" 2>&1
check "operators that are left to the CPU are said" grep -q "1 of 10 operators are left to the CPU" "$dir/vela"

# So is a phone: an adb that keeps its files in a folder, and what benchmark_model prints there.
mkdir "$dir/phone"
cat >"$dir/bin/adb" <<'END'
#!/bin/sh
echo "$*" >>"$PHONE/said"
[ "$1 $2" = "-s emulator" ] && shift 2
place() { echo "$PHONE/$(basename "$1")"; }
case $1 in
push) cp "$2" "$(place "$3")" ;;
shell)
    shift
    case $* in
    "rm -f "*) rm "$(place "$3")" ;;
    "taskset 80 /data/local/tmp/benchmark_model --graph="*" --num_threads=2 --warmup_runs=10 --num_runs=50")
        graph=${1#*--graph=} && graph=${graph%% *}
        [ "$(dd if="$(place "$graph")" bs=1 skip=4 count=4 2>/dev/null)" = TFL3 ] || exit 1
        [ "$PRINTS" = nothing ] && exit 0
        printf 'count=10 first=9 curr=9 min=9 max=9 avg=9000 std=1\r\n'
        printf 'count=50 first=3 curr=3 min=2 max=4 avg=2600 std=52%s\r\n' "$PRINTS"
        echo "Inference timings in us: Init: 20, First inference: 3, Warmup (avg): 9, Inference (avg): 2600" ;;
    *) exit 1 ;;
    esac ;;
esac
END
chmod +x "$dir/bin/adb"
PHONE=$dir/phone
export PHONE PRINTS
adb='"tools/measure-adb.sh", "-s", "emulator", "-t", "2", "-m", "80"'
PRINTS=
cost tflite null "$adb" >"$dir/adb" 2>&1
check "a phone times a file" grep -q '"latency_ms": 2.6' "$dir/adb"
check "and keeps none" [ "$(ls "$PHONE")" = said ]
PRINTS=" p5=2500 median=2550 p95=2700"
cost tflite '"int8"' "$adb" >"$dir/adb" 2>&1
check "by the median where it is told" grep -q '"latency_ms": 2.55' "$dir/adb"
PRINTS=nothing
cost tflite null "$adb" >"$dir/adb" 2>&1
check "a phone that tells no time is an error" grep -q "expected a line .count=... avg=.... of /data/local/tmp/benchmark_model" "$dir/adb"
check "no word reaches the phone's shell" sh -c '! tools/measure-adb.sh -t "1;reboot" plugins.json 2>"$0/words" && grep -q "expected a number" "$0/words"' "$dir"
check "nothing was asked of it then" sh -c '! grep -q reboot "$PHONE/said"'
exit $failed
