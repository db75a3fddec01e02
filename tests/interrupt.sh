#!/bin/sh
# Ctrl-C in a terminal, once or twice, in each stage of a run: how it ends, and that the same command
# then ends as a run that nobody disturbed.
set -u
. tests/lib/small-run
python3 -c 'import os, pty; os.close(os.openpty()[0])' 2>/dev/null || {
    echo "skipped: no python3, or no terminal can be opened"
    exit 77
}
python3 - "$dir" <<'END'
import hashlib, os, pty, select, shutil, signal, subprocess, sys, time

folder = sys.argv[1]
# Work enough for a stage to be met in the midst of it.
command = [os.environ["NASHOST"], "run", folder + "/p.json", "--set", "train.steps=100", "--set",
           "search.evaluations=60", "--set", "search.calibration_images=320", "--set",
           "dataset.options.test=4000"]
bad = 0


def check(good, what, text=""):
    global bad
    bad += not good
    print(("ok - " if good else "not ok - ") + what)
    if not good:
        print(text)


def run(out, met=None, presses=0):
    """Presses Ctrl-C when met() is true. Returns the exit code and what the terminal showed."""
    child, terminal = pty.fork()
    if not child:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execv(command[0], command + ["--out", out])
    text, pressed = b"", False
    while True:
        if select.select([terminal], [], [], 0.002)[0]:
            try:
                more = os.read(terminal, 65536)
            except OSError:
                break
            if not more:
                break
            text += more
        if not pressed and met and met():
            pressed = True
            os.write(terminal, b"\x03")
            for _ in range(presses - 1):
                time.sleep(0.01)
                try:
                    os.write(terminal, b"\x03")
                except OSError:
                    pass  # it has ended already
    status = os.waitpid(child, 0)[1]
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), text.decode("utf-8", "replace")


def digest(out):
    files = ["supernet.safetensors", "family.json", "search/any.jsonl", "search/tight.jsonl"]
    return [hashlib.sha256(open(out + "/" + name, "rb").read()).hexdigest() for name in files]


def size(name):
    try:
        return os.stat(name).st_size
    except OSError:
        return -1


code, text = run(folder + "/undisturbed")
check(code == 0, "the run ends well", text)
if code:
    sys.exit(1)
expected = digest(folder + "/undisturbed")
# Of each stage: what its message says, the file by which it is met and how long that is then, and
# what is there before it.
stages = {
    "train": ("at training step", "metrics.jsonl", 1, []),
    "search": ("in the search for", "tensorboard/search-any", 0, ["metrics.jsonl", "supernet.safetensors"]),
    "report": ("in the report", "family", 0, ["metrics.jsonl", "supernet.safetensors", "search"]),
}
for stage, (where, name, least, before) in stages.items():
    for presses in 1, 2:
        out = "%s/%s%d" % (folder, stage, presses)
        if before:
            os.mkdir(out)
        for part in before and before + ["pipeline.json", "split.json"]:
            copy = shutil.copytree if os.path.isdir(folder + "/undisturbed/" + part) else shutil.copy
            copy(folder + "/undisturbed/" + part, out + "/" + part)
        code, text = run(out, lambda: size(out + "/" + name) >= least, presses)
        what = "%s, Ctrl-C %s" % (stage, "once" if presses == 1 else "twice")
        check(code == 130, what + ": exit code 130", "%d\n%s" % (code, text))
        if presses == 1:
            check("stopping" in text and where in text and "the same command goes on" in text,
                  what + ": says where it stopped", text)
        check(not os.path.exists(out + "/family.json"), what + ": it is not finished")
        code, text = run(out)
        check(code == 0 and digest(out) == expected, what + ": the same command goes on, to the same "
              "bits", text)

# A dropped connection ends no run without saving; one that nohup started does not end at all.
for ignored in False, True:
    out = folder + ("/nohup" if ignored else "/hangup")
    what = "train, SIGHUP" + (" under nohup" if ignored else "")
    child = subprocess.Popen(
        command + ["--out", out], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=(lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) if ignored else None)
    while child.poll() is None and size(out + "/metrics.jsonl") < 1:
        time.sleep(0.002)
    child.send_signal(signal.SIGHUP)
    code = child.wait()
    check(code == (0 if ignored else 130), what + ": exit code", str(code))
    if not ignored:
        check(os.path.exists(out + "/checkpoint/state.safetensors"), what + ": saved")
        code, text = run(out)
    check(code == 0 and digest(out) == expected, what + ": ends with the same bits")
sys.exit(bad > 0)
END
