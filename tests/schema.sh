#!/bin/sh
# The JSON Schema of pipelines, by a validator that is not ours: what is shipped validates, and what
# the program refuses, or would read otherwise, does not.
set -eu
python3 -W ignore -c 'from jsonschema import Draft202012Validator' 2>/dev/null || {
    echo "skipped: python3-jsonschema is not installed (scripts/install-deps check)"
    exit 77
}
root=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nashost-test-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
# The plugins of this build, and the shipped spaces and device profiles.
sed "s#build/plugins#$NASHOST_PLUGIN_DIR#" "$root/plugins.json" >"$scratch/plugins.json"
ln -s "$root/spaces" "$root/plugins" "$scratch/"
export NASHOST_HOME="$scratch"
unset NASHOST_PLUGINS
"$NASHOST" schema >"$scratch/schema.json"
"$NASHOST" schema --out "$scratch/again.json"
cmp "$scratch/schema.json" "$scratch/again.json"
cd "$root"
exec python3 -W ignore - "$scratch" <<'EOF'
import copy, glob, json, os, subprocess, sys
from jsonschema import Draft202012Validator

scratch, program = sys.argv[1], os.environ["NASHOST"]
schema = json.load(open(scratch + "/schema.json"))
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
bad = 0


def check(good, what):
    global bad
    bad += not good
    print(("ok - " if good else "not ok - ") + what)


def nashost(*words):
    return subprocess.run([program, *words], capture_output=True, text=True)


def complaints(pipeline):
    return [e.json_path + ": " + e.message for e in validator.iter_errors(pipeline)]


for name in ["pipeline.json"] + sorted(glob.glob("pipelines/*.json")):
    check(not complaints(json.load(open(name))), name + " validates")
    told = nashost("validate", name, "--json")
    check(told.returncode == 0 and not complaints(json.loads(told.stdout)),
          name + " with every default validates")

# A pipeline names no import plugin, and no cluster.
plugins = [p for p in json.loads(nashost("plugins", "--json").stdout)["plugins"] if p["kind"] not in ("import", "cluster")]
told = [json.loads(nashost("plugins", "describe", p["id"], "--json").stdout) for p in plugins]
for p in told:
    options = schema["$defs"][p["id"]]["properties"]
    same = list(options) == [o["name"] for o in p["options"]] and all(
        options[o["name"]].get("default") == o["default"] and
        options[o["name"]]["description"].startswith(o["help"]) for o in p["options"] if "default" in o)
    check(same, p["id"] + " has its options")

base = json.load(open("pipeline.json"))


def changed(path, value, base):
    pipeline = copy.deepcopy(base)
    place = pipeline
    *way, last = path
    for key in way:
        place = place.setdefault(key, {}) if isinstance(place, dict) else place[key]
    if value is None and last in place:
        del place[last]
    else:
        place[last] = value
    return pipeline


def both(path, value, good, base=base):
    pipeline = changed(path, value, base)
    with open(scratch + "/p.json", "w") as file:
        json.dump(pipeline, file)
    ours = nashost("validate", scratch + "/p.json").returncode == 0
    theirs = not complaints(pipeline)
    check(ours == good and theirs == good,
          "%s = %s is %s" % (".".join(map(str, path)), json.dumps(value), "right" if good else "wrong"))


wrong = [
    (["sead"], 1), (["seed"], "1"), (["seed"], -1), (["seed"], 1.5), (["dataset"], None),
    (["train", "stpes"], 5), (["train", "steps"], "many"), (["train", "steps"], 0),
    (["train", "mu"], 65), (["train", "teacher"], "larger"), (["train", "ssl"], None),
    (["train", "ssl", "plugin"], "fixmach"), (["train", "ssl", "plugin"], "evolution"),
    (["train", "ssl", "options", "threshold"], 1.01),
    (["train", "ssl", "options", "threshold"], True),
    (["train", "ssl", "options", "temperature"], 1), (["train", "ssl", "option"], {}),
    (["dataset", "options", "folder"], None), (["dataset", "options"], None),
    (["dataset", "options", "flip"], 1), (["augment", "crop"], 0.51), (["space"], 3),
    (["search", "evaluations"], 0), (["search", "options", "triez"], 1), (["platforms"], []),
    (["platforms", 0, "constraints", "latency"], 1),
    (["platforms", 0, "constraints", "latency_ms"], 0),
    (["platforms", 0, "constraints", "latency_ms"], "2 ms"), (["platforms", 0, "name"], 3),
    (["platforms", 0, "hardware"], {"plugin": "roofline"}), (["export"], {"plugin": "safetensors"}),
    (["space_restrict"], 3), (["space_restrict"], {"width": 24}), (["space_restrict"], {"kernel": 4}),
    (["space_restrict"], {"stages": []}), (["space_restrict"], {"stages": [{"stride": 1}]}),
]
right = [
    (["$schema"], "./schema.json"), (["seed"], 7), (["train", "mu"], 0), (["augment"], {}),
    (["train", "ssl"], {"plugin": "supervised"}), (["export"], []),
    (["platforms", 0, "constraints"], {"latency_ms": 2, "macs": 1000000}),
    (["train", "ssl"], {"plugin": "uda", "options": {"temperature": 0.5}}),
    (["space_restrict"], {"kernel": 3, "stages": [{}, {"depth": [1, 2]}, {"expand": 4}, {}]}),
]
for path, value in wrong:
    both(path, value, False)
