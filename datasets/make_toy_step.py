"""Draws a small set of street videos in STEP layout: enough to train, test and evaluate Video K-Net
without a download.

    python datasets/make_toy_step.py data/toy_step

    OUT/video_sequence/{train,val}/{sequence:06d}_{frame:06d}_{leftImg8bit,panoptic,depth}.png
    OUT/toy_step.json    what the set was made with; says that the set is complete

The streets are simple but drawn in perspective: a camera that drives and turns, ground and facades
with textures, and flat pictures of cars, people and street furniture that stand in the depth of the
scene, so that near objects are large, low in the image and hide far ones. Six hues go round among
the objects of a class, so that some look alike but for their markings; they cross each other, leave
the image and come back. Depth is where things stand; the sky and the hood of the own car have none.
The same arguments give the same bytes.
"""

import argparse
import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import cv2
import numpy as np
from preparation import run_pieces
from toy_sprites import (
    ID,
    TRANSPARENT,
    Sprite,
    bus,
    car_from_behind,
    car_from_side,
    draw_look,
    furniture,
    hsv,
    person,
    row_of,
)
from tqdm import tqdm

from knet.errors import InputError, report_input_errors
from knet.files import whole_file
from knet.label_space import STEP
from knet.options import at_least
from knet.step_format import frame_name, write_depth, write_panoptic, write_png

VERSION = 12  # to be raised with each change of what is drawn
MARKER = 'toy_step.json'
SEQUENCES = {
    'train': (0, 1, 3, 4, 5, 9, 11, 12, 15, 17, 19, 20),
    'val': (2, 6, 7, 8, 10, 13, 14, 16, 18),
}
VOID = STEP.void

# All lengths are metres; x points right, z away from the camera's place in frame 0.
CAMERA_HEIGHT = 1.65
NEAR, FAR = 3.5, 70.0  # objects nearer and walls farther than this are not drawn
FACADE = 9.0  # length of a facade or hedge along the street
SMALLEST_SEGMENT = 1 / 154  # share of the image's pixels; smaller ones are void
LEAST_VISIBLE = (
    0.5  # share of an object's pixels; what is seen of objects that are hidden more is void
)


@dataclass
class Actor:
    """An object at a place in the street, and how it moves: a straight line plus a swing across the
    street."""

    poses: List[Sprite]  # shown in turn
    x: float
    z: float
    speed_x: float = 0.0  # metres per frame
    speed_z: float = 0.0
    swing: float = 0.0  # metres to either side
    period: float = 1.0  # frames
    phase: float = 0.0  # radians
    instance: int = 0  # 0: stuff, crowd or void

    def place(self, time: float) -> Tuple[float, float]:
        """x and z at a time in frames."""
        return (
            self.x
            + self.speed_x * time
            + self.swing * np.sin(2 * np.pi * time / self.period + self.phase),
            self.z + self.speed_z * time,
        )

    def picture(self, frame: int) -> Sprite:
        """What it looks like in a frame, walking towards the right."""
        return self.poses[frame % len(self.poses)]


