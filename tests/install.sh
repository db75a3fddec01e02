#!/bin/bash
# What `make install` installs works from its new place, and a stranger's plugin of every kind builds
# against it with pkg-config alone, passes its test and runs in a pipeline.
set -u
for tool in pkg-config cc make; do
    command -v $tool >/dev/null || { echo "skipped: there is no $tool (scripts/install-deps check)"; exit 77; }
done
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(realpath --relative-to="$root" "$(dirname "$NASHOST")")
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nashost-test-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
unset NASHOST_HOME NASHOST_PLUGINS
failed=0

check() { # what, and a command that must succeed
    local what=$1
    shift
    if "$@" >"$scratch/log" 2>&1 </dev/null; then
        echo "ok - $what"
    else
        echo "not ok - $what"
        cat "$scratch/log"
        failed=1
    fi
}
build_make() { # in the tree; what this build has made stays as it is
    make -C "$root" --no-print-directory -o all BUILD="$build" "$@"
}
own_make() { # outside the tree, with flags of its own
    env -u NASHOST -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u CC -u CFLAGS make --no-print-directory "$@"
}
says() { # words, then a command whose output must hold them
    local words=$1
    shift
    "$@" 2>&1 | tee "$scratch/said" | grep -qF -- "$words" || { cat "$scratch/said"; return 1; }
}
complete_as() { # words of a command line; prints the completions of the last one
    # shellcheck disable=SC2016
    PATH=$prefix/bin:$PATH bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _nashost; printf "%s\n" "${COMPREPLY[@]}"' - \
        "$prefix/share/bash-completion/completions/nashost" "$@"
}

# ---- Into a package's folder, and out of it again ----
stage=$scratch/stage
check "make install DESTDIR" build_make install DESTDIR="$stage" PREFIX=/usr
for file in bin/nashost lib/nashost/plugins.json lib/nashost/spaces/quickstart.json \
    lib/nashost/plugins/hardware/profiles/mcu.json lib/nashost/pipelines/bench.json \
    lib/nashost/docs/datasets.md lib/nashost/docs/run_safetensors.py include/nashost/plugin.h \
    include/nashost/kit/logits.h lib/libnashost-kit.a \
    lib/pkgconfig/nashost.pc share/man/man1/nashost.1 share/bash-completion/completions/nashost; do
    check "it installs $file" test -s "$stage/usr/$file"
done
check "the package's paths are without DESTDIR" grep -qx 'prefix=/usr' "$stage/usr/lib/pkgconfig/nashost.pc"
check "no source of a plugin is installed" test -z "$(find "$stage/usr/lib" -name '*.[ch]')"
check "the kit has no variables" test -z "$(size -A "$stage/usr/lib/libnashost-kit.a" | awk '$1 ~ /^[.](data|bss)$/ && $2 > 0')"
check "it works where it was staged" "$stage/usr/bin/nashost" plugins
touch "$stage/usr/lib/nashost/mine.json" "$stage/usr/include/nashost/mine.h"
check "make uninstall" build_make uninstall DESTDIR="$stage" PREFIX=/usr
check "which leaves the user's files alone" test "$(cd "$stage/usr" && find . -type f | sort | tr '\n' ' ')" = \
    "./include/nashost/mine.h ./lib/nashost/mine.json "

# ---- Names with blanks ----
mkdir -p "$scratch/my" "$scratch/my tools"
echo precious >"$scratch/my/thesis"
check "make install under a prefix with a blank" build_make install PREFIX="$scratch/my tools"
check "it works there" "$scratch/my tools/bin/nashost" plugins
blank_flags() {
    PKG_CONFIG_PATH="$scratch/my tools/lib/pkgconfig" pkg-config --cflags --libs nashost
}
check "a plugin compiles against it" bash -c "echo '#include <nashost/kit/logits.h>' |
    eval cc -fsyntax-only -x c - $(printf %q "$(blank_flags)")"
check "make uninstall there" build_make uninstall PREFIX="$scratch/my tools"
check "leaves no file" test -z "$(find "$scratch/my tools" -type f)"
check "and what it did not install" test -s "$scratch/my/thesis"

