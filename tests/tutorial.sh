#!/bin/bash
# Runs docs/tutorial-plugin.md: its C blocks go into the files that they name, its shell blocks are run
# in order, against an installation.
set -u
for tool in pkg-config cc make; do
    command -v $tool >/dev/null || { echo "skipped: there is no $tool (scripts/install-deps check)"; exit 77; }
done
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(realpath --relative-to="$root" "$(dirname "$NASHOST")")
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nashost-test-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
unset NASHOST_HOME NASHOST_PLUGINS
make -C "$root" -o all BUILD="$build" install PREFIX="$scratch/usr" >"$scratch/log" 2>&1 || {
    cat "$scratch/log"
    echo "not ok - make install"
    exit 1
}
# The page as one script. A file's first block empties it, the others are appended.
awk '
    /^```c [a-z_]+\.c$/ { file = $2; print "cat " (seen[file]++ ? ">>" : ">") file " <<\"END_OF_BLOCK\""; next }
    /^```sh$/ { shell = 1; print "echo \"ok - " ++n " blocks of commands\""; next }
    /^```/ && file { print "END_OF_BLOCK"; file = ""; next }
    /^```/ && shell { shell = 0; next }
    /^```/ { print "echo not ok - an unknown block; exit 1" }
    file || shell' "$root/docs/tutorial-plugin.md" >"$scratch/page.sh"
mkdir "$scratch/work"
cd "$scratch/work" || exit 1
export PATH=$scratch/usr/bin:$PATH PKG_CONFIG_PATH=$scratch/usr/lib/pkgconfig
env -u NASHOST -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u CC -u CFLAGS bash -eu -o pipefail "$scratch/page.sh" >"$scratch/log" 2>&1 </dev/null
status=$?
grep '^ok - ' "$scratch/log"
failed=0
check() { # what, and a command that must succeed
    what=$1
    shift
    if "$@"; then echo "ok - $what"; else echo "not ok - $what"; failed=1; fi
}
check "the page runs to its end" test $status = 0
check "no block makes a warning" test -z "$(grep warning: "$scratch/log")"
check "the loss trained a family" test -s margin/runs/pipeline/family.json
check "the strategy found one" test -s tournament/runs/pipeline/family.json
check "the comparison tells what differs" grep -q '^train.ssl.plugin  *margin  *fixmatch' "$scratch/log"
check "so does that of the searches" grep -q '^search.plugin  *tournament  *random' "$scratch/log"
# A page that promises about 50 lines keeps to it: without the blocks' descriptions of themselves.
for file in margin/margin.c tournament/tournament.c; do
    lines=$(sed '/^static const nas_plugin plugin/,$d' "$file" | grep -c .)
    check "$file has $lines lines before its description, at most 70" test "$lines" -le 70
done
[ $failed = 0 ] || cat "$scratch/log"
exit $failed
