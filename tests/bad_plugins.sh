#!/bin/sh
# Plugins that are wrong in one place each: `nashost plugins check` says what, and none takes the
# program along. A line: kind, what is said (a part of it), and the flags of tests/bad_plugins/any.c.
set -u
. tests/lib/small-run
if ! ${CC:-cc} --version >/dev/null 2>&1; then echo "skipped: no compiler"; exit 77; fi
build() { # name, kind, flags...
    name=$1 kind=$2
    shift 2
    ${CC:-cc} -std=c17 -D_GNU_SOURCE -w -O1 -fPIC -shared -fvisibility=hidden -Icore/include \
        "-DKIND=$kind" "$@" tests/bad_plugins/any.c -o "$dir/$name.so" -lm
}

cat >"$dir/cases" <<'END'
SCORE|crashed|AT_ctor=CRASH
SCORE|hangs|AT_ctor=HANG
SCORE|ended the process|AT_ctor=EXIT
SCORE|ended the process|AT_ctor=exit(0)
SCORE|crashed|AT_entry=CRASH
SCORE|hangs|AT_entry=HANG
SCORE|ended the process|AT_entry=EXIT
SCORE|create crashed|AT_create=CRASH
SCORE|create did not end|AT_create=HANG
SCORE|create ended the process|AT_create=EXIT
SCORE|create crashed|AT_create=abort()
SCORE|create failed: it gave no reason|AT_create=return 5
SCORE|create changed the working directory|AT_create=if(chdir("/")){}
SCORE|create changed the umask|AT_create=umask(0)
SCORE|create changed the handler|AT_create=signal(SIGTERM,SIG_IGN)
SCORE|create changed the floating-point mode|AT_create=fesetround(FE_UPWARD)
SCORE|create changed the locale|AT_create=setlocale(LC_ALL,"C.UTF-8")
SCORE|destroy crashed|AT_destroy=CRASH
SCORE|destroy ended the process|AT_destroy=EXIT
SCORE|extension crashed|AT_extension=CRASH
SCORE|start failed: it gave no reason|AT_begin=return NAS_ERR_IO
SCORE|start crashed|AT_begin=CRASH
SCORE|score failed: it gave no reason|AT_score=return NAS_ERR_IO
SCORE|score crashed|AT_score=CRASH
SCORE|score did not end|AT_score=HANG
SCORE|score ended the process|AT_score=EXIT
SCORE|gives the score|AT_score=*value=NAN
SCORE|gives the score|AT_score=*value=INFINITY
SCORE|score changed the floating-point mode|AT_score=FLUSH
SCORE|score changed the working directory|AT_score=if(chdir("/")){}
SCORE|score failed|AT_score=return NAS_ERR_INTERRUPTED
SCORE|check failed: it gave no reason|AT_check=return NAS_ERR_IO
SCORE|check crashed|AT_check=CRASH
SCORE|check changed the umask|AT_check=umask(0)
SCORE|config_size|FIELDS=,.config_size=(size_t)-1
SCORE|offset|FIELDS=,.config_size=4
SCORE|option_size|FIELDS=,.option_size=0
SCORE|vtable|FIELDS=,.vtable=NULL
SCORE|summary|FIELDS=,.summary=NULL
SCORE|magic|FIELDS=,.magic=1
SCORE|ABI|FIELDS=,.abi_major=9
SCORE|size|SIZE_OF_TABLE(type)=0
SCORE|start|FIRST(function)=NULL
SCORE|default|OPTION=NAS_INT("level",config,level,"30",0,9,NULL,"x")
SCORE|default|OPTION=NAS_INT("level",config,level,"{",0,9,NULL,"x")
DATASET|info crashed|AT_info=CRASH
DATASET|info failed|AT_info=return 9
DATASET|images of|AT_info=out->height=0
DATASET|channels|AT_info=out->channels=2
DATASET|classes|AT_info=out->classes=0
DATASET|at most|AT_info=out->count[0]=UINT64_MAX
DATASET|no name for class|AT_info=static const char*const two[3]={"a",NULL,"c"};out->class_names=two
DATASET|read failed|AT_read=return NAS_ERR_IO
DATASET|read crashed|AT_read=CRASH
DATASET|read did not end|AT_read=HANG
DATASET|gives label 3|AT_read=if(labels)labels[0]=3
DATASET|gives label -1|AT_read=if(labels)labels[n-1]=-1
DATASET|read changed the umask|AT_read=umask(0)
DATASET|fingerprint crashed|AT_fingerprint=CRASH
DATASET|fingerprint changed the umask|AT_fingerprint=umask(0)
SSL|plan crashed|AT_plan=CRASH
SSL|plans 1000 views|AT_plan=out->n_views=1000
SSL|augmentation|AT_plan=out->views[0].augment=7
SSL|loss failed|AT_loss=return NAS_ERR_IO
SSL|loss crashed|AT_loss=CRASH
SSL|loss is|AT_loss=result->loss=NAN
SSL|gradient is not finite|AT_loss=result->labelled_grad[0]=INFINITY
SSL|pseudo-label 3|AT_loss=result->pseudo_labels[0]=3
SSL|pseudo-label -2|AT_loss=result->pseudo_labels[0]=-2
SSL|with weight|AT_loss=result->weights[0]=NAN
SSL|metrics|AT_loss=result->n_metrics=1000
SSL|without a name|AT_loss=result->n_metrics=1
SSL|loss changed the floating-point mode|AT_loss=fesetround(FE_UPWARD)
SSL|loss changed the handler|AT_loss=signal(SIGINT,SIG_DFL),signal(SIGUSR1,SIG_IGN)
SSL|bytes crashed|AT_extension=if(!strcmp(id,NAS_EXT_STATE))return&state_api|AT_bytes=CRASH
SSL|save crashed|AT_extension=if(!strcmp(id,NAS_EXT_STATE))return&state_api|AT_save=CRASH
SSL|save failed|AT_extension=if(!strcmp(id,NAS_EXT_STATE))return&state_api|AT_save=return 2
SSL|load failed|AT_extension=if(!strcmp(id,NAS_EXT_STATE))return&state_api|AT_load=return 2
SSL|load changed the working directory|AT_extension=if(!strcmp(id,NAS_EXT_STATE))return&state_api|AT_load=if(chdir("/")){}
SSL|size: expected at least|AT_extension=if(!strcmp(id,NAS_EXT_STATE))return&short_api
SSL|got NULL|AT_extension=if(!strcmp(id,NAS_EXT_STATE))return&null_api
SEARCH|start failed|AT_start=return 1
SEARCH|start crashed|AT_start=CRASH
SEARCH|ask failed|AT_ask=return 1
SEARCH|ask crashed|AT_ask=CRASH
SEARCH|ask did not end|AT_ask=HANG
SEARCH|gives 1000|AT_ask=*count=1000
SEARCH|beyond its arity|AT_ask=genomes[0]=999
SEARCH|tell failed|AT_tell=return 1
SEARCH|tell crashed|AT_tell=CRASH
SEARCH|tell ended the process|AT_tell=EXIT
HARDWARE|cost failed|AT_cost=return 1
HARDWARE|cost crashed|AT_cost=CRASH
HARDWARE|cost did not end|AT_cost=HANG
HARDWARE|latency_ms -5|AT_cost=out->latency_ms=-5
HARDWARE|latency_ms inf|AT_cost=out->latency_ms=INFINITY
HARDWARE|energy_mj -1|AT_cost=out->energy_mj=-1
HARDWARE|known_share 2|AT_cost=out->known_share=2
EXPORT|write failed|AT_write=return 1
EXPORT|write crashed|AT_write=CRASH
EXPORT|write ended the process|AT_write=EXIT
EXPORT|wrote nothing|AT_write=if(truncate(path,0)){}
EXPORT|write changed the working directory|AT_write=if(chdir("/")){}
IMPORT|recognise failed: it gave no reason|AT_recognise=return 1
IMPORT|recognise crashed|AT_recognise=CRASH
IMPORT|recognise did not end|AT_recognise=HANG
IMPORT|describe failed: it gave no reason|AT_describe=return 1
IMPORT|describe ended the process|AT_describe=EXIT
IMPORT|not valid JSON|AT_describe=out->space[0]='?'
IMPORT|locate failed: it gave no reason|AT_locate=return 1
IMPORT|locate changed the working directory|AT_locate=if(chdir("/")){}
IMPORT|spare crashed|AT_spare=CRASH
IMPORT|spare changed the umask|AT_spare=umask(0)
CLUSTER|this is rank 1 of 1|AT_rank=number=1
CLUSTER|rank crashed|AT_rank=CRASH
CLUSTER|broadcast failed: it gave no reason|AT_broadcast=return 1
CLUSTER|broadcast did not end|AT_broadcast=HANG
CLUSTER|as rank 0's part|AT_gather=words[0]=1
CLUSTER|gather changed the umask|AT_gather=umask(0)
CLUSTER|end gives 1 as rank 0's part|AT_begin_gather=words[0]=1
CLUSTER|end failed: it gave no reason|AT_end_gather=return 1
END

