"""scripts/pth-to-safetensors on files that are written here, opcode by opcode: what it should take,
and what it must refuse. Without PyTorch. One "ok" or "not ok" line a check."""
import array
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import types
import warnings
import zipfile

SCRIPT = "scripts/pth-to-safetensors"
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("converter", SCRIPT)
converter = importlib.util.module_from_spec(importlib.util.spec_from_loader("converter", loader))
loader.exec_module(converter)
scratch = tempfile.TemporaryDirectory(prefix="nashost-test-")
SOURCE, TARGET = scratch.name + "/in.pth", scratch.name + "/out.safetensors"
bad = 0


def check(good, what, why=""):
    global bad
    bad += not good
    print(("ok - " if good else "not ok - ") + what + (": " + str(why) if not good else ""))


# ---- an assembler of pickles: each gives the bytes that push one value ---------------------------

def text(value):
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def tuple_of(*parts):
    return b"(" + b"".join(parts) + b"t"


def numbers(values):
    return tuple_of(*map(number, values))


def name(module, what):
    return b"c%s\n%s\n" % (module.encode(), what.encode())


def call(function, *arguments):
    return function + tuple_of(*arguments) + b"R"


def dictionary(entries):
    return b"}(" + b"".join(text(k) + v for k, v in entries) + b"u"


ORDERED_DICT = name("collections", "OrderedDict")
NONE, FALSE = b"N", b"\x89"


def storage(kind, key, numel, view=b""):
    return tuple_of(text("storage"), name("torch", kind + "Storage"), text(key), text("cpu"),
                    number(numel), view) + b"Q"


def tensor(of, offset, shape, strides):
    return call(name("torch._utils", "_rebuild_tensor_v2"), of, number(offset), numbers(shape),
                numbers(strides), FALSE, call(ORDERED_DICT))


def program(value):
    return b"\x80\x02" + value + b"."


def zipped(value, storages, order=b"little", compression=zipfile.ZIP_STORED, again=()):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        file.writestr("net/data.pkl", program(value))
        if order:
            file.writestr("net/byteorder", order)
        for key, raw in [*storages.items(), *again]:
            file.writestr("net/data/" + key, raw)
    return out.getvalue()


SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}


