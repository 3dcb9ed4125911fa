"""Frames drawn by hand: one letter per pixel."""

import numpy as np

LETTERS = {
    '.': (0, 0),  # road
    'w': (1, 0),  # sidewalk
    'T': (14, 0),  # truck: stuff in the STEP label space
    'A': (13, 1),
    'B': (13, 2),
    'C': (13, 3),
    'D': (13, 4),  # cars
    'P': (11, 1),
    'Q': (11, 2),
    'R': (11, 3),  # people; P has the id of car A
    'c': (13, 0),  # a crowd of cars in the ground truth, an untracked car in a prediction
    'x': (255, 0),  # void
    'X': (255, 7),  # void that carries an instance id
    'u': (19, 0),  # "unassigned", which is void too
}


def draw(*rows):
    """Class map and instance map, shape (8, 8), from up to eight rows of up to eight letters; the
    rest is road."""
    semantic, instance = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.int32)
    for y, row in enumerate(rows):
        for x, letter in enumerate(row):
            semantic[y, x], instance[y, x] = LETTERS[letter]
    return semantic, instance


def add(evaluator, sequence, frames, **maps):
    """Add (ground truth, prediction) frames, each a list of rows, with frame numbers 0, 1, ..."""
    for number, (truth, guess) in enumerate(frames):
        evaluator.add_frame(sequence, number, *draw(*truth), *draw(*guess), **maps)