# ---- To be used ----
prefix=$scratch/opt
check "make install PREFIX" build_make install PREFIX="$prefix"
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
cd "$scratch" || exit 1
nashost=$prefix/bin/nashost
check "every installed plugin can be used" "$nashost" plugins
check "its version is the program's" says "nashost $(pkg-config --modversion nashost) " "$nashost" version
check "it finds its spaces" "$nashost" validate "$root/pipeline.json"
check "the schema is found and made" "$nashost" schema --out schema.json
for command in init run train search report eval compare validate schema lut plugins; do
    check "the manual has $command" grep -q "^usage: nashost $command" "$prefix/share/man/man1/nashost.1"
done
if command -v groff >/dev/null; then
    check "the manual is sound" test -z "$(groff -man -ww -Tutf8 "$prefix/share/man/man1/nashost.1" 2>&1 >/dev/null)"
fi
check "bash completes commands" says compare complete_as nashost com
check "bash completes options" says --threads complete_as nashost run --th
check "bash completes plugins" says fixmatch complete_as nashost plugins describe fixm
check "bash completes formats" says safetensors complete_as nashost export DIR --format safe
check "bash completes kinds" says hardware complete_as nashost plugins list --kind h
check "bash completes keys" says train.steps= complete_as nashost run "$root/pipeline.json" --set train.st
check "bash completes keys in lists" says platforms.0.name= \
    complete_as nashost run "$root/pipeline.json" --set platforms.0.n
check "the plugins of a kind" says "export    onnx" "$nashost" plugins list --kind export
check "and no others" test -z "$("$nashost" plugins list --kind export | grep -w search)"
check "bench finds its pipeline" "$nashost" validate "$prefix/lib/nashost/pipelines/bench.json"
check "bash completes subcommands" says describe complete_as nashost plugins desc

# ---- A stranger's plugins ----
# Makes a mistake in a copy of the plugin here: its test must fail, and say what it expected of whom.
mistaken() { # kind
    case $1 in
    dataset) mistake='s/0.7 : 0.2/0.1 : 0.9/' said='to be brighter in corner' ;;
    ssl) mistake='s/me->weight, term, err/me->weight, 2 * term, err/' said="logit 0 to be the loss's slope" ;;
    search) mistake='s/nas_mutate(.*/genes[0] = 0;/' said='ask() to succeed; it said: \|proposal [0-9]* ' ;;
    hardware) mistake='s/us += /us = /' said='3.02 ms, found 1.01' ;;
    score) mistake='s/sum += /sum = /' said='0.5 where both logits are the same, found 0.1' ;;
    export) mistake='s/weights, s, sum/biases, s, sum/' said='line 1 to be classifier' ;;
    cluster) mistake='s/data + from/data/' said='"abcde" of gather()' ;;
    import) mistake='s/"head.fc"/"fc"/' said='a checkpoint of its family to be recognised\|describe() to succeed\|10 classes' ;;
    esac
    mkdir wrong && sed "$mistake" "my-$1.c" >"wrong/my-$1.c" && cp Makefile "test_my-$1.c" wrong || return 1
    cmp -s "my-$1.c" "wrong/my-$1.c" && return 1
    (cd wrong && own_make "test_my-$1" && ! "./test_my-$1") 2>wrong/said
    grep " plugin \"my-$1\": expected .*\($said\)" wrong/said || { cat wrong/said; return 1; }
    rm -r wrong
}
for kind in dataset ssl search hardware score export import cluster; do
    check "a new $kind plugin is written" "$nashost" plugins new $kind "my-$kind"
    check "not twice" says "is there already" "$nashost" plugins new $kind "my-$kind"
    cd "my-$kind" || exit 1
    check "the $kind plugin builds" own_make
    check "without a warning" test -z "$(grep warning: "$scratch/log")"
    check "it exports its entry alone" test "$(nm -D --defined-only "my-$kind.so" | cut -d' ' -f3)" = nas_plugin_entry
    check "its test passes, and nashost takes it" own_make check
    check "without a warning either" test -z "$(grep warning: "$scratch/log")"
    check "a mistake in it is told by its own test" mistaken "$kind"
    check "it runs in a pipeline" own_make run
    check "which has an answer" grep -q '"test_top1"' runs/pipeline/family.json
    cd ..
done
exit $failed