def legacy(value, storages, itemsize=4, system=SYSTEM, keys=None):
    out = b"".join(pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, system))
    out += program(value) + pickle.dumps(list(storages) if keys is None else keys, 2)
    for raw in storages.values():
        out += struct.pack("<q", len(raw) // itemsize) + raw
    return out


def floats(*values):
    return array.array("f", values).tobytes()


# ---- running it ----------------------------------------------------------------------------------

def start(*arguments):
    """In this process, which is faster than a hundred of their own."""
    out, errors, words = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = [SCRIPT, *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = converter.main()
    sys.argv = words
    return types.SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=errors.getvalue())


def run(data, *arguments):
    with open(SOURCE, "wb") as file:
        file.write(data)
    if os.path.exists(TARGET):
        os.unlink(TARGET)
    return start(SOURCE, TARGET, *arguments)


def contents():
    """{name: (shape, values)}, after checking that the file is as the format says."""
    with open(TARGET, "rb") as file:
        data = file.read()
    length, = struct.unpack_from("<Q", data)
    assert length % 8 == 0
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__")
    assert list(header) == sorted(header)
    out, at = {}, 0
    for key, entry in header.items():
        begin, end = entry["data_offsets"]
        assert begin == at and entry["dtype"] == "F32", entry
        out[key] = entry["shape"], list(array.array("f", data[8 + length + begin:8 + length + end]))
        at = end
    assert 8 + length + at == len(data)
    return out


def takes(what, data, expected, *arguments, says=""):
    told = run(data, *arguments)
    got = contents() if told.returncode == 0 else told.stderr
    check(got == expected and says in told.stdout + told.stderr, what, (got, told))


def refuses(what, data, *words, code=2, arguments=()):
    told = run(data, *arguments)
    lines = told.stderr.strip().split("\n")
    check(told.returncode == code and len(lines) == 1 and all(w in lines[0] for w in words)
          and os.listdir(scratch.name) == ["in.pth"], what, told)


ONE = tensor(storage("Float", "0", 6), 0, [2, 3], [3, 1])
SIX = {"0": floats(1, 2, 3, 4, 5, 6)}


def of_zip(value, *words, storages=None):
    return zipped(dictionary([("w", value)]), SIX if storages is None else storages)


def both(what, value, storages, expected):
    takes(what + ", zip", zipped(value, storages), expected)
    takes(what + ", older format", legacy(value, storages), expected)


# ---- what it takes -------------------------------------------------------------------------------

both("a tensor", dictionary([("w", ONE)]), SIX, {"w": ([2, 3], [1, 2, 3, 4, 5, 6])})
versions = b"}(" + text("_metadata") + call(ORDERED_DICT) + b"ub"
both("an OrderedDict with attributes", call(ORDERED_DICT) + b"(" + text("w") + ONE + b"u" + versions,
     SIX, {"w": ([2, 3], [1, 2, 3, 4, 5, 6])})
both("an OrderedDict of a list of pairs",
     call(ORDERED_DICT, b"](" + tuple_of(text("w"), ONE) + b"e"), SIX,
     {"w": ([2, 3], [1, 2, 3, 4, 5, 6])})
both("an offset, strides out of order, and a storage that is shared",
     dictionary([("t", tensor(storage("Float", "0", 6), 0, [3, 2], [1, 3])),
                 ("column", tensor(storage("Float", "0", 6), 1, [2], [3])),
                 ("tail", tensor(storage("Float", "0", 6), 4, [2, 1], [1, 99])),
                 ("one", tensor(storage("Float", "0", 6), 5, [], [])),
                 ("none", tensor(storage("Float", "0", 6), 0, [4, 0], [1, 1]))]), SIX,
     {"t": ([3, 2], [1, 4, 2, 5, 3, 6]), "column": ([2], [2, 5]), "tail": ([2, 1], [5, 6]),
      "one": ([], [6]), "none": ([4, 0], [])})
cube = {"0": floats(*range(120))}
both("four dimensions whose channels are last",
     dictionary([("w", tensor(storage("Float", "0", 120), 0, [2, 3, 4, 5], [60, 1, 15, 3]))]), cube,
     {"w": ([2, 3, 4, 5], [60 * o + i + 15 * y + 3 * x for o in range(2) for i in range(3)
                           for y in range(4) for x in range(5)])})
both("a parameter, and names as they are",
     dictionary([("module.b", call(name("torch._utils", "_rebuild_parameter"), ONE, FALSE,
                                   call(ORDERED_DICT))), ("module.a\u00e9", ONE)]), SIX,
     {"module.b": ([2, 3], [1, 2, 3, 4, 5, 6]), "module.a\u00e9": ([2, 3], [1, 2, 3, 4, 5, 6])})
view = tuple_of(text("v"), number(2), number(3))
takes("a view of a storage, older format",
      legacy(dictionary([("w", tensor(storage("Float", "0", 6, view), 1, [2], [1]))]), SIX),
      {"w": ([2], [4, 5])})

halves = [1.5, -0.25, 65504.0, float("inf"), 2.0 ** -24]
rows = [("Half", struct.pack("<5e", *halves), halves),
        ("BFloat16", b"".join(struct.pack("<f", v)[2:] for v in (1.5, -2.0, 2.0 ** 100)),
         [1.5, -2.0, 2.0 ** 100]),
        ("Double", struct.pack("<4d", 0.5, 1e-300, -3e38, float("inf")),
         [0.5, 0, array.array("f", [-3e38])[0], float("inf")])]
for kind, raw, values in rows:
    takes(kind + " becomes float32",
          of_zip(tensor(storage(kind, "0", len(values)), 0, [len(values)], [1]),
                 storages={"0": raw}), {"w": ([len(values)], values)})
many = [i % 2048 for i in range(70000)]
takes("more numbers than are converted at a time",
      of_zip(tensor(storage("Half", "0", 70000), 0, [70000], [1]),
             storages={"0": struct.pack("<70000e", *many)}), {"w": ([70000], many)})

count = tensor(storage("Long", "1", 1), 0, [], [])
takes("integers and what is no tensor are left out, and told",
      zipped(dictionary([("w", ONE), ("bn.num_batches_tracked", count), ("steps", count),
                         ("epoch", number(3))]), {**SIX, "1": struct.pack("<q", 7)}),
      {"w": ([2, 3], [1, 2, 3, 4, 5, 6])},
      says="left out: 1 num_batches_tracked; 'epoch'; 'steps'")
TWO = tensor(storage("Float", "0", 6), 0, [2], [1])
nested = dictionary([("epoch", number(3)), ("ema", dictionary([("e", TWO)])),
                     ("model", dictionary([("m", TWO)])), ("other", dictionary([("o", TWO)]))])
takes("the first entry that is known", zipped(nested, SIX), {"m": ([2], [1, 2])},
      says="from the entry 'model'")
takes("the entry that is asked for", zipped(nested, SIX), {"o": ([2], [1, 2])}, "--key", "other")
refuses("an entry that is not there", zipped(nested, SIX), "no entry 'net'",
        arguments=["--key", "net"])
takes("no record of the byte order", zipped(dictionary([("w", TWO)]), SIX, order=None),
      {"w": ([2], [1, 2])})

# ---- what it refuses: pickles that would do something -------------------------------------------

WITNESS = scratch.name + "/executed"
command = text("touch " + WITNESS)
hostile = {
    "os.system by REDUCE": (call(name("os", "system"), command), "os.system"),
    "posix.system by STACK_GLOBAL":
        (text("posix") + text("system") + b"\x93" + tuple_of(command) + b"R", "posix.system"),
    "builtins.eval, not called": (name("builtins", "eval"), "builtins.eval"),
    "a dotted name": (name("torch", "_utils.os.system"), "torch._utils.os.system"),
    "INST": (b"(" + command + b"ios\nsystem\n", "INST"),
    "OBJ": (b"(" + name("torch", "Size") + command + b"o", "OBJ"),
    "NEWOBJ": (name("torch", "Size") + tuple_of() + b"\x81", "NEWOBJ"),
    "EXT1": (b"\x82\x01", "EXT1"),
    "a text as persistent id": (b"P0\n", "PERSID"),
    "a call of a storage": (call(name("torch", "FloatStorage"), number(1)), "torch.FloatStorage"),
    "a call of a text": (call(text("os.system"), command), "expected a Name"),
    "attributes of a tensor": (ONE + b"}(" + text("x") + command + b"ub", "expected a dict"),
    "attributes of a name": (ORDERED_DICT + b"}b", "expected a dict"),
    "a class of a whole model": (call(name("torchvision.models.resnet", "ResNet")), "ResNet"),
}
for what, (value, word) in hostile.items():
    pair = dictionary([("w", ONE), ("x", value)])
    refuses(what + ", zip", zipped(pair, SIX), word, "byte ")
    refuses(what + ", older format", legacy(pair, SIX), word, "byte ")
refuses("a pickle by itself", pickle.dumps({"w": 1}), "not a file of torch.save")
refuses("os.system before the older format's object",
        program(call(name("os", "system"), command)), "not a file of torch.save")
check(not os.path.exists(WITNESS), "none of them was executed")

broken = {
    "a value is missing": b"(R", "a mark is missing": b"t", "nothing is remembered": b"h\x05",
    "cannot be read": b"X\xff\xff\xff\x7fabc", "list of pairs": call(ORDERED_DICT, number(1)),
    "no tuple": call(name("torch", "Size"), number(1)),
    "0 arguments": call(name("torch", "Size")), "expected a list": number(1) + number(2) + b"a",
    "a storage 0 of": tuple_of(text("storage"), name("torch", "FloatStorage"), number(0),
                               text("cpu"), number(6)) + b"Q",
    "a storage of type": tuple_of(text("storage"), name("torch", "Size"), text("0"), text("cpu"),
                                  number(6)) + b"Q",
    "expected a storage": tuple_of(text("module")) + b"Q", "unknown": b"\xff",
    "a tensor of 5": tensor(number(5), 0, [], []),
    "a dictionary's key is a tuple": b"}" + tuple_of() + number(1) + b"s",
    "stands twice": dictionary([("a", NONE), ("a", NONE)]),
}
for word, value in broken.items():
    refuses("a pickle where " + word, of_zip(value), word)

# ---- what it refuses: files that lie -------------------------------------------------------------

def numbers_of(kind, offset, shape, strides, numel=6):
    return tensor(storage(kind, "0", numel), offset, shape, strides)


lies = {
    "an element beyond the storage": (numbers_of("Float", 1, [2, 3], [3, 1]), "number 6 of"),
    "a stride beyond the storage": (numbers_of("Float", 0, [2], [6]), "number 6 of"),
    "a stride below 0": (numbers_of("Float", 5, [6], [-1]), "a stride of -1"),
    "a size below 0": (numbers_of("Float", 0, [-1], [1]), "a size of -1"),
    "an offset below 0": (numbers_of("Float", -1, [1], [1]), "a storage offset of -1"),
    "a size that is absurd": (numbers_of("Float", 0, [1 << 62, 1 << 62], [1, 1]), "last element"),
    "a size that is more": (numbers_of("Float", 0, [1 << 70], [0]), "a size of a int"),
    "repeated elements": (numbers_of("Float", 0, [1 << 40], [0]), "repeated"),
    "five dimensions": (numbers_of("Float", 0, [1] * 5, [1] * 5), "5 dimensions"),
    "a stride too few": (numbers_of("Float", 0, [2, 3], [3]), "1 strides"),
    "a size that is a text": (call(name("torch._utils", "_rebuild_tensor_v2"),
                                   storage("Float", "0", 6), number(0), tuple_of(text("6")),
                                   numbers([1]), FALSE, NONE), "a size of '6'"),
}
for what, (value, word) in lies.items():
    refuses(what + ", zip", of_zip(value), "tensor 'w'", word)
    refuses(what + ", older format", legacy(dictionary([("w", value)]), SIX), "tensor 'w'", word)
refuses("a storage that is smaller than it says", of_zip(numbers_of("Float", 0, [6], [1], 7)),
        "tensor 'w'", "storage '0' at byte", "has 24 bytes")
refuses("a storage of an absurd size", of_zip(numbers_of("Float", 0, [6], [1], 1 << 62)), "has 24 bytes")
refuses("a storage that is not there", of_zip(ONE, storages={}), "'w': storage '0' is not in")
refuses("a storage of that size in the older format",
        legacy(dictionary([("w", numbers_of("Float", 0, [6], [1], 1 << 62))]), SIX), "storage '0'")
huge = legacy(dictionary([("w", numbers_of("Float", 0, [6], [1], 1 << 60))]), {"0": b""})
refuses("a storage beyond the older format's end", huge[:-8] + struct.pack("<q", 1 << 60),
        "storage '0'", "beyond the file's end")
refuses("a view beyond its storage",
        legacy(dictionary([("w", tensor(storage("Float", "0", 6, tuple_of(
            text("v"), number(4), number(3))), 0, [1], [1]))]), SIX), "a view beyond storage '0'")
refuses("one storage with two types",
        legacy(dictionary([("w", ONE), ("v", numbers_of("Double", 0, [1], [1]))]), SIX), "two types")
refuses("a storage that is listed twice", legacy(dictionary([("w", ONE)]), SIX, keys=["0", "0"]),
        "'0' is there twice")
refuses("a storage that is not listed", legacy(dictionary([("w", ONE)]), {}), "'w'", "not in the file")
refuses("bytes too many", legacy(dictionary([("w", ONE)]), SIX) + b"x", "1 bytes from byte")
refuses("big-endian, zip", zipped(dictionary([("w", ONE)]), SIX, order=b"big"), "byte order")
refuses("big-endian, older format",
        legacy(dictionary([("w", ONE)]), SIX, system={"little_endian": False}), "byte order")
refuses("compressed records",
        zipped(dictionary([("w", ONE)]), SIX, compression=zipfile.ZIP_DEFLATED), "compressed")
with warnings.catch_warnings():  # zipfile warns of what it is asked to write
    warnings.simplefilter("ignore")
    twice = zipped(dictionary([("w", ONE)]), SIX, again=[("0", floats(0))])
refuses("a record that is there twice", twice, "'net/data/0' is there twice")
refuses("a name that is there twice",
        legacy(dictionary([("w", ONE), ("w", ONE)]), SIX), "'w' stands twice")
refuses("a float64 that float32 cannot hold",
        of_zip(numbers_of("Double", 0, [1], [1], 1), storages={"0": struct.pack("<d", 1e39)}),
        "tensor 'w'", "1e+39")
refuses("many tensors that share much", zipped(dictionary(
    [("w%d" % i, tensor(storage("Float", "0", 60000), 0, [60000], [1])) for i in range(20)]),
    {"0": bytes(240000)}), "20 tensors would take")
for wrong in ("", "a\nb", "x" * 96, "__metadata__", "\ud800"):
    refuses("the name %a" % wrong[:12], zipped(dictionary([(wrong, ONE)]), SIX), "expected a name")
refuses("no tensor", zipped(dictionary([("w", number(1))]), {}), "no dictionary of tensors")
refuses("integers alone", zipped(dictionary([("w", count)]), {"1": bytes(8)}), "no tensor of floating")
refuses("a zip of something else", zipped(NONE, {}).replace(b"data.pkl", b"data.txt"), "0 data.pkl")
refuses("an empty file", b"", "not a file of torch.save")
wrong_sum = bytearray(zipped(dictionary([("w", ONE)]), SIX))
at = bytes(wrong_sum).index(SIX["0"])
wrong_sum[at + 3] ^= 0x80
takes("a wrong checksum is told", bytes(wrong_sum), {"w": ([2, 3], [-1, 2, 3, 4, 5, 6])},
      says="checksum is wrong")

# ---- errors of files, and damage anywhere --------------------------------------------------------

told = start(scratch.name + "/none", TARGET)
check(told.returncode == 1 and "No such file" in told.stderr, "a file that is not there", told)
told = start("/dev/zero", TARGET)
check(told.returncode == 2 and "regular" in told.stderr, "a file without an end", told)
run(zipped(dictionary([("w", ONE)]), SIX))
told = start(SOURCE, scratch.name + "/none/x")
check(told.returncode == 1 and "No such file" in told.stderr, "a folder that is not there", told)
before = contents()
with open(SOURCE, "wb") as file:
    file.write(of_zip(numbers_of("Double", 0, [1], [1], 1), storages={"0": struct.pack("<d", 1e39)}))
told = subprocess.run([SCRIPT, SOURCE, TARGET], capture_output=True, text=True)
check(told.returncode == 2 and contents() == before and
      sorted(os.listdir(scratch.name)) == ["in.pth", "out.safetensors"],
      "an error leaves what was there, and nothing else", told)


def outcome(data):
    """Whether it is refused, by Bad and nothing else."""
    try:
        with open(SOURCE, "wb") as file:
            file.write(data)
        converter.convert(SOURCE, TARGET, None)
        return False
    except converter.Bad:
        return True


entries = dictionary([("w", ONE), ("t", tensor(storage("Float", "0", 6), 0, [3, 2], [1, 3]))])
for what, data in (("zip", zipped(entries, SIX)), ("older format", legacy(entries, SIX))):
    wrong = whole = ""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            whole = [n for n in range(len(data)) if not outcome(data[:n])]
            for i, byte in enumerate(data):
                for value in (0xFF, byte ^ 1):
                    outcome(data[:i] + bytes([value]) + data[i + 1:])
        except Exception as problem:  # what the program would end by, without a word for its user
            wrong = repr(problem)
    check(not wrong and not whole, what + ": cut at every length it is refused, no byte's change "
          "does more", wrong or whole)
sys.exit(bad > 0)
