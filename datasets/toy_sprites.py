"""Flat pictures of what is in a toy street: cars, people, vehicles and street furniture, drawn from
simple shapes."""

import colorsys
from dataclasses import dataclass
from typing import List, Optional, Tuple

import cv2
import numpy as np

from knet.label_space import STEP

ID = {name: i for i, name in enumerate(STEP.classes)}
TRANSPARENT = 254  # in the class maps of sprites: nothing there
SPRITE_ROWS = 96


def hsv(hue: float, saturation: float, value: float) -> Tuple[int, int, int]:
    """RGB colour, 0..255; the hue is in turns and wraps, the others are cut to 0..1."""
    return tuple(
        int(255 * c)
        for c in colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    )


class Sprite:
    """A flat picture of an object: RGB colours (h, w, 3) and train ids (h, w), `TRANSPARENT`
    outside of the object.

    Drawing takes coordinates as fractions of the width and height. Without a label only colours
    change, so that markings may be painted across the object's outline. Edges are hard: image and
    class map agree in each pixel.
    """

    def __init__(self, metres: Tuple[float, float], fill: Tuple[int, int, int]):
        self.metres = metres  # height, width
        shape = (SPRITE_ROWS, max(4, round(SPRITE_ROWS * metres[1] / metres[0])))
        self.colour = np.full(shape + (3,), fill, np.uint8)
        self.classes = np.full(shape, TRANSPARENT, np.uint8)

    def polygon(self, points, colour, label: Optional[int] = None) -> None:
        """Fill the polygon with these (x, y) corners."""
        height, width = self.classes.shape
        corners = np.round(np.asarray(points, np.float64) * (width - 1, height - 1)).astype(
            np.int32
        )
        cv2.fillPoly(self.colour, [corners], colour)
        if label is not None:
            cv2.fillPoly(self.classes, [corners], label)

    def box(self, x0, y0, x1, y1, colour, label: Optional[int] = None) -> None:
        """Fill a rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, label)

    def disc(self, x, y, radius, colour, label: Optional[int] = None) -> None:
        """Fill a circle; the radius is a fraction of the height."""
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        narrow = self.metres[0] / self.metres[1]
        self.polygon(
            np.stack([x + radius * narrow * np.cos(angles), y + radius * np.sin(angles)], 1),
            colour,
            label,
        )

    def markings(self, x0, y0, x1, y1, look: 'Look') -> None:
        """Paint the cells of the look's grid that are set."""
        rows, cols = look.grid.shape
        for row, col in zip(*np.nonzero(look.grid)):
            left, top = x0 + (x1 - x0) * col / cols, y0 + (y1 - y0) * row / rows
            self.box(left, top, left + (x1 - x0) / cols, top + (y1 - y0) / rows, look.marking)

    def paste(self, other: 'Sprite', left: int) -> None:
        """Draw another sprite of the same height over this one, from column `left` on."""
        area = np.s_[:, left : left + other.classes.shape[1]]
        solid = other.classes != TRANSPARENT
        self.colour[area][solid] = other.colour[solid]
        self.classes[area][solid] = other.classes[solid]


@dataclass
class Look:
    """What an object keeps through its sequence, and by which it can be known again."""

    body: Tuple[int, int, int]
    marking: Tuple[int, int, int]
    second: Tuple[int, int, int]  # trousers; windows
    grid: np.ndarray  # (rows, columns), bool: where the markings are
    style: int  # form of the cabin; headgear and bag


def draw_look(rng: np.random.Generator, hue: float) -> Look:
    """The look of an object whose colour is around `hue`."""
    body = hsv(hue + rng.uniform(-0.05, 0.05), rng.uniform(0.65, 0.95), rng.uniform(0.5, 0.95))
    markings = (
        (245, 245, 245),
        (20, 20, 20),
        (250, 215, 40),
        hsv(hue + 0.5, 0.8, 0.9),
        hsv(hue + 0.33, 0.8, 0.8),
    )
    second = hsv(rng.random(), rng.uniform(0.2, 0.8), rng.uniform(0.15, 0.5))
    rows, cols = ((1, 3), (3, 1), (2, 4), (1, 5), (2, 2))[rng.integers(5)]
    return Look(
        body,
        markings[rng.integers(5)],
        second,
        rng.random((rows, cols)) < 0.5,
        int(rng.integers(3)),
    )


