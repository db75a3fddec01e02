"""Writes augment.bin.gz: RandAugment's operations as Pillow computes them, for test_augment.c.

    pip install Pillow && python3 augment.py

Records, one after the other: the operation (index in nas_augment_op), the level in percent, negative
(0 or 1), height, width, channels (one byte each), the fill colour [channels], the input and the
output [height][width][channels].
"""
import gzip
import math
import os
import random

from PIL import Image, ImageEnhance, ImageOps

FILL = (90, 40, 200)


def picture(height, width, channels, seed):
    """Waves and noise over a part of the grey levels, so that autocontrast has work to do."""
    draw = random.Random(seed)
    data = bytearray()
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                wave = math.sin(x * (0.5 + 0.2 * c)) + math.cos(y * 0.7 + c)
                data.append(int(115 + 38 * wave + draw.randrange(-15, 16)))
    return Image.frombytes("L" if channels == 1 else "RGB", (width, height), bytes(data))


def affine(image, matrix):
    fill = FILL[0] if image.mode == "L" else FILL
    return image.transform(image.size, Image.AFFINE, matrix, Image.BILINEAR, fillcolor=fill)


def rotate(image, level, sign):
    fill = FILL[0] if image.mode == "L" else FILL
    return image.rotate(30 * level * sign, Image.BILINEAR, fillcolor=fill)


def factor(level):
    return 0.95 - 0.9 * level


# In the order of nas_augment_op: name, function of (image, level, sign), whether the sign counts.
OPS = [
    ("autocontrast", lambda i, v, s: ImageOps.autocontrast(i), False),
    ("brightness", lambda i, v, s: ImageEnhance.Brightness(i).enhance(factor(v)), False),
    ("color", lambda i, v, s: ImageEnhance.Color(i).enhance(factor(v)), False),
    ("contrast", lambda i, v, s: ImageEnhance.Contrast(i).enhance(factor(v)), False),
    ("equalize", lambda i, v, s: ImageOps.equalize(i), False),
    ("identity", lambda i, v, s: i, False),
    ("posterize", lambda i, v, s: ImageOps.posterize(i, 8 - min(4, int(5 * v))), False),
    ("rotate", rotate, True),
    ("sharpness", lambda i, v, s: ImageEnhance.Sharpness(i).enhance(factor(v)), False),
    ("shear_x", lambda i, v, s: affine(i, (1, 0.3 * v * s, 0, 0, 1, 0)), True),
    ("shear_y", lambda i, v, s: affine(i, (1, 0, 0, 0.3 * v * s, 1, 0)), True),
    ("solarize", lambda i, v, s: ImageOps.solarize(i, int(256 * (1 - v))), False),
    ("translate_x", lambda i, v, s: affine(i, (1, 0, 0.3 * v * s * i.width, 0, 1, 0)), True),
    ("translate_y", lambda i, v, s: affine(i, (1, 0, 0, 0, 1, 0.3 * v * s * i.height)), True),
]


def record(op, percent, negative, image):
    channels = len(image.getbands())
    _, function, _ = OPS[op]
    out = function(image, percent / 100, -1 if negative else 1)
    head = bytes([op, percent, negative, image.height, image.width, channels])
    return head + bytes(FILL[:channels]) + image.tobytes() + out.tobytes()


def main():
    data = b""
    for channels in (1, 3):
        small = picture(8, 9, channels, channels)
        large = picture(24, 25, channels, 10 + channels)  # equalize needs 2 * 255 pixels for a step of 2
        for op, (name, _, signed) in enumerate(OPS):
            for percent in (0, 30, 85):
                for negative in (0, 1) if signed else (0,):
                    data += record(op, percent, negative, small)
            if name in ("autocontrast", "equalize"):
                data += record(op, 0, 0, large)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "augment.bin.gz")
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, 0) as out:
        out.write(data)


if __name__ == "__main__":
    main()
