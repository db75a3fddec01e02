#!/bin/sh
# Files as NumPy writes them, and safetensors files of NumPy's types, in the variants that the formats
# allow: what a run makes of them is what it makes of the plainest ones.
set -u
. tests/lib/small-run
python=build/venv/bin/python3
"$python" -c 'import numpy' 2>/dev/null || {
    echo "skipped: no NumPy in build/venv (scripts/python-env makes it)"
    exit 77
}
"$python" - "$dir" <<'END'
import gzip, os, struct, sys
import numpy as np
os.chdir(sys.argv[1])
rng = np.random.default_rng(1)
x, tx = (rng.integers(0, 256, (n, 12, 12, 1), dtype=np.uint8) for n in (120, 40))
y, ty = (np.arange(n) % 4 for n in (120, 40))


def save(name, x, y, tx, ty, how=None):
    os.mkdir(name)
    for key, a in {"x": x, "y": y, "tx": tx, "ty": ty}.items():
        np.save(f"{name}/{key}.npy", a)


save("plain", x, y, tx, ty)
save("fortran", np.asfortranarray(x), y, np.asfortranarray(tx), np.asfortranarray(ty[:, None]))
save("uint16", x.astype("<u2"), y.astype("<u2"), tx.astype(">u2"), ty.astype(">i8"))
save("int64", np.asfortranarray(x.astype(np.int64)), y.astype(np.int8), tx.astype(">i4"), ty)
save("transposed", x[..., 0], y, tx[:, :, :, 0], ty)
np.savez("stored.npz", x=x, y=y, tx=tx, ty=ty)
np.savez_compressed("deflated.npz", x=np.asfortranarray(x), y=y, tx=tx.astype(np.uint16), ty=ty)


def idx(name, kind, codes):
    code, dtype = codes
    os.mkdir(name)
    for key, a in {"x": x[..., 0], "y": y, "tx": tx[..., 0], "ty": ty}.items():
        head = struct.pack(">BBBB", 0, 0, code, a.ndim) + struct.pack(f">{a.ndim}I", *a.shape)
        data = head + a.astype(dtype).tobytes()
        if kind == "gz":
            gzip.open(f"{name}/{key}.gz", "wb").write(data)
        else:
            open(f"{name}/{key}", "wb").write(data)


for i, codes in enumerate([(8, ">u1"), (0xB, ">i2"), (0xC, ">i4"), (0xD, ">f4"), (0xE, ">f8")]):
    idx(f"idx{i}", "gz" if i % 2 else "plain", codes)
END

train() { # name, options of the data set
    "$NASHOST" run "$dir/p.json" --until train --out "$dir/run-$1" --quiet --set "dataset=$2" \
        --set train.steps=3 --set split.labelled=16 --set split.validation=4 --set split.heldout=8
}
cat >"$dir/tensors.py" <<'END'
import json
import numpy as np
types = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "I64": "<i8"}
names = {np.dtype(t): n for n, t in types.items()}


def load(path):
    data = open(path, "rb").read()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    meta = header.pop("__metadata__", None)
    take = lambda e: np.frombuffer(data[end:][slice(*e["data_offsets"])], types[e["dtype"]]).reshape(e["shape"])
    return {k: take(e) for k, e in header.items()}, meta


def save(path, tensors, meta, reverse=False):
    header, data = {}, b""
    for k, a in tensors.items():
        header[k] = {"dtype": names[a.dtype], "shape": a.shape, "data_offsets": [len(data), len(data) + a.nbytes]}
        data += a.tobytes()
    if reverse:
        header = dict(reversed(header.items()))
    text = json.dumps({"__metadata__": meta, **header}).encode()
    open(path, "wb").write(len(text).to_bytes(8, "little") + text + data)
END
weights() { # name: the tensors alone, since metadata may differ
    PYTHONPATH=$dir "$python" - "$dir/run-$1/supernet.safetensors" <<'END'
import hashlib, sys
from tensors import load
tensors, _ = load(sys.argv[1])
print(hashlib.sha256(b"".join(k.encode() + tensors[k].tobytes() for k in sorted(tensors))).hexdigest())
END
}
same_weights() { # name, options
    train "$1" "$2" && test "$(weights "$1")" = "$(weights plain)"
}
npy() { # how an array is named, around its key
    echo "{\"plugin\": \"npy\", \"options\": {\"flip\": false, \"train_images\": \"${1}x$2\",
     \"train_labels\": \"${1}y$2\", \"test_images\": \"${1}tx$2\", \"test_labels\": \"${1}ty$2\"}}"
}
train plain "$(npy plain/ .npy)" || exit 1
for name in fortran uint16 int64 transposed; do
    check "npy: $name" same_weights "$name" "$(npy $name/ .npy)"
done
check "npz: stored" same_weights stored "$(npy stored.npz: '')"
check "npz: deflated" same_weights deflated "$(npy deflated.npz: '')"
for i in 0 1 2 3 4; do
    check "idx: type $i" same_weights "idx$i" "{\"plugin\": \"idx\", \"options\": {\"folder\": \"idx$i\",
     \"flip\": false, \"train_images\": \"x\", \"train_labels\": \"y\", \"test_images\": \"tx\",
     \"test_labels\": \"ty\"}}"
done

# The weights of a run, written anew.
eval_to() { # file
    "$NASHOST" eval "$dir/run-plain" --json >"$1"
}
convert() { # expression of a tensor a, whether the header is the other way round
    PYTHONPATH=$dir "$python" - "$dir/run-plain/supernet.safetensors" "$dir/kept" "$1" "$2" <<'END'
import os, sys
import numpy as np
from tensors import load, save
path, kept, expression, reverse = sys.argv[1:]
if not os.path.exists(kept):
    os.rename(path, kept)
tensors, meta = load(kept)
if reverse == "True":
    meta.pop("checksum")  # which is of the header's order
save(path, {k: eval(expression, {"a": a, "np": np}) for k, a in tensors.items()}, meta, reverse == "True")
END
}
eval_to "$dir/eval-before" || exit 1
same_eval() { # expression, other way round
    convert "$1" "$2" && eval_to "$dir/eval-after" && cmp "$dir/eval-before" "$dir/eval-after"
}
check "safetensors: float32" same_eval a False
check "safetensors: another order of the header" same_eval a True
check "safetensors: float64" same_eval 'a.astype(np.float64)' False
check "safetensors: some float64" same_eval 'a.astype(np.float64) if a.ndim == 1 else a' False
halves() {
    convert 'a.astype(np.float16)' False && eval_to "$dir/eval-half" &&
        convert 'a.astype(np.float16).astype(np.float64)' False && eval_to "$dir/eval-double" &&
        cmp "$dir/eval-half" "$dir/eval-double"
}
check "safetensors: float16 is what it is in float64" halves
exit $failed
