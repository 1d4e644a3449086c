"""Pictures for the pictures: landscapes, portraits and a voice, made out of nothing and the same each time."""

from __future__ import annotations

import array
import io
import math
import random
import struct

from PIL import Image, ImageDraw, ImageFilter, ImageOps

Colour = tuple[int, int, int]

SKIES: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((52, 96, 168), (238, 196, 160), (24, 44, 66)),
    ((88, 158, 214), (226, 240, 244), (28, 74, 62)),
    ((46, 38, 92), (244, 132, 96), (26, 18, 44)),
    ((120, 190, 226), (255, 244, 214), (58, 92, 46)),
    ((24, 34, 74), (128, 152, 196), (12, 20, 40)),
    ((234, 150, 120), (255, 226, 188), (92, 52, 74)),
)
"""The sky above, the haze at the horizon, the nearest hills."""

SKINS: tuple[Colour, ...] = ((242, 206, 178), (224, 178, 140), (188, 136, 98), (140, 94, 66), (248, 218, 196))
HAIRS: tuple[Colour, ...] = ((44, 34, 32), (92, 58, 36), (168, 112, 56), (26, 26, 34), (122, 118, 120))
CLOTHES: tuple[Colour, ...] = ((58, 110, 165), (196, 92, 72), (92, 142, 96), (148, 104, 164), (226, 170, 72))


def landscape(seed: int, width: int = 1200, height: int = 800) -> bytes:
    """Hills behind hills, and a lake with them in it where the seed is even. JPEG."""
    chance = random.Random(seed)
    above, haze, near = SKIES[seed % len(SKIES)]
    picture = _between(above, haze, (width, height))
    _sun(picture, chance, haze)
    shore = int(height * (0.68 if seed % 2 == 0 else 1))
    draw = ImageDraw.Draw(picture)
    for layer in range(5):
        depth = (layer + 1) / 5
        colour = _mixed(haze, near, depth)
        base = shore * (0.45 + 0.5 * depth) if seed % 2 else shore * (0.62 + 0.36 * depth)
        draw.polygon(
            [(0, shore), *_ridge(chance, width, base, height * 0.13 * (1.2 - depth / 2)), (width, shore)], colour
        )
    if shore < height:
        water = ImageOps.flip(picture.crop((0, 2 * shore - height, width, shore)))
        water = water.filter(ImageFilter.GaussianBlur(4))
        picture.paste(Image.blend(water, Image.new("RGB", water.size, near), 0.28), (0, shore))
    return _jpeg(picture)


def portrait(seed: int, size: int = 256) -> bytes:
    """Somebody's head and shoulders. JPEG."""
    chance = random.Random(seed)
    large = size * 4
    skin, hair, cloth = chance.choice(SKINS), chance.choice(HAIRS), CLOTHES[seed % len(CLOTHES)]
    above, haze, _ = SKIES[(seed + 1) % len(SKIES)]
    picture = _between(_mixed(above, haze, 0.4), haze, (large, large))
    draw = ImageDraw.Draw(picture)

    def disc(x: float, y: float, across: float, down: float, colour: Colour) -> None:
        draw.ellipse([large * (x - across), large * (y - down), large * (x + across), large * (y + down)], colour)

    if seed % 2:
        disc(0.5, 0.5, 0.25, 0.36, hair)  # long hair
    disc(0.5, 1.06, 0.4, 0.34, cloth)
    draw.rectangle([large * 0.43, large * 0.55, large * 0.57, large * 0.78], _mixed(skin, (90, 50, 40), 0.15))
    disc(0.5, 0.4, 0.21, 0.22, hair)
    disc(0.5, 0.46, 0.175, 0.215, skin)
    for eye in (0.43, 0.57):
        disc(eye, 0.45, 0.017, 0.022, (40, 32, 36))
    draw.arc(
        [large * 0.43, large * 0.47, large * 0.57, large * 0.59], 25, 155, _mixed(skin, (130, 40, 40), 0.6), large // 70
    )
    draw.pieslice([large * 0.31, large * 0.17, large * 0.69, large * 0.6], 185, 355, hair)
    return _jpeg(picture.resize((size, size), Image.Resampling.LANCZOS))


def voice(seconds: float, seed: int = 1) -> bytes:
    """Something with syllables. WAV, 8 kHz, one channel."""
    chance, rate = random.Random(seed), 8000
    samples, phase = array.array("h"), 0.0
    while len(samples) < seconds * rate:
        pitch, length, loud = chance.uniform(110, 220), int(rate * chance.uniform(0.12, 0.3)), chance.uniform(0.2, 0.8)
        for at in range(length):
            phase += math.tau * pitch / rate
            samples.append(int(32000 * loud * math.sin(math.pi * at / length) ** 2 * math.sin(phase)))
        samples.extend([0] * int(rate * chance.uniform(0.02, 0.15)))
    told = samples[: int(seconds * rate)].tobytes()
    form = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    return b"RIFF" + struct.pack("<I", len(form) + 8 + len(told)) + form + b"data" + struct.pack("<I", len(told)) + told


def _between(above: Colour, below: Colour, size: tuple[int, int]) -> Image.Image:
    return ImageOps.colorize(Image.linear_gradient("L").resize(size), above, below)


def _sun(picture: Image.Image, chance: random.Random, haze: Colour) -> None:
    width, height = picture.size
    x, y, radius = width * chance.uniform(0.2, 0.8), height * chance.uniform(0.18, 0.36), height * 0.055
    for wide, strong in ((4.0, 60), (1.0, 230)):
        light = Image.new("L", picture.size, 0)
        reach = radius * wide
        ImageDraw.Draw(light).ellipse([x - reach, y - reach, x + reach, y + reach], strong)
        light = light.filter(ImageFilter.GaussianBlur(reach / 3 if wide > 1 else 2))
        picture.paste(_mixed(haze, (255, 252, 235), 0.8), (0, 0), light)


def _ridge(chance: random.Random, width: int, base: float, tall: float) -> list[tuple[float, float]]:
    waves = [(chance.uniform(0.6, 1.4) * 2**octave, chance.uniform(0, math.tau), 0.6**octave) for octave in range(7)]
    return [
        (x, base - tall * sum(strong * math.sin(math.tau * often * x / width + at) for often, at, strong in waves))
        for x in range(0, width + 4, 4)
    ]


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88)
    return file.getvalue()