class Cast:
    """Fills a street with actors; all random choices about objects are made here."""

    def __init__(self, rng: np.random.Generator, frames: int, road: float, crossing: float):
        self.rng, self.frames, self.road, self.crossing = rng, frames, road, crossing
        self.actors: List[Actor] = []
        self.ids = iter((1 + rng.permutation(2000)).tolist())
        self.hues = {kind: self._hues() for kind in ('car', 'person')}
        self.more = max(1, round(frames / 20))  # long videos need more passers-by

    def _hues(self) -> Iterator[float]:
        """Hues for the objects of a class: six around the circle in random order, then six between
        them, and so on."""
        start = self.rng.random()
        while True:
            yield from start + self.rng.permutation(6) / 6
            start += 1 / 12

    def walker(self) -> List[Sprite]:
        """The poses of a new person."""
        look = draw_look(self.rng, next(self.hues['person']))
        return [person(look, stride) for stride in (0.15, 1.0, 0.15, -1.0)]

    def car(self, view: str) -> List[Sprite]:
        """The one pose of a new car: seen from the 'side', 'front' or 'rear'."""
        look = draw_look(self.rng, next(self.hues['car']))
        return [
            car_from_side(look)
            if view == 'side'
            else car_from_behind(look, (250, 245, 200) if view == 'front' else (210, 25, 20))
        ]

    def passing(self, poses: List[Sprite], z: float, speed: float, instance: int) -> Actor:
        """An actor that passes in front of the camera at a random moment, in a random direction."""
        speed = speed * self.rng.choice((-1, 1))
        moment = self.rng.uniform(0, self.frames)
        return Actor(
            poses, self.rng.uniform(-3, 3) - speed * moment, z, speed_x=speed, instance=instance
        )

    def returning(self, poses: List[Sprite], z: float, swing: float, instance: int) -> Actor:
        """An actor that walks or drives to and fro, out of the image and back into it."""
        rng = self.rng
        return Actor(
            poses,
            rng.choice((-1, 1)) * swing * 0.6,
            z,
            swing=swing,
            period=rng.uniform(24, 36),
            phase=rng.uniform(0, 6.28),
            instance=instance,
        )

    def add_cars(self) -> None:
        """Traffic on both lanes, parked cars and, where there is a crossing, cars that come from
        the side."""
        rng = self.rng
        for _ in range(self.more):
            z, speed = rng.uniform(8, 16), rng.uniform(-0.1, 0.3)
            self.actors.append(
                Actor(
                    self.car('rear'),
                    self.road / 2,
                    z,
                    speed_z=speed,
                    swing=0.5,
                    period=17,
                    instance=next(self.ids),
                )
            )
        for _ in range(self.more):
            moment, speed = rng.uniform(0, self.frames), -rng.uniform(0.3, 0.7)
            self.actors.append(
                Actor(
                    self.car('front'),
                    -self.road / 2,
                    10 - speed * moment,
                    speed_z=speed,
                    instance=next(self.ids),
                )
            )
        for z in np.arange(rng.uniform(8, 11), 24, rng.uniform(6, 9)):
            if abs(z - self.crossing) > 6 and rng.random() < 0.3:
                side = rng.choice((-1, 1))
                self.actors.append(
                    Actor(
                        self.car('rear' if side > 0 else 'front'),
                        side * (self.road - 0.4),
                        z,
                        instance=next(self.ids),
                    )
                )
        if self.crossing < FAR:
            for i in range(int(rng.integers(1, 3)) * self.more):
                z, car = (
                    self.crossing + (2 * (i % 2) - 1) * 1.6 + rng.uniform(-0.3, 0.3),
                    self.car('side'),
                )
                self.actors.append(
                    self.returning(car, z, rng.uniform(6, 9), next(self.ids))
                    if i == 0
                    else self.passing(car, z, rng.uniform(0.4, 0.9), next(self.ids))
                )

    def add_people(self) -> None:
        """People who cross the street, some to and fro, and people on the sidewalks."""
        rng = self.rng
        middle = self.crossing - 5.5 if self.crossing < FAR else rng.uniform(7.5, 10)
        for i in range(2 * self.more):
            z, poses = middle + rng.uniform(-1.6, 1.6), self.walker()
            self.actors.append(
                self.returning(poses, z, rng.uniform(3, 5), next(self.ids))
                if i == 0
                else self.passing(poses, z, rng.uniform(0.2, 0.5), next(self.ids))
            )
        for _ in range(self.more):
            side = rng.choice((-1, 1))
            self.actors.append(
                Actor(
                    self.walker(),
                    side * (self.road + rng.uniform(0.6, 1.8)),
                    rng.uniform(7, 12),
                    speed_z=rng.uniform(-0.2, 0.2),
                    instance=next(self.ids),
                )
            )

    def add_others(self) -> None:
        """Street furniture, and in some sequences a bus and crowds."""
        rng = self.rng
        for side in (-1, 1):
            for z in np.arange(rng.uniform(7, 11), 45, rng.uniform(4, 7)):
                self.actors.append(
                    Actor([furniture(rng)], side * (self.road + rng.uniform(0.5, 2.4)), z)
                )
        if rng.random() < 0.7:
            z = self.crossing + 4 if self.crossing < FAR else 24
            self.actors.append(
                self.passing([bus(draw_look(rng, rng.random()))], z, rng.uniform(0.4, 0.9), 0)
            )
        if rng.random() < 0.3:
            waiting = row_of([self.walker()[0] for _ in range(int(rng.integers(4, 7)))])
            self.actors.append(
                Actor([waiting], rng.choice((-1, 1)) * (self.road + 2.2), rng.uniform(13, 19))
            )
        if rng.random() < 0.3:
            parked = row_of([self.car('front')[0] for _ in range(int(rng.integers(3, 6)))])
            self.actors.append(
                Actor([parked], rng.choice((-1, 1)) * (self.road + 5), rng.uniform(20, 28))
            )


