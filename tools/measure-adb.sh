#!/bin/sh
# Times a .tflite file on a phone, by adb and LiteRT's benchmark_model.
set -u
usage() {
    cat <<'END'
usage: tools/measure-adb.sh [options] net.tflite

Copies the file to a phone that adb knows, runs it there in LiteRT's benchmark_model, and prints what
nashost's hardware plugin `command` wants: the median of a run in milliseconds as "latency_ms" (the mean,
where benchmark_model tells no median), and beside it "spread", the standard deviation as a share of it, and
"runs". benchmark_model must lie on the phone already:

    adb push android_aarch64_benchmark_model /data/local/tmp/benchmark_model
    adb shell chmod +x /data/local/tmp/benchmark_model

  -s SERIAL    which phone, as `adb devices` lists it; none: the only one
  -t THREADS   (1)
  -m MASK      the cores to run on, hexadecimal as taskset wants it, such as 80 for the eighth; none: any
  -r RUNS      that count (50), after 10 that do not
  -b PATH      benchmark_model on the phone (/data/local/tmp/benchmark_model)
END
}
fail() {
    echo "tools/measure-adb.sh: $*" >&2
    exit 1
}

serial='' threads=1 mask='' runs=50 benchmark=/data/local/tmp/benchmark_model
while getopts s:t:m:r:b:h option; do
    case $option in
    s) serial=$OPTARG ;;
    t) threads=$OPTARG ;;
    m) mask=$OPTARG ;;
    r) runs=$OPTARG ;;
    b) benchmark=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# = 1 ] || { usage >&2; exit 2; }
# What becomes part of a command on the phone holds no words of a shell.
for word in "$threads" "$mask" "$runs"; do
    case $word in *[!0-9a-fA-F]*) fail "expected a number, found '$word'" ;; esac
done
case $benchmark in *[!A-Za-z0-9._/-]*) fail "-b: expected a plain path, found '$benchmark'" ;; esac
[ -f "$1" ] || fail "$1: there is no such file"
command -v adb >/dev/null || fail "there is no adb in PATH (Debian: apt install adb)"

phone() { # words for adb; its standard input stays away from them
    if [ -n "$serial" ]; then adb -s "$serial" "$@" </dev/null; else adb "$@" </dev/null; fi
}
there=/data/local/tmp/nashost-$$.tflite
trap 'phone shell rm -f "$there" >/dev/null 2>&1' EXIT
trap 'exit 1' HUP INT TERM
said=$(phone push "$1" "$there" 2>&1) || fail "adb push: $said"
said=$(phone shell "${mask:+taskset $mask }$benchmark --graph=$there --num_threads=$threads --warmup_runs=10 --num_runs=$runs" 2>&1) ||
    fail "$benchmark on the phone: $(echo "$said" | tail -c 500)"
# The last "count=" line is that of the runs that count.
echo "$said" | tr -d '\r' | awk '
    /count=[0-9]/ {
        delete value
        for (i = 1; i <= NF; i++)
            if (split($i, pair, "=") == 2) value[pair[1]] = pair[2]
    }
    END {
        us = ("median" in value) ? value["median"] : value["avg"]
        if (!(us > 0)) exit 1
        printf "{\"latency_ms\": %.6g, \"spread\": %.4g, \"runs\": %d}\n", us / 1000, value["std"] / us, value["count"]
    }' || fail "expected a line 'count=... avg=...' of $benchmark, found: $(echo "$said" | tail -c 500)"