def person(look: Look, stride: float, label: int = ID['person']) -> Sprite:
    """Somebody who walks; `stride` in -1..1 is how far the legs are apart."""
    sprite = Sprite((1.8, 0.95), look.body)
    skin, swing = (205, 160, 130), 0.3 * stride
    for side in (-1, 1):
        hip, foot = 0.5 + 0.07 * side, 0.5 + 0.06 * side + swing * side
        sprite.polygon(
            [(hip - 0.15, 0.5), (hip + 0.15, 0.5), (foot + 0.13, 0.96), (foot - 0.13, 0.96)],
            look.second,
            label,
        )
        sprite.box(foot - 0.13, 0.95, foot + 0.18, 1, (20, 16, 16), label)
        hand = 0.5 + 0.3 * side - swing * side * 0.6
        sprite.polygon(
            [
                (0.5 + 0.16 * side, 0.18),
                (0.5 + 0.28 * side, 0.2),
                (hand + 0.06, 0.52),
                (hand - 0.06, 0.52),
            ],
            look.body,
            label,
        )
    sprite.polygon([(0.22, 0.17), (0.78, 0.17), (0.74, 0.54), (0.26, 0.54)], look.body, label)
    sprite.markings(0.29, 0.22, 0.71, 0.48, look)
    sprite.disc(0.5, 0.09, 0.09, skin, label)
    sprite.box(0.3, 0, 0.7, 0.05, ((50, 34, 24), look.marking, (190, 160, 90))[look.style], label)
    return sprite


def car_from_side(look: Look) -> Sprite:
    """A car that drives to the right."""
    label, sprite = ID['car'], Sprite((1.5, 4.2), look.body)
    back, top_left, top_right, front = (
        (0.14, 0.28, 0.64, 0.8),
        (0.03, 0.1, 0.62, 0.78),
        (0.02, 0.05, 0.76, 0.9),
    )[look.style]
    sprite.polygon(
        [(back, 0.46), (top_left, 0.03), (top_right, 0.03), (front, 0.46)], look.body, label
    )
    sprite.polygon(
        [(0.02, 0.42), (0.9, 0.44), (0.99, 0.54), (0.99, 0.82), (0.01, 0.82)], look.body, label
    )
    sprite.markings(0.28, 0.5, 0.72, 0.76, look)
    for x0, x1, x2, x3 in (
        (back + 0.06, top_left + 0.03, 0.42, 0.42),
        (0.46, 0.46, top_right - 0.02, front - 0.07),
    ):
        sprite.polygon([(x0, 0.43), (x1, 0.1), (x2, 0.1), (x3, 0.43)], look.second)
    sprite.box(0.94, 0.52, 0.99, 0.62, (250, 240, 190))
    sprite.box(0.01, 0.5, 0.04, 0.6, (200, 30, 25))
    for x in (0.19, 0.81):
        sprite.disc(x, 0.82, 0.17, (22, 22, 24), label)
        sprite.disc(x, 0.82, 0.08, (165, 165, 170))
    return sprite


def car_from_behind(look: Look, lights: Tuple[int, int, int]) -> Sprite:
    """A car that drives away from the camera or towards it; the colour of the lights says which."""
    label, sprite = ID['car'], Sprite((1.5, 1.8), look.body)
    inset = (0.2, 0.13, 0.07)[look.style]
    for x in (0.08, 0.74):
        sprite.box(x, 0.8, x + 0.18, 1, (22, 22, 24), label)
    sprite.polygon(
        [(0.08, 0.42), (inset + 0.06, 0.03), (0.94 - inset, 0.03), (0.92, 0.42)], look.body, label
    )
    sprite.box(0.02, 0.4, 0.98, 0.87, look.body, label)
    sprite.polygon(
        [(0.16, 0.4), (inset + 0.13, 0.1), (0.87 - inset, 0.1), (0.84, 0.4)], look.second
    )
    sprite.markings(0.24, 0.45, 0.76, 0.66, look)
    for x in (0.04, 0.8):
        sprite.box(x, 0.46, x + 0.16, 0.58, lights)
    sprite.box(0.36, 0.7, 0.64, 0.8, (235, 235, 225))
    return sprite