class Street:
    """A random street and all that happens in it.

    Args:
        rng: Where the scene is drawn from.
        frames: Length of the sequence.
        size: Image height and width in pixels.
    """

    def __init__(self, rng: np.random.Generator, frames: int, size: Tuple[int, int]):
        self.height, self.width = size
        self.focal, self.horizon = 2.3 * self.height, 0.42 * self.height  # pixels
        self.road = rng.uniform(3.6, 4.6)  # half of its width
        self.sidewalk = self.road + 2.3
        self.crossing = rng.uniform(12.5, 15) if rng.random() < 0.65 else 10 * FAR
        self.walls = rng.uniform(0, 3, 2) + self.sidewalk  # distances of the left and right facades
        self.facades = [self._facades(rng) for _ in range(2)]
        self.skyline = np.repeat(rng.uniform(1, 9, 60), 4) + rng.uniform(0, 0.8, 240)
        self.noise = self._texture(rng)
        self.speed = (
            rng.choice((0.0, 0.12, 0.25)) if self.crossing < FAR else rng.uniform(0.2, 0.45)
        )  # metres per frame
        self.pan = (
            rng.uniform(0.02, 0.08) * self.width,
            rng.uniform(13, 30),
            rng.uniform(0, 6.28),
        )  # pixels, frames, radians
        self.light = (
            rng.uniform(0.78, 1.08),
            rng.uniform(0.03, 0.1),
            rng.uniform(15, 40),
        )  # mean, drift, frames
        self.tint = rng.uniform(0.94, 1.06, 3)
        self.sky = hsv(rng.uniform(0.55, 0.62), rng.uniform(0.05, 0.45), rng.uniform(0.8, 0.95))
        self.hood = rng.uniform(0.05, 0.1) if rng.random() < 0.5 else 0.0  # of the height
        self.grain = rng.integers(2**31)
        cast = Cast(rng, frames, self.road, self.crossing)
        cast.add_cars()
        cast.add_people()
        cast.add_others()
        self.actors = cast.actors

    def _facades(self, rng: np.random.Generator) -> Dict[str, np.ndarray]:
        """One side of the street in pieces of `FACADE` metres: class, height and colour of each;
        nothing at the crossing."""
        names = ('building', 'building', 'vegetation')
        heights = {'building': (6, 14), 'vegetation': (3, 7)}
        hues = {'building': (0.02, 0.13), 'vegetation': (0.23, 0.34)}
        kinds = [names[i] for i in rng.integers(0, len(names), 24)]
        height = np.array([rng.uniform(*heights[kind]) for kind in kinds])
        colour = [
            hsv(
                rng.uniform(*hues[kind]),
                0.5 if kind == 'vegetation' else rng.uniform(0.1, 0.4),
                0.38 if kind == 'vegetation' else rng.uniform(0.45, 0.8),
            )
            for kind in kinds
        ]
        centres = (np.arange(24) + 0.5) * FACADE
        height[np.abs(centres - self.crossing) < FACADE / 2 + 1] = 0
        return {
            'label': np.array([ID[kind] for kind in kinds], np.uint8),
            'height': height,
            'colour': np.array(colour, np.float32),
        }

    @staticmethod
    def _texture(rng: np.random.Generator) -> np.ndarray:
        """Noise with fine and coarse grain, shape (256, 256), about -1..1; continues at its
        edges."""
        layers = [rng.standard_normal((256, 256)) for _ in range(3)]
        for i, sigma in ((1, 3), (2, 12)):
            layers[i] = cv2.GaussianBlur(np.tile(layers[i], (3, 3)), (0, 0), sigma)[
                256:512, 256:512
            ]
        return (sum(layer / layer.std() for layer in layers) / 4).astype(np.float32)

    def camera(self, frame: int) -> Tuple[float, float]:
        """How far the image is shifted by the turning camera (pixels), and where the camera is
        along the street (metres)."""
        swing, period, phase = self.pan
        return swing * np.sin(2 * np.pi * frame / period + phase), self.speed * frame

    def frame(self, index: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Draw a frame.

        Returns:
            image, shape (H, W, 3), uint8 RGB; train ids, shape (H, W), uint8; instance ids, shape
            (H, W), int32; depth, shape (H, W), float32, metres, 0 = none.
        """
        image, semantic, depth = self._surroundings(index)
        instance = np.zeros(semantic.shape, np.int32)
        drawn = np.zeros(
            1 + max(actor.instance for actor in self.actors), np.int64
        )  # pixels of each object, hidden ones too
        travelled = self.camera(index)[1]
        for actor in sorted(self.actors, key=lambda actor: -actor.place(index)[1]):
            if NEAR < actor.place(index)[1] - travelled < FAR:
                drawn[actor.instance] += self._draw(actor, index, image, semantic, instance, depth)
        if self.hood:
            rows, cols = np.mgrid[: self.height, : self.width]
            hood = rows > self.height * (1 - self.hood * (1 - (2 * cols / self.width - 1) ** 2))
            image[hood], semantic[hood], instance[hood], depth[hood] = (38, 40, 44), VOID, 0, 0
        seen = np.bincount(instance.ravel(), minlength=len(drawn))
        unclear = ((seen < SMALLEST_SEGMENT * instance.size) | (seen < LEAST_VISIBLE * drawn))[
            instance
        ] & (instance > 0)
        semantic[unclear], instance[unclear] = VOID, 0
        mean, drift, period = self.light
        noise = np.random.default_rng([self.grain, index]).normal(0, 4, image.shape)
        image *= self.tint * (mean + drift * np.sin(2 * np.pi * index / period))
        return np.clip(image + noise, 0, 255).astype(np.uint8), semantic, instance, depth

    def _surroundings(self, index: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sky, skyline, ground and facades: image, (H, W, 3) float32 RGB, train ids, (H, W) uint8,
        and depth, (H, W) float32, metres, 0 in the sky."""
        pan, travelled = self.camera(index)
        rows, cols = np.mgrid[: self.height, : self.width].astype(np.float32)
        across, down = (
            (cols - self.width / 2 - pan) / self.focal,
            (rows + 0.5 - self.horizon) / self.focal,
        )  # per metre of depth
        angle = (np.degrees(np.arctan(across)) * 2).astype(int) % 240
        far = down > -self.skyline[angle] / FAR
        green = self.skyline[angle // 12 * 12] > 4
        semantic = np.where(
            far, np.where(green, ID['vegetation'], ID['building']), ID['sky']
        ).astype(np.uint8)
        image = (
            np.array(self.sky, np.float32) * (1 + 0.5 * down[..., None])
            + 12 * self.noise[(40 * down).astype(int) % 256, angle][..., None]
        )
        image[far] = (
            np.where(green[far][:, None], (98, 116, 92), (142, 136, 132))
            + 14 * self.noise[rows[far].astype(int) % 256, angle[far]][:, None]
        )
        ground = np.where(down > 0, CAMERA_HEIGHT / np.maximum(down, 1e-6), np.inf)
        distance = np.where(far, np.minimum(ground, FAR), 0).astype(np.float32)
        self._paint_ground(
            image, semantic, np.minimum(ground, FAR) * across, ground + travelled, ground < FAR
        )
        for side in (0, 1):
            outward = np.maximum(across * (2 * side - 1), 1e-6)
            depth = self.walls[side] / outward
            up = CAMERA_HEIGHT - down * depth
            solid = self._paint_facades(
                image,
                semantic,
                self.facades[side],
                depth,
                travelled,
                up,
                depth < np.minimum(ground, FAR),
            )
            distance[solid] = depth[solid]
        return image, semantic, distance

    def _paint_ground(self, image, semantic, x, z, hit) -> None:
        """Road with markings, sidewalks and what grows beyond; `x`, `z`: the place that each pixel
        sees."""
        x, z = x[hit], z[hit]
        crossing = np.abs(z - self.crossing) < 3.4
        road, paved = (np.abs(x) < self.road) | crossing, np.abs(x) < self.sidewalk
        line = (np.abs(x) < 0.09) & (z % 6 < 3) & ~crossing
        zebra = (np.abs(z - self.crossing + 5) < 1.2) & (x % 1.1 < 0.55) & road
        kerb = np.abs(np.abs(x) - self.road) < 0.12
        colour = np.where(paved[:, None], (150, 142, 138), (104, 124, 66)).astype(np.float32)
        colour[road] = (86, 86, 90)
        colour[kerb & ~crossing] = (178, 174, 168)
        colour[line | zebra] = (205, 205, 200)
        slabs = paved & ~road & ((z % 1.5 < 0.12) | (x % 1.2 < 0.06))
        colour[slabs] *= 0.86
        grain = (
            np.where(road | paved, 9, 20)
            * self.noise[(z * 24).astype(int) % 256, (x * 24).astype(int) % 256]
        )
        image[hit] = colour + grain[:, None]
        semantic[hit] = np.where(road, ID['road'], np.where(paved, ID['sidewalk'], ID['terrain']))

    def _paint_facades(self, image, semantic, facades, depth, travelled, up, hit):
        """One side's buildings and hedges; `up`: height over ground at which each pixel meets
        them. Returns rows and columns of their pixels."""
        z = depth[hit] + travelled
        up, piece = up[hit], (z / FACADE).astype(int) % len(facades['label'])
        label = facades['label'][piece]
        grain = self.noise[(up * 20).astype(int) % 256, (z * 20).astype(int) % 256]
        ragged = np.where(
            label == ID['vegetation'], 0.5 * self.noise[0, (z * 9).astype(int) % 256], 0
        )
        solid = (up >= 0) & (
            up
            < facades['height'][piece] * (facades['height'][piece] > 0)
            + ragged * (facades['height'][piece] > 0)
        )
        colour = (
            facades['colour'][piece] + (np.where(label == ID['vegetation'], 26, 8) * grain)[:, None]
        )
        window = (
            (label == ID['building'])
            & (up % 3 > 1)
            & (up % 3 < 2.4)
            & (z % 2.6 > 0.9)
            & (z % 2.6 < 2.1)
        )
        lit = self.noise[(up / 3).astype(int) % 256, (z / 2.6).astype(int) % 256] > 0.3
        colour[window] = np.where(lit[window, None], (196, 200, 196), (58, 70, 84))
        rows, cols = (axis[solid] for axis in np.nonzero(hit))
        image[rows, cols], semantic[rows, cols] = colour[solid], label[solid]
        return rows, cols

    def _draw(self, actor: Actor, index: int, image, semantic, instance, depth) -> int:
        """Draw an actor and its shadow over what lies behind it, in place; returns the number of
        its pixels."""
        pan, travelled = self.camera(index)
        x, z = actor.place(index)
        scale = self.focal / (z - travelled)  # pixels per metre
        sprite = actor.picture(index)
        size = [max(1, round(metres * scale)) for metres in sprite.metres]
        bottom = round(self.horizon + CAMERA_HEIGHT * scale)
        top, left = bottom - size[0], round(self.width / 2 + pan + x * scale - size[1] / 2)
        y0, y1, x0, x1 = (
            max(top, 0),
            min(bottom, self.height),
            max(left, 0),
            min(left + size[1], self.width),
        )
        if y0 >= y1 or x0 >= x1:
            return 0
        colour = cv2.resize(sprite.colour, (size[1], size[0]), interpolation=cv2.INTER_AREA)
        classes = cv2.resize(sprite.classes, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
        if actor.place(index + 0.5)[0] < actor.place(index - 0.5)[0]:
            colour, classes = colour[:, ::-1], classes[:, ::-1]
        cut = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        colour, classes = colour[cut], classes[cut]
        area = np.s_[y0:y1, x0:x1]
        solid = classes != TRANSPARENT
        shadow = np.zeros(solid.shape, np.uint8)
        cv2.ellipse(
            shadow,
            (left + size[1] // 2 - x0, bottom - y0),
            (size[1] // 2, max(1, size[0] // 12)),
            0,
            0,
            360,
            1,
            -1,
        )
        image[area][(shadow > 0) & ~solid] *= 0.6
        image[area][solid], semantic[area][solid], instance[area][solid] = (
            colour[solid],
            classes[solid],
            actor.instance,
        )
        depth[area][solid] = z - travelled
        return int(solid.sum())


def sequence_numbers(split: str, count: int) -> List[int]:
    """The sequence numbers of a split: those of KITTI-STEP, then on from 21, odd ones for training,
    even ones for validation."""
    first = {'train': 21, 'val': 22}[split]
    more = range(first, first + 2 * max(0, count - len(SEQUENCES[split])), 2)
    return list(SEQUENCES[split][:count]) + list(more)


def make_toy_step(
    out,
    seed: int = 0,
    train_sequences: int = 48,
    val_sequences: int = 9,
    frames: int = 20,
    size: Tuple[int, int] = (96, 320),
    nproc: int = 1,
) -> bool:
    """Make the toy set under `out`, unless it is there already.

    A set that this function made with other arguments, or did not finish, is replaced.

    Args:
        out: Folder for the set; made if needed.
        seed: Seed of all random choices, 0 or more.
        train_sequences: Number of training sequences, 0 or more.
        val_sequences: Number of validation sequences, 0 or more.
        frames: Frames of each sequence, 1 or more.
        size: Height and width of the images in pixels, 32 or more each.
        nproc: Processes to draw in; the files do not depend on it.

    Returns:
        Whether something was written; False: the set was complete.

    Raises:
        InputError: an argument is out of range, or `out` holds another data set.
    """
    if min(seed, train_sequences, val_sequences) < 0 or frames < 1 or min(size) < 32:
        raise InputError(
            'seed and numbers of sequences must be 0 or more, frames 1 or more, height and width '
            '32 or more'
        )
    wanted = {
        'version': VERSION,
        'seed': seed,
        'train': train_sequences,
        'val': val_sequences,
        'frames': frames,
        'size': list(size),
    }
    out = Path(out)
    marker, folder = out / MARKER, out / 'video_sequence'
    try:
        present = json.loads(marker.read_text(encoding='utf-8')) if marker.exists() else None
        if present == {**wanted, 'complete': True} and all(
            path.exists() for path in toy_files(folder, wanted)
        ):
            return False
        if present is None and folder.exists():
            raise InputError(
                f'{folder} holds another data set (there is no {marker}); name another folder'
            )
        for path in toy_files(folder, present) if present else ():
            path.unlink(missing_ok=True)
        write_marker(marker, {**wanted, 'complete': False})
        for split in SEQUENCES:
            write_split(folder / split, split, wanted, nproc)
        write_marker(marker, {**wanted, 'complete': True})
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f'{marker} was not written by this script ({error}); name another folder'
        ) from None
    return True


def write_marker(path: Path, arguments: Dict) -> None:
    """Say in a file what the set is made with."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(arguments), encoding='utf-8')


def frame_numbers(split: str, arguments: Dict) -> Dict[int, range]:
    """Sequence → frame numbers; every other sequence does not start at frame 0."""
    return {
        sequence: range(start, start + arguments['frames'])
        for sequence, start in (
            (n, 7 * n + 1 if i % 2 else 0)
            for i, n in enumerate(sequence_numbers(split, arguments[split]))
        )
    }


def toy_files(folder: Path, arguments: Dict) -> List[Path]:
    """All files of a set."""
    return [
        folder / split / f'{frame_name(sequence, frame)}_{kind}.png'
        for split in SEQUENCES
        for sequence, frames in frame_numbers(split, arguments).items()
        for frame in frames
        for kind in ('leftImg8bit', 'panoptic', 'depth')
    ]


def write_split(folder: Path, split: str, arguments: Dict, nproc: int) -> None:
    """Draw and write the sequences of a split, spread over `nproc` processes."""
    numbers = frame_numbers(split, arguments)
    draw = partial(write_sequence, folder, arguments['seed'], arguments['size'])
    for _ in tqdm(
        run_pieces(draw, numbers.items(), nproc),
        f'toy videos, {split}',
        len(numbers),
        unit='sequence',
    ):
        pass


def write_sequence(
    folder: Path, seed: int, size: Tuple[int, int], piece: Tuple[int, range]
) -> None:
    """Draw and write a sequence; `piece`: its number and its frame numbers."""
    sequence, frames = piece
    street = Street(np.random.default_rng([seed, sequence]), len(frames), size)
    for index, frame in enumerate(frames):
        image, semantic, instance, depth = street.frame(index)
        name = frame_name(sequence, frame)
        write_png(folder / f'{name}_leftImg8bit.png', np.ascontiguousarray(image[..., ::-1]))
        write_panoptic(folder / f'{name}_panoptic.png', semantic, instance)
        write_depth(folder / f'{name}_depth.png', depth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', help='folder of the set, for example data/toy_step')
    parser.add_argument('--seed', type=at_least(0), default=0)
    parser.add_argument('--train-sequences', type=at_least(0), default=48)
    parser.add_argument('--val-sequences', type=at_least(0), default=9)
    parser.add_argument('--frames', type=at_least(1), default=20, help='frames of each sequence')
    parser.add_argument(
        '--nproc',
        type=at_least(1),
        default=os.cpu_count(),
        metavar='N',
        help='cores to use (default: all)',
    )
    parser.add_argument(
        '--size', type=at_least(32), nargs=2, default=(96, 320), metavar=('HEIGHT', 'WIDTH')
    )
    args = parser.parse_args()
    made = make_toy_step(
        args.out,
        args.seed,
        args.train_sequences,
        args.val_sequences,
        args.frames,
        tuple(args.size),
        args.nproc,
    )
    print(f'{args.out}: {"made" if made else "complete already"}')


if __name__ == '__main__':
    with report_input_errors():
        main()
