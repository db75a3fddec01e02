#!/bin/sh
# report.html of a small run: its data against the run's files, that it needs no network, and that a
# browser shows it without an error. Needs python3, and chromium for the last part.
set -u
. tests/lib/small-run
out=$dir/run
page=$out/report.html
check "a run writes report.html" "$NASHOST" run "$dir/p.json" --out "$out" --quiet
check "it is there" test -s "$page"

# The addresses in the file name the charts' library; the browser is told to load nothing.
no_network() {
    grep -q "default-src 'none'" "$page" || return 1
    ! grep -oE '(https?:|wss?:)?//[a-z0-9-]+\.[a-z][a-z0-9./-]*' "$page" | grep -vxE 'https://(www.chartjs.org|github.com/kurkle/color)' &&
        ! grep -nE '@import|url\(|<(link|img|iframe|object|embed)\b|\bsrc=|XMLHttpRequest|\bfetch\(|WebSocket|sendBeacon|importScripts' "$page"
}
check "it refers to nothing outside of itself" no_network

if command -v python3 >/dev/null; then
    check "its data are those of the run" python3 - "$out" <<'END'
import base64, json, re, sys
out = sys.argv[1]
page = open(out + "/report.html", encoding="utf-8").read()
text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1)
assert not set(text) & set("<>&"), "not escaped"
data = json.loads(text)
read = lambda name: json.load(open(f"{out}/{name}"))
lines = lambda name: [json.loads(line) for line in open(f"{out}/{name}")]
near = lambda a, b: a == b or abs(a - b) <= 1e-5 * abs(b)
family, split = read("family.json"), read("split.json")
assert json.loads(data["pipeline"]) == read("pipeline.json")
assert [p["genome"] for p in data["family"]["platforms"]] == [p["genome"] for p in family["platforms"]]
metrics = lines("metrics.jsonl")
assert [line["step"] for line in data["training"]] == [line["step"] for line in metrics]
assert all(near(a["loss"], b["loss"]) for a, b in zip(data["training"], metrics) if "loss" in b)
assert "validation_top1" in data["training"][-1]
for shown, answer in zip(data["platforms"], family["platforms"]):
    candidates = lines(f"search/{answer['name']}.jsonl")
    assert len(shown["candidates"]) == len(candidates)
    keys = ["score", "violation", "latency_ms", "energy_mj", "peak_bytes", "flash_bytes", "macs", "params"]
    for a, b in zip(shown["candidates"], candidates):
        assert all(near(x, b[key]) for x, key in zip(a, keys) if x is not None or b[key] is not None), (a, b)
    assert candidates[shown["chosen"]]["genome"] == answer["genome"]
    assert sum(layer["macs"] for layer in shown["layers"]) == answer["macs"]
    cells = shown["confusion"]
    assert sum(n for _, _, n in cells) == 80
    assert all(sum(n for c, _, n in cells if c == k) == 20 for k in range(4))
    assert near(sum(n for c, a, n in cells if c == a) / 80, answer["test_top1"])
gallery = data["gallery"]
apart = set(split["labelled"]) | set(split["validation"]) | set(split["heldout"])
assert len(gallery["images"]) == len({i["index"] for i in gallery["images"]}) == 12
for image in gallery["images"]:
    assert image["index"] not in apart and image["label"] == image["index"] % 4
    assert 0.25 <= image["confidence"] <= 1 and 0 <= image["answer"] < 4
    weak, strong = (base64.b64decode(image[k], validate=True) for k in ("weak", "strong"))
    assert len(weak) == len(strong) == 12 * 12
assert sum(n for n, _ in data["confidence"]) == 40
assert all(0 <= right <= n for n, right in data["confidence"])
assert data["machine"]["command"][1] == "run" and data["machine"]["threads"] >= 1
END
else
    echo "ok - its data are those of the run # SKIP no python3"
fi

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -n "$browser" ]; then
    HOME=$dir timeout 120 "$browser" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --user-data-dir="$dir/browser" --enable-logging=stderr --virtual-time-budget=5000 \
        --dump-dom "file://$page" >"$dir/dom" 2>"$dir/console"
    shows() {
        [ "$(grep -o 'class="block' "$dir/dom" | wc -l)" -ge 8 ] &&
            [ "$(grep -o '<canvas' "$dir/dom" | wc -l)" -ge 31 ] &&
            grep -q 'id="matrix"' "$dir/dom" && grep -q '<td>tight</td>' "$dir/dom"
    }
    check "a browser shows it" shows
    no_error() { ! grep -E 'CONSOLE|Uncaught|Refused to' "$dir/console"; }
    check "the browser's console is empty" no_error
else
    echo "ok - a browser shows it # SKIP no chromium"
fi
exit $failed
