#!/bin/sh
# tools/measure-*.py, as the hardware plugin `command` runs them.
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
exit $failed
