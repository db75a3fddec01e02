#!/bin/sh
# A run directory belongs to one run at a time.
set -u
. tests/lib/small-run
command -v flock >/dev/null || {
    echo "skipped: no flock"
    exit 77
}
out=$dir/out
busy() { # what a second run says while somebody has the directory
    flock "$out" "$NASHOST" run "$dir/p.json" --out "$out" 2>"$dir/said"
    [ $? = 2 ] && grep "out: another nashost is at work in this directory" "$dir/said"
}
untouched() { [ -z "$(ls "$out")" ]; }
mkdir "$out"
check "a directory in use is refused" busy
check "and nothing is written there" untouched
check "a dry run may look" flock "$out" "$NASHOST" run "$dir/p.json" --out "$out" --dry-run
check "the run goes ahead once it is free" "$NASHOST" run "$dir/p.json" --out "$out"
check "and leaves it free" flock -n "$out" true
exit $failed
