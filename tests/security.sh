#!/bin/sh
# What starts a program and what does not, whose files are written, and what reaches the terminal.
set -u
. tests/lib/small-run
run="$NASHOST run $dir/p.json --quiet --set train.steps=2 --set search.evaluations=4"
not() { ! "$@"; }
alive() { [ -e "/proc/$1" ] && ! grep -q '^State:.*Z' "/proc/$1/status"; } # a zombie is not

# ---- Programs: docs/security.md ----
cat >"$dir/measure" <<END
#!/bin/sh
echo started >>"$dir/started"
echo '{"latency_ms": 1}'
END
chmod +x "$dir/measure"
command="platforms.0.hardware={\"plugin\":\"command\",\"options\":{\"command\":[\"$dir/measure\"]}}"
starts() { # command...; whether it started the program
    rm -f "$dir/started"
    "$@" >"$dir/stdout" 2>"$dir/stderr"
    code=$?
    [ -e "$dir/started" ]
}
check "a dry run starts no program" not starts $run --set "$command" --out "$dir/dry" --dry-run
check "and ends well" [ $code = 0 ]
check "and says so" grep -q 'is not started in a dry run' "$dir/stderr"
check "a dry run with --allow-commands does" starts $run --set "$command" --out "$dir/dry" --dry-run --allow-commands
check "a run starts it" starts $run --set "$command" --out "$dir/run"
check "cost does not" not starts "$NASHOST" cost "$dir/p.json" --set "$command"
check "and says what to do" grep -q 'allow-commands' "$dir/stderr"
check "cost --allow-commands does" starts "$NASHOST" cost "$dir/p.json" --set "$command" --allow-commands
for stage in report search; do
    check "$stage of a run directory does not" not starts "$NASHOST" $stage "$dir/run" --set 'search.evaluations=5'
done
check "report --allow-commands does" starts "$NASHOST" report "$dir/run" --allow-commands
check "a run of a directory's own pipeline does not" not starts "$NASHOST" run "$dir/run/pipeline.json" --out "$dir/other"
check "but --allow-commands does" starts "$NASHOST" run "$dir/run/pipeline.json" --out "$dir/other" --allow-commands

# What the program started ends with it, and it ends with the host.
cat >"$dir/measure" <<END
#!/bin/sh
sleep 300 &
echo \$! >"$dir/child"
echo '{"latency_ms": 1}'
END
starts "$NASHOST" cost "$dir/p.json" --set "$command" --allow-commands
sleep 0.2
check "children of the program end with it" not alive "$(cat "$dir/child")"
cat >"$dir/measure" <<END
#!/bin/sh
echo \$\$ >"$dir/child"
exec sleep 300
END
rm -f "$dir/child"
"$NASHOST" cost "$dir/p.json" --set "$command" --allow-commands >"$dir/stdout" 2>&1 &
host=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -s "$dir/child" ] && break
    sleep 0.2
done
kill -KILL $host
wait $host 2>"$dir/stderr"
sleep 0.3
check "the program ends with the host" not alive "$(cat "$dir/child")"

# ---- Whose files ----
mkdir "$dir/mine"
cp "$dir/p.json" "$dir/mine/pipeline.json"
echo mine >"$dir/mine/metrics.jsonl"
before=$(cksum "$dir"/mine/*)
check "--out . is refused where it would replace something" not sh -c "cd '$dir/mine' && '$NASHOST' run pipeline.json --out ."
check "and nothing is changed" [ "$before" = "$(cksum "$dir"/mine/*)" ]
mkdir "$dir/split" && grep -v drawn "$dir/run/split.json" | tee "$dir/mine.json" >"$dir/split/split.json" # by hand
$run --out "$dir/split" --until train >"$dir/stdout" 2>&1
rm -f "$dir/split/supernet.safetensors"
sed 's/16, "validation"/15, "validation"/' "$dir/p.json" >"$dir/p2.json"
check "a split of the user's is not removed when a key changes" not "$NASHOST" run "$dir/p2.json" --out "$dir/split" --quiet
check "and stays as it was" cmp "$dir/mine.json" "$dir/split/split.json"
mkdir "$dir/linked" "$dir/elsewhere" && ln -s "$dir/elsewhere" "$dir/linked/checkpoint"
check "a link in place of a folder is refused" not $run --out "$dir/linked"
check "and not written through" rmdir "$dir/elsewhere"
cp -R "$dir/run" "$dir/inner" && mkdir "$dir/inner/next" "$dir/elsewhere" && ln -s "$dir/elsewhere" "$dir/inner/next/search"
check "nor is one in the folder of what is not finished" not $run --out "$dir/inner"
check "that stays empty, too" rmdir "$dir/elsewhere"
mkdir -p "$dir/theirs/next" && echo mine >"$dir/theirs/next/file"
check "a folder next that no run has made is not removed" not $run --out "$dir/theirs"
check "and keeps its files" [ -e "$dir/theirs/next/file" ]
mkdir "$dir/lines" && echo kept >"$dir/kept" && ln -s "$dir/kept" "$dir/lines/metrics.jsonl" && touch "$dir/lines/.nashost"
$run --out "$dir/lines" >"$dir/stdout" 2>&1
check "a link in place of metrics.jsonl is not written through" grep -qx kept "$dir/kept"

# ---- Plugins ----
cp "$NASHOST_PLUGIN_DIR/score/macs.so" "$dir/open.so"
chmod o+w "$dir/open.so"
check "a plugin that anyone may write to is refused" not "$NASHOST" plugins check "$dir/open.so"
check "unless that is allowed" env NASHOST_TRUST_WRITABLE=1 "$NASHOST" plugins check "$dir/open.so"

# ---- Pipes, devices and folders are not read ----
mkfifo "$dir/pipe"
for file in "$dir/pipe" /dev/zero "$dir"; do
    timeout 10 "$NASHOST" validate "$file" >"$dir/stdout" 2>&1
    check "validate $(basename "$file"): refused at once" [ $? = 2 ]
done
for words in "cost $dir/p.json --genome $dir/pipe" "run $dir/p.json --plugins $dir/pipe" \
    "cost $dir/p.json --set platforms.0.hardware.options.profile=$dir/pipe"; do
    timeout 10 "$NASHOST" $words >"$dir/stdout" 2>&1
    check "${words%% *} with a pipe: refused at once" [ $? = 2 ]
done

# ---- The terminal ----
sed 's/"name": "small"/"name": "s\\u001b[31m\\u009bx"/' "$dir/p.json" >"$dir/p3.json"
"$NASHOST" run "$dir/p3.json" --out "$dir/dry" --dry-run >"$dir/stdout" 2>&1
check "no control character of a file's is printed" not grep -q "$(printf '\033\|\302\233')" "$dir/stdout"
check "but the rest of the name is" grep -q 's \[31m' "$dir/stdout"

# ---- Limits of the system ----
check "a file that may not grow is an error of its write" sh -c "ulimit -f 8; $run --out '$dir/full' 2>&1 | grep -q 'cannot write'"
for kb in 30000 60000 90000; do
    ! grep -q '__[at]san_init' "$NASHOST" || break # sanitizers want terabytes of addresses
    (ulimit -v $kb; $run --out "$dir/small$kb") >"$dir/stdout" 2>"$dir/stderr"
    code=$?
    check "no memory ($kb kB): it works, or says so" sh -c "[ $code = 0 ] || grep -q memory '$dir/stderr'"
done
exit "$failed"