def bus(look: Look) -> Sprite:
    """A bus from the side."""
    label, sprite = ID['bus'], Sprite((3.1, 8.5), look.body)
    sprite.box(0.01, 0.04, 0.99, 0.88, look.body, label)
    for x in np.arange(0.04, 0.9, 0.12):
        sprite.box(x, 0.16, x + 0.1, 0.46, look.second)
    sprite.markings(0.1, 0.54, 0.9, 0.7, look)
    for x in (0.14, 0.3, 0.84):
        sprite.disc(x, 0.87, 0.12, (22, 22, 24), label)
    return sprite


def furniture(rng: np.random.Generator) -> Sprite:
    """Something that stands at the side of the street."""
    kind = rng.integers(5)
    if kind == 0:  # a tree
        sprite = Sprite((rng.uniform(4, 6), 3.2), (52, 84, 38))
        sprite.box(0.45, 0.55, 0.56, 1, (74, 58, 44), ID['vegetation'])
        for _ in range(9):
            x, y, green = rng.uniform(0.28, 0.72), rng.uniform(0.16, 0.55), rng.uniform(0.25, 0.5)
            sprite.disc(x, y, 0.15, hsv(rng.uniform(0.24, 0.33), 0.55, green), ID['vegetation'])
    elif kind == 1:  # a litter bin or box: a thing without a class of its own
        sprite = Sprite((1.1, 0.8), hsv(rng.random(), 0.3, 0.4))
        sprite.box(0.1, 0, 0.9, 1, hsv(rng.random(), 0.3, 0.45), STEP.void)
        sprite.box(0.1, 0, 0.9, 0.2, (45, 45, 48))
    elif kind == 2:  # a lamp post
        sprite = Sprite((5.5, 1.2), (130, 130, 132))
        sprite.box(0.4, 0.02, 0.6, 1, (130, 130, 132), ID['pole'])
        sprite.box(0.4, 0, 1, 0.04, (165, 165, 160), ID['pole'])
    else:
        light = kind == 3
        sprite = Sprite((3.4, 0.9), (130, 130, 132))
        sprite.box(0.38, 0.2, 0.62, 1, (120, 122, 124), ID['pole'])
        if light:
            sprite.box(0.1, 0, 0.9, 0.34, (30, 32, 30), ID['traffic light'])
            sprite.disc(
                0.5,
                0.07 + 0.2 * rng.integers(2),
                0.06,
                ((235, 60, 40), (70, 230, 110))[rng.integers(2)],
            )
        else:
            sprite.disc(
                0.5,
                0.14,
                0.135,
                ((205, 40, 40), (30, 80, 190), (240, 200, 40))[rng.integers(3)],
                ID['traffic sign'],
            )
            sprite.box(0.2, 0.1, 0.8, 0.18, (245, 245, 245))
    return sprite


def row_of(sprites: List[Sprite]) -> Sprite:
    """One picture of several sprites of equal height, each hiding a third of the one before: a
    crowd."""
    step = sprites[0].classes.shape[1] * 2 // 3
    width = step * (len(sprites) - 1) + sprites[-1].classes.shape[1]
    row = Sprite(
        (sprites[0].metres[0], sprites[0].metres[0] * width / SPRITE_ROWS),
        sprites[0].colour[0, 0].tolist(),
    )
    for i, sprite in enumerate(sprites):
        row.paste(sprite, min(i * step, row.classes.shape[1] - sprite.classes.shape[1]))
    return row