for kind in DATASET SSL SEARCH HARDWARE SCORE EXPORT IMPORT CLUSTER; do
    build good $kind && check "$kind without a fault is accepted" "$NASHOST" plugins check "$dir/good.so"
done
# One that was built for a later host of this ABI: what is new in it is not read.
build newer SCORE '-DFIELDS=,.abi_minor=99,.size=sizeof(nas_plugin)+64' &&
    check "a newer minor version is accepted" "$NASHOST" plugins check "$dir/newer.so"
n=0
while IFS='|' read -r kind said one two; do
    n=$((n + 1))
    what="$n: $kind ${two:-$one}"
    rm -f "$dir/p$n.so"
    build "p$n" "$kind" "-D$one" ${two:+"-D$two"} || { echo "not ok - $what: does not compile"; failed=1; continue; }
    "$NASHOST" plugins check "$dir/p$n.so" --seconds 1 >"$dir/stdout" 2>"$dir/stderr" </dev/null
    code=$?
    if { [ $code = 4 ] || [ $code = 2 ]; } && grep -qF -e "$said" "$dir/stderr"; then
        echo "ok - $what"
    else
        echo "not ok - $what: exit code $code: $(cat "$dir/stderr")"
        failed=1
    fi
done <"$dir/cases"
check "at least 60 of them" [ $n -ge 60 ]

