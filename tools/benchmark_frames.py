"""Street-like frames of 375x1242 that the benchmark measures with."""

from pathlib import Path
from typing import Tuple

import cv2
import numpy as np

from knet.step_format import frame_name, write_panoptic, write_png

HEIGHT, WIDTH = 375, 1242
ROAD, SIDEWALK, BUILDING, POLE, SIGN, VEGETATION, TERRAIN, SKY = 0, 1, 2, 5, 7, 8, 9, 10
PERSON, CAR, VOID = 11, 13, 255
USUAL_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 6)


def street(rng: np.random.RandomState, num_objects: int = 12) -> dict:
    """A random street: outlines of the stuff classes, and cars and people with their paths."""
    x = np.arange(4 * WIDTH)
    waves = [
        sum(
            rng.uniform(2, 12) * np.sin(x / rng.uniform(8, 90) + rng.uniform(0, 7))
            for _ in range(4)
        )
        for _ in range(4)
    ]
    return {
        'waves': waves,
        'objects': [
            dict(
                label=CAR if rng.rand() < 0.7 else PERSON,
                x=rng.uniform(0, WIDTH),
                y=rng.uniform(190, 310),
                vx=rng.uniform(-6, 6),
                size=rng.uniform(14, 60),
                instance=i + 1,
            )
            for i in range(num_objects)
        ],
    }


def draw(
    scene: dict, t: int, shift: int = 0, grow: float = 1.0, ids=None
) -> Tuple[np.ndarray, np.ndarray]:
    """Class map, uint8, and instance map, int32, of frame t; `shift` and `grow` make a prediction
    of it."""
    x = np.arange(WIDTH) + 4 * t + shift
    y = np.arange(HEIGHT)[:, None]
    sky, trees, walk, road = (wave[x] for wave in scene['waves'])
    semantic = np.full((HEIGHT, WIDTH), BUILDING, np.uint8)
    semantic[y < 70 + sky] = SKY
    semantic[(y > 90 + trees) & (y < 190) & ((x // 170) % 2 == 0)] = VEGETATION
    semantic[y > 195 + walk / 2] = TERRAIN
    semantic[y > 215 + walk / 3] = SIDEWALK
    semantic[y > 235 + road / 3] = ROAD
    semantic[(x % 260 < 5) & (y > 60) & (y < 250)] = POLE
    semantic[(x % 260 < 24) & (y > 60) & (y < 84)] = SIGN
    instance = np.zeros((HEIGHT, WIDTH), np.int32)
    for item in scene['objects']:
        centre = (int(item['x'] + item['vx'] * t + shift) % WIDTH, int(item['y']))
        axes = (
            int(item['size'] * grow),
            int(item['size'] * grow * (0.6 if item['label'] == CAR else 2)),
        )
        cv2.ellipse(semantic, centre, axes, 0, 0, 360, item['label'], -1)
        cv2.ellipse(
            instance,
            centre,
            axes,
            0,
            0,
            360,
            item['instance'] if ids is None else ids(item['instance'], t),
            -1,
        )
    return semantic, instance


def ragged(semantic: np.ndarray, instance: np.ndarray, rng: np.random.RandomState, pitch: int):
    """Move the outlines by up to 4 pixels to and fro, at random points `pitch` pixels apart."""
    size = (HEIGHT // pitch, WIDTH // pitch)
    field = [
        cv2.resize(rng.uniform(-4, 4, size).astype(np.float32), (WIDTH, HEIGHT)) for _ in range(2)
    ]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    rows = np.clip(rows + field[0].astype(int), 0, HEIGHT - 1)
    columns = np.clip(columns + field[1].astype(int), 0, WIDTH - 1)
    return semantic[rows, columns], instance[rows, columns]


def photograph(
    semantic: np.ndarray, instance: np.ndarray, rng: np.random.RandomState
) -> np.ndarray:
    """An image of a frame, (H, W, 3), uint8 BGR, with the noise of a camera."""
    colours = rng.randint(30, 226, (256, 3))
    image = colours[(semantic.astype(np.int64) * 7 + instance * 13) % 256]
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1) + rng.normal(0, 3, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def make_videos(
    root: Path, sequences: int, frames: int, objects: int = 12, layout: str = 'step'
) -> None:
    """Write a set in STEP layout, whose splits train and val are the same files, and predictions
    for it in `root/results`.

    Args:
        root: Folder of the set.
        sequences: Number of videos.
        frames: Of each.
        objects: Cars and people in each.
        layout: Of the predictions: 'step' = one RGB file, 'pair' = _cat.png and _ins.png of 16 bit.
    """
    split = root / 'video_sequence' / 'val'
    for sequence in range(sequences):
        rng = np.random.RandomState(sequence)
        scene = street(rng, objects)
        for t in range(frames):
            semantic, instance = ragged(*draw(scene, t), rng, 32)
            semantic[350:, 400:800], instance[350:, 400:800] = VOID, 0
            name = frame_name(sequence, t)
            # compressed as other programs do by default, which takes longer to decode
            rgb = np.dstack([instance & 255, instance >> 8, semantic]).astype(np.uint8)
            write_png(split / f'{name}_panoptic.png', rgb, USUAL_PNG)
            write_png(split / f'{name}_leftImg8bit.png', photograph(semantic, instance, rng))
            maps = draw(scene, t, 2, 0.95, lambda i, t: i + 300 * (t // 25))
            write_prediction(root / 'results', sequence, name, layout, *ragged(*maps, rng, 16))
    split.with_name('train').symlink_to('val')


def write_prediction(
    root: Path,
    sequence: int,
    name: str,
    layout: str,
    semantic: np.ndarray,
    instance: np.ndarray,
) -> None:
    """Write a predicted frame; see `make_videos`."""
    folder = root / 'panoptic' / str(sequence)
    if layout == 'step':
        write_panoptic(folder / f'{name}.png', semantic, instance)
    else:
        write_png(folder / f'{name}_cat.png', semantic.astype(np.uint16), USUAL_PNG)
        write_png(folder / f'{name}_ins.png', instance.astype(np.uint16), USUAL_PNG)
