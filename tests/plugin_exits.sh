#!/bin/sh
# A plugin of each kind that ends the process during a run, in each way that there is: plugin and
# function are named, and the exit code is 4, whatever status the plugin gave. What a child of its own
# does is not the plugin's end. A line: kind, function, and the flag of tests/bad_plugins/any.c.
set -u
. tests/lib/small-run
if ! ${CC:-cc} --version >/dev/null 2>&1; then echo "skipped: no compiler"; exit 77; fi
build() { # name, kind, flags...
    name=$1 kind=$2
    shift 2
    ${CC:-cc} -std=c17 -D_GNU_SOURCE -w -O0 -fPIC -shared -fvisibility=hidden -Icore/include \
        "-DKIND=$kind" "$@" tests/bad_plugins/any.c -o "$dir/$name.so" -lm
}
bad='{"plugin": "bad"}'
run_with() { # name, kind; sets code
    kind=$(echo "$2" | tr '[:upper:]' '[:lower:]')
    echo "{\"plugins\": [{\"id\": \"bad\", \"kind\": \"$kind\", \"path\": \"$dir/$1.so\"}]}" >"$dir/bad.json"
    case $kind in
    dataset) set -- "$1" --set "dataset=$bad" ;;
    ssl) set -- "$1" --set "train.ssl=$bad" ;;
    search) set -- "$1" --set search.plugin=bad ;;
    hardware) set -- "$1" --set "platforms=[{\"name\": \"any\", \"hardware\": $bad}]" ;;
    score) set -- "$1" --set "search.score=$bad" ;;
    export) set -- "$1" --set "export=[$bad]" ;;
    esac
    name=$1
    shift
    rm -rf "$dir/out"
    if [ "$kind" = import ]; then
        "$NASHOST" import "$dir/net.safetensors" --plugins "$dir/bad.json" --out "$dir/out.safetensors" \
            >"$dir/stdout" 2>"$dir/stderr"
    else
        "$NASHOST" run "$dir/p.json" --plugins "$dir/bad.json" --out "$dir/out" --threads 1 --quiet \
            --set train.steps=1 "$@" >"$dir/stdout" 2>"$dir/stderr"
    fi
    code=$?
}
# One tensor of one number.
header='{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
printf "\\$(printf %o ${#header})\\0\\0\\0\\0\\0\\0\\0%s\\0\\0\\0\\0" "$header" >"$dir/net.safetensors"

cat >"$dir/cases" <<'END'
DATASET|info|AT_info=_exit(0)
DATASET|read|AT_read=_Exit(0)
SSL|create|AT_create=_exit(0)
SSL|plan|AT_plan=quick_exit(0)
SSL|loss|AT_loss=_exit(0)
SEARCH|start|AT_start=_exit(0)
SEARCH|ask|AT_ask=exit(0)
SEARCH|tell|AT_tell=_exit(0)
HARDWARE|cost|AT_cost=_exit(0)
SCORE|create|AT_create=exit(0)
SCORE|extension|AT_extension=_exit(0)
SCORE|check|AT_check=_exit(7)
SCORE|start|AT_begin=exit(0)
SCORE|score|AT_score=_exit(0)
SCORE|score|AT_score=_Exit(0)
SCORE|score|AT_score=quick_exit(0)
SCORE|destroy|AT_destroy=_exit(0)
EXPORT|write|AT_write=_exit(0)
IMPORT|recognise|AT_recognise=_exit(0)
IMPORT|describe|AT_describe=exit(0)
END
n=0
while IFS='|' read -r kind function flag; do
    n=$((n + 1))
    build p "$kind" "-D$flag" || exit 1
    run_with p "$kind"
    if [ "$code" = 4 ] && grep -qF "plugin \"bad\": $function ended the process" "$dir/stderr"; then
        echo "ok - $kind $flag"
    else
        echo "not ok - $kind $flag: exit code $code: $(cat "$dir/stderr")"
        failed=1
    fi
done <"$dir/cases"
check "all were tried" [ $n = 20 ]

# Where no plugin is at work, the file is named that called.
build p SCORE '-DAT_ctor=atexit(late)' '-DLATE=_exit(0)'
run_with p SCORE
check "an exit handler of a plugin's cannot end with another status" [ "$code" = 4 ]
check "and its file is named" grep -qF "p.so ended the process" "$dir/stderr"

# A child may end as it likes, and its exit handlers say nothing; a sanitizer's would, of leaks.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
for end in _exit exit quick_exit; do
    build p SCORE "-DAT_score=int s;if(!fork())$end(3);if(wait(&s)<0||WEXITSTATUS(s)!=3)return 5"
    run_with p SCORE
    check "a plugin's child ends by $end" [ "$code" = 0 ]
    check "of which nobody hears" [ ! -s "$dir/stderr" ]
done
exit "$failed"