if ldd "$NASHOST" | grep -qE 'libasan|libtsan' || nm "$NASHOST" 2>/dev/null | grep -q __tsan_init; then
    exit "$failed" # a sanitizer tells of crashes itself
fi
# In a run: a crash and an exit name plugin and function, and a slow one is told of.
run_with() { # name
    echo "{\"plugins\": [{\"id\": \"bad\", \"kind\": \"score\", \"path\": \"$dir/$1.so\"}]}" >"$dir/bad.json"
    NASHOST_SLOW_SECONDS=1 "$NASHOST" run "$dir/p.json" --plugins "$dir/bad.json" --out "$dir/$1" \
        --quiet --set train.steps=1 --set search.score.plugin=bad >"$dir/stdout" 2>"$dir/stderr"
}
build crash SCORE '-DAT_score=*(volatile int *)0 = 1'
run_with crash
check "a crash in a run names plugin and function" grep -q 'plugin "bad": score crashed (segmentation' "$dir/stderr"
build leave SCORE '-DAT_score=exit(0)'
run_with leave
code=$?
check "an exit in a run names plugin and function" grep -q 'plugin "bad": score ended the process' "$dir/stderr"
check "and is no success" [ $code = 4 ]
build slow SCORE '-DAT_begin=sleep(3)'
run_with slow
check "a slow call is told of" grep -q 'plugin "bad": start has not returned for' "$dir/stderr"
build silent SCORE '-DAT_score=return NAS_ERR_IO'
run_with silent
code=$?
check "a failure without a message fails the search" [ $code = 1 ]
check "and leaves no family" [ ! -e "$dir/silent/family.json" ]
exit "$failed"