for path, value in right:
    both(path, value, True)

# The same for a space and a genome that stand in the pipeline itself.
inline = copy.deepcopy(base)
inline["space"] = json.load(open("spaces/quickstart.json"))
inline["train"]["subnet_sampling"] = "fixed"
inline["train"]["genome"] = {"resolution": 28, "stages": [
    {"width": 16, "blocks": [{"kernel": 3, "expand": 1}]}] + [
    {"width": width, "blocks": [{"kernel": 5, "expand": 4}, {"kernel": 3, "expand": 2}]}
    for width in (24, 40, 64)]}
space, stage, head = ["space"], ["space", "stages", 1], ["space", "head"]
genome, block = ["train", "genome"], ["train", "genome", "stages", 1, "blocks", 0]
wrong = [
    (space + ["nmae"], "x"), (space + ["name"], ""), (space + ["name"], "x" * 40),
    (space + ["resolution"], 3), (space + ["resolution"], [28, 1025]), (space + ["resolution"], []),
    (space + ["resolution"], [28, 28]), (space + ["stem"], None), (space + ["stem", "widht"], 1),
    (space + ["stem", "kernel"], 4), (space + ["stem", "kernel"], [3]), (space + ["stem", "stride"], 3),
    (space + ["padding"], "valid"), (space + ["kernel_transform"], 1), (space + ["batch_norm_epsilon"], 0),
    (space + ["stem", "activation"], "hswish"), (space + ["stages"], []), (space + ["stages"], {}),
    (stage + ["expnad"], 4), (stage + ["kernel"], [3, 4]), (stage + ["kernel"], 9),
    (stage + ["depth"], 0), (stage + ["width"], "24"), (stage + ["width"], list(range(1, 10))),
    (stage + ["expand"], 0.5), (stage + ["expand"], [2.5, 2.5]), (stage + ["kernel"], [[3, 4], [3], [3]]),
    (block + ["expand"], 0.5), (stage + ["squeeze_excite"], 1), (stage + ["squeeze_excite"], {"divisor": 0}),
    (stage + ["squeeze_excite"], {"gates": "relu"}), (head + ["hidden_bias"], 0), (stage + ["activation"], None), (head + ["hiden"], []),
    (head + ["hidden"], [1, 2, 3]), (head + ["hidden"], [0]), (head + ["hidden_activation"], None),
    (genome + ["resolutoin"], 28), (genome + ["stages"], None), (genome + ["resolution"], "28"),
    (genome + ["stages", 0, "depth"], 1), (genome + ["stages", 1, "blocks"], []),
    (block + ["kernal"], 3), (block + ["kernel"], 4), (block + ["expand"], None),
    (["train", "genome"], 3),
]
right = [
    (space + ["padding"], "same"), (space + ["kernel_transform"], True), (space + ["batch_norm_epsilon"], 0.001),
    (stage + ["activation"], "relu6"), (space + ["name"], "mine"), (space + ["resolution"], 28), (stage + ["kernel"], [3, 5, 7]),
    (stage + ["expand"], [2, 2.5, 4]), (stage + ["kernel"], [[3, 5], [3, 5], [3]]),
    (stage + ["squeeze_excite"], True), (stage + ["squeeze_excite"], {"round_to": 8, "of": "input"}),
    (head + ["hidden_bias"], False), (head + ["hidden"], []), (head, {"width": 8, "activation": "relu"}),
    (block + ["kernel"], 3), (["space"], "quickstart"),
]
for path, value in wrong:
    both(path, value, False, inline)
for path, value in right:
    both(path, value, True, inline)
sys.exit(bad > 0)
EOF
