#!/bin/sh
# What a dry run says of memory is what a run takes, within a tenth, or 4 MiB. Needs python3, for the peak.
set -u
command -v python3 >/dev/null || exit 77
# Sanitizers keep books of their own.
! ldd "$NASHOST" | grep -qE 'lib[a-z]+san' && ! grep -qc __asan_init "$NASHOST" && ! grep -qc __tsan_init "$NASHOST" || exit 77
. tests/lib/small-run
peak() { # settings
    python3 - "$dir" "$@" <<'END'
import json, os, subprocess, sys
folder, *settings = sys.argv[1:]
command = [os.environ["NASHOST"], "run", folder + "/p.json", "--out", folder + "/run", "--threads", "1",
           "--set", "train.steps=2", "search.evaluations=2", *settings]
plan = json.loads(subprocess.run([*command, "--dry-run", "--json"], capture_output=True).stdout)
said = plan["memory"]["peak_bytes"]
process = subprocess.Popen([*command, "--quiet"], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
subprocess.run(["rm", "-r", folder + "/run"])
seen = usage.ru_maxrss * 1024
print(f"said {said}, seen {seen}")
# Of a small run most is what libraries take for themselves, which pages and loads vary.
sys.exit(status or abs(said - seen) > max(0.1 * seen, 4 << 20))
END
}
check "a small run" peak
check "a larger batch" peak train.batch=128 train.subnets=4
check "the same in parts" peak train.batch=128 train.subnets=4 train.accumulate=4
check "large colour images, many for calibration" peak \
    'dataset.options={"classes":4,"side":64,"channels":3,"train":800,"test":200,"extra":500}' \
    space.resolution=[64] search.calibration_images=500 split.labelled=40
check "images that do not fit" peak dataset.memory=4000000 \
    'dataset.options={"classes":4,"side":64,"channels":3,"train":3000,"test":800,"extra":500}' \
    space.resolution=[64] split.labelled=40
exit $failed
