"""Pictures put together: panels with captions, legends, sheets."""

from typing import List, Sequence, Tuple

import cv2
import numpy as np

from knet.visualization.colours import ErrorKind

BACKGROUND, TEXT = (24, 24, 24), (235, 235, 235)
LINE_HEIGHT = 24
FONT = cv2.FONT_HERSHEY_SIMPLEX, 0.5


def fit(frame: np.ndarray, size: Tuple[int, ...]) -> np.ndarray:
    """A picture shrunk or enlarged to fit in (height, width), on black."""
    scale = min(size[0] / frame.shape[0], size[1] / frame.shape[1])
    height, width = (max(1, round(side * scale)) for side in frame.shape[:2])
    canvas = np.zeros((*size, 3), np.uint8)
    canvas[:height, :width] = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return canvas


def side_by_side(panels: Sequence[Tuple[str, np.ndarray]]) -> np.ndarray:
    """Panels with captions in one picture: on top of each other where they are wide, else up to
    three beside each other, and four in two rows.

    Args:
        panels: Caption and (H, W, 3) uint8 RGB picture of each panel, all of one size.

    Returns:
        uint8 RGB picture whose sides are even (as H.264 wants them).
    """
    framed = [np.vstack([_caption(words, p.shape[1]), p]) for words, p in panels]
    height, width = panels[0][1].shape[:2]
    columns = 1 if width > 2 * height else min(len(framed), 3 if len(framed) != 4 else 2)
    framed += [np.zeros_like(framed[0])] * (-len(framed) % columns)
    rows = [np.hstack(framed[i : i + columns]) for i in range(0, len(framed), columns)]
    whole = np.vstack(rows)
    return np.pad(whole, ((0, whole.shape[0] % 2), (0, whole.shape[1] % 2), (0, 0)))


def _caption(words: str, width: int) -> np.ndarray:
    bar = np.full((LINE_HEIGHT, width, 3), BACKGROUND, np.uint8)
    cv2.putText(bar, words, (8, LINE_HEIGHT - 8), *FONT, TEXT, 1, cv2.LINE_AA)
    return bar


def draw_legend(kinds: Sequence[ErrorKind], width: int) -> np.ndarray:
    """A bar with a patch of colour and a name for each kind that is drawn, in as many lines as the
    width needs.

    Args:
        kinds: What is drawn; those of no opacity are left out.
        width: Of the bar, pixels.

    Returns:
        (lines * LINE_HEIGHT, width, 3), uint8 RGB.
    """
    entries = [(words, colour) for words, colour, opacity, _ in kinds if opacity]
    places: List[Tuple[int, int]] = []
    line, x = 0, 8
    for words, _ in entries:
        length = 36 + cv2.getTextSize(words, *FONT, 1)[0][0]
        if x + length > width and x > 8:
            line, x = line + 1, 8
        places.append((line, x))
        x += length
    bar = np.full(((line + 1) * LINE_HEIGHT, width, 3), BACKGROUND, np.uint8)
    for (words, colour), (line, x) in zip(entries, places):
        top = line * LINE_HEIGHT
        cv2.rectangle(bar, (x, top + 6), (x + 12, top + 18), colour, -1)
        cv2.putText(bar, words, (x + 18, top + 17), *FONT, TEXT, 1, cv2.LINE_AA)
    return bar


def contact_sheet(
    cells: Sequence[Tuple[str, np.ndarray]],
    kinds: Sequence[ErrorKind],
    columns: int = 2,
    cell_width: int = 960,
) -> np.ndarray:
    """Pictures with captions in rows, and a legend below them.

    Args:
        cells: Caption and (H, W, 3) uint8 RGB picture of each; shrunk or enlarged to a cell.
        kinds: See `draw_legend`.
        columns: Cells in a row, where there are so many.
        cell_width: Pixels.

    Returns:
        uint8 RGB picture.
    """
    columns = min(columns, len(cells))
    height = max(round(p.shape[0] * cell_width / p.shape[1]) for _, p in cells)
    framed = []
    for caption, picture in cells:
        cell = np.vstack([_caption(caption, cell_width), fit(picture, (height, cell_width))])
        framed.append(np.pad(cell, ((4, 4), (4, 4), (0, 0))))
    while len(framed) % columns:
        framed.append(np.zeros_like(framed[0]))
    rows = [np.hstack(framed[i : i + columns]) for i in range(0, len(framed), columns)]
    return np.vstack([*rows, draw_legend(kinds, rows[0].shape[1])])
