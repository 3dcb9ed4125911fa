"""The segments of a video in the formats of COCO and YouTube-VIS, which other programs load.

    coco_panoptic.json, coco_panoptic/<name>.png    every segment of every frame; in the PNG it has
                                                    the colour R + 256 G + 65536 B = id
    coco_instances.json                             things, with masks as RLE: COCO's detection
    youtube_vis.json                                tracks, with a mask or null for each frame

Categories have the number train id + 1; void is none. What the formats do not have comes as extra
keys: `track_id` and `score` of a segment, `frame` of an image, `first_frame` and `last_frame` of a
track, `isthing` and `color` of a category.

Memory does not grow with the video: segments wait in a database on disk until all are known.
"""

import contextlib
import itertools
import json
import os
import sqlite3
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple, Union

import numpy as np
from pycocotools import mask as rle
from scipy.ndimage import find_objects

from knet.errors import InputError
from knet.files import whole_file
from knet.label_space import LabelSpace
from knet.step_format import LABEL_PNG, MAX_INSTANCE_ID, write_png

PANOPTIC, INSTANCES, TRACKS = 'coco_panoptic.json', 'coco_instances.json', 'youtube_vis.json'
FOLDER = 'coco_panoptic'
TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE images (image INTEGER PRIMARY KEY, frame INTEGER, name TEXT, file_name TEXT);
CREATE TABLE segments (
    image INTEGER, id INTEGER, category INTEGER, track INTEGER, score REAL, area INTEGER,
    x INTEGER, y INTEGER, width INTEGER, height INTEGER, counts TEXT
);
BEGIN;
"""
"""Images have numbers from 1 on. Of segments see `Segment`."""
INDICES = """
CREATE INDEX by_image ON segments (image);
CREATE INDEX by_track ON segments (track, image);
"""
COMMON = 'category, track, score, area, x, y, width, height'
"""Columns of `_entry`."""

Pieces = Iterable[str]
"""A JSON value, piece by piece."""


class Segment(NamedTuple):
    """A segment of a frame.

    Attributes:
        id: In the panoptic PNG: category << 16 | instance id; 0 of stuff, and of things without an
            instance id a number from 65535 downwards.
        category: Number of its class.
        track: Its track id, 0 = none.
        score: 0..1; 0 of stuff that only fills pixels without a segment.
        area: Pixels.
        x, y, width, height: Of its box, pixels.
        counts: Of its RLE; None of stuff.
    """

    id: int
    category: int
    track: int
    score: float
    area: int
    x: int
    y: int
    width: int
    height: int
    counts: Optional[str]


class CocoWriter:
    """Writes the files of a video: `add` its frames, then `close`.

    Args:
        folder: Where the files go.
        label_space: The classes.
        has_tracks: Whether an id means the same object in all frames; else there are no tracks.
        info: What goes into the `info` of each file.

    Raises:
        InputError: the folder cannot be written to.
    """

    def __init__(
        self,
        folder: Union[str, Path],
        label_space: LabelSpace,
        has_tracks: bool = True,
        info: Optional[Dict[str, Any]] = None,
    ):
        self.folder, self.label_space = Path(folder), label_space
        self.has_tracks, self.info = has_tracks, info or {}
        self.length, self.size = 0, (0, 0)
        self._spool = self.folder / f'.coco.{os.getpid()}.part'
        with self._disk():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._spool.unlink(missing_ok=True)
            # one thread at a time, but not always the same one
            self._database = sqlite3.connect(
                self._spool, isolation_level=None, check_same_thread=False
            )
            self._database.executescript(TABLES)

    def add(
        self,
        frame: int,
        name: str,
        file_name: str,
        semantic: np.ndarray,
        segment_map: np.ndarray,
        labels: np.ndarray,
        scores: np.ndarray,
        ids: np.ndarray,
    ) -> None:
        """Write the PNG of the next frame and keep its segments.

        Args:
            frame: Its number in the video.
            name: Of its PNG, without the ending.
            file_name: Of its image.
            semantic: (H, W), uint8 train ids; all frames have one size.
            segment_map: (H, W), integers: 0 = no segment, k = row k - 1 of the following ones.
            labels: (n,), train id of each segment.
            scores: (n,), 0..1.
            ids: (n,), instance or track ids, 0 = none.

        Raises:
            InputError: an id is larger than the format holds, or the disk is full.
        """
        index, segments = find_segments(
            semantic, segment_map, labels, scores, ids, self.label_space
        )
        colours = np.zeros(max(segments, default=0) + 1, '<u4')
        for number, segment in segments.items():
            colours[number] = segment.id
        # the bytes of such a number are R, G, B, 0; OpenCV writes B, G, R
        table = colours.view(np.uint8).reshape(-1, 4)[:, 2::-1]
        write_png(self.folder / FOLDER / f'{name}.png', table[index], LABEL_PNG)
        self.length, self.size = self.length + 1, (semantic.shape[0], semantic.shape[1])
        rows = (s if self.has_tracks else s._replace(track=0) for s in segments.values())
        with self._disk():
            self._database.execute(
                'INSERT INTO images VALUES (?, ?, ?, ?)', (self.length, frame, name, file_name)
            )
            self._database.executemany(
                'INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
                ((self.length, *row) for row in rows),
            )

    def close(self) -> List[Path]:
        """Write the JSON files of the frames so far; without frames there are none.

        Returns:
            the files.

        Raises:
            InputError: the disk is full.
        """
        files: List[Path] = []
        try:
            if self.length:
                with self._disk():
                    self._database.executescript(INDICES)  # it commits first
                    images = [_list(map(_value, self._images())) for _ in range(2)]
                    files.append(self._write(PANOPTIC, images[0], self._frames()))
                    files.append(self._write(INSTANCES, images[1], self._things(), True))
                    if self.has_tracks:
                        files.append(self._write(TRACKS, self._video(), self._tracks(), True))
        finally:
            self.discard()
        return files

    def discard(self) -> None:
        """Give up: of the frames so far only the PNGs are left."""
        self._database.close()
        self._spool.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = getattr(error, 'strerror', None) or error
            raise InputError(f'cannot write to {self.folder}: {reason}') from None

    def _write(
        self, name: str, media: Pieces, annotations: Iterable[Pieces], things_only: bool = False
    ) -> Path:
        """Write a JSON file with all its lists."""
        document = dict(
            info=_value(self.info),
            licenses=_value([]),
            categories=_value(categories(self.label_space, things_only)),
            annotations=_list(annotations),
        )
        document['videos' if name == TRACKS else 'images'] = media
        with whole_file(self.folder / name) as partial, open(partial, 'w') as file:
            file.writelines(_object(document))
        return self.folder / name

    def _images(self) -> Iterator[Dict[str, Any]]:
        height, width = self.size
        for image, frame, file_name in self._database.execute(
            'SELECT image, frame, file_name FROM images ORDER BY image'
        ):
            yield dict(id=image, file_name=file_name, width=width, height=height, frame=frame)

    def _frames(self) -> Iterator[Pieces]:
        """Annotations of the panoptic file."""
        rows = self._database.execute(
            f'SELECT images.image, name, id, {COMMON} FROM images LEFT JOIN segments '
            'ON segments.image = images.image ORDER BY images.image, segments.rowid'
        )
        for (image, name), group in itertools.groupby(rows, lambda row: row[:2]):
            segments = [_entry(*row[2:]) for row in group if row[2] is not None]
            yield _value(dict(image_id=image, file_name=f'{name}.png', segments_info=segments))

    def _things(self) -> Iterator[Pieces]:
        """Annotations of the detection file."""
        rows = self._database.execute(
            f'SELECT image, counts, {COMMON} FROM segments WHERE counts IS NOT NULL ORDER BY rowid'
        )
        for number, (image, counts, *values) in enumerate(rows, 1):
            yield _value(
                dict(
                    _entry(number, *values),
                    image_id=image,
                    segmentation=dict(size=self.size, counts=counts),
                )
            )

    def _video(self) -> Pieces:
        height, width = self.size
        names = _list(_value(image['file_name']) for image in self._images())
        head = dict(id=1, width=width, height=height, length=self.length)
        return _list([_object(dict(_values(head), file_names=names))])

    def _tracks(self) -> Iterator[Pieces]:
        """Annotations of the tracks."""
        tracks = self._database.execute(
            'SELECT track, AVG(score), MIN(image), MAX(image) FROM segments WHERE track > 0 '
            'GROUP BY track ORDER BY track'
        )
        height, width = self.size
        for number, (track, score, first, last) in enumerate(tracks, 1):
            head = dict(
                id=number,
                video_id=1,
                track_id=track,
                category_id=self._category(track),
                score=round(score, 4),
                iscrowd=0,
                width=width,
                height=height,
                length=self.length,
                first_frame=self._frame(first),
                last_frame=self._frame(last),
            )
            yield _object(
                dict(
                    _values(head),
                    segmentations=self._by_frame(track, 'counts', self._mask),
                    bboxes=self._by_frame(track, 'x, y, width, height', lambda *box: box),
                    areas=self._by_frame(track, 'area', lambda area: area),
                )
            )

    def _mask(self, counts: str) -> Dict[str, Any]:
        return dict(size=self.size, counts=counts)

    def _category(self, track: int) -> int:
        """The class that most of a track's pixels have, of several then that of most frames."""
        return self._database.execute(
            'SELECT category FROM segments WHERE track = ? GROUP BY category '
            'ORDER BY SUM(area) DESC, COUNT(*) DESC, category LIMIT 1',
            (track,),
        ).fetchone()[0]

    def _frame(self, image: int) -> int:
        """Number in the video of an image."""
        query = 'SELECT frame FROM images WHERE image = ?'
        return self._database.execute(query, (image,)).fetchone()[0]

    def _by_frame(self, track: int, columns: str, value: Any) -> Iterator[str]:
        """A list with a value for each frame, null where the track is not there."""
        rows = self._database.execute(
            f'SELECT image, {columns} FROM segments WHERE track = ? ORDER BY image', (track,)
        )
        done = 0
        yield '['
        for image, *values in rows:
            yield 'null,' * (image - done - 1)
            yield json.dumps(value(*values)) + (',' if image < self.length else '')
            done = image
        yield ','.join(['null'] * (self.length - done)) + ']'


def find_segments(
    semantic: np.ndarray,
    segment_map: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    ids: np.ndarray,
    label_space: LabelSpace,
) -> Tuple[np.ndarray, Dict[int, Segment]]:
    """The segments of a frame: things as the rows say, stuff by the class of the pixels.

    Args:
        semantic, segment_map, labels, scores, ids: See `CocoWriter.add`.
        label_space: The classes.

    Returns:
        index map, (H, W), int32, 0 = no category, and the segments by their numbers in it.

    Raises:
        InputError: an id is larger than the format holds.
    """
    things = np.flatnonzero(np.isin(labels, label_space.thing_ids))
    of_row = np.zeros(len(labels) + 1, np.int32)
    of_row[things + 1] = np.arange(1, len(things) + 1)
    of_class = np.zeros(256, np.int32)
    of_class[list(label_space.stuff_ids)] = len(things) + 1 + np.arange(len(label_space.stuff_ids))
    index = of_row[segment_map]
    index = np.where(index > 0, index, of_class[semantic])
    areas = np.bincount(index.ravel(), minlength=1)
    columns = np.asfortranarray(index) if len(things) else index
    spare = _spare_ids(ids)
    stuff_scores = dict(zip(labels.tolist(), scores.tolist()))
    segments = {}
    for number, box in enumerate(find_objects(index), 1):
        if box is None:
            continue
        top, left = box[0].start, box[1].start
        place = left, top, box[1].stop - left, box[0].stop - top
        area = int(areas[number])
        if number <= len(things):
            row = things[number - 1]
            track, category = int(ids[row]), int(labels[row]) + 1
            low = _checked(track) or next(spare)
            counts = _counts(columns, number, box[1])
            score = float(scores[row])
        else:
            label = label_space.stuff_ids[number - len(things) - 1]
            track, category, low, counts = 0, label + 1, 0, None
            score = stuff_scores.get(label, 0.0)
        segments[number] = Segment(
            category << 16 | low, category, track, score, area, *place, counts
        )
    return index, segments


def _checked(track: int) -> int:
    if track > MAX_INSTANCE_ID:
        raise InputError(
            f'track id {track} does not fit the PNGs, which have ids up to {MAX_INSTANCE_ID}; take '
            'parts of the video (--start, --end), or let fewer tracks start'
        )
    return track


def _spare_ids(ids: np.ndarray) -> Iterator[int]:
    """Ids for objects that have none, beginning with the largest one."""
    used = set(ids.tolist())
    return (number for number in range(MAX_INSTANCE_ID, 0, -1) if number not in used)


def _counts(columns: np.ndarray, number: int, box: slice) -> str:
    """The RLE of a segment.

    Args:
        columns: (H, W), index map that lies column by column in memory.
        number: Of the segment.
        box: The columns that it occupies.
    """
    inside = np.zeros((box.stop - box.start) * len(columns) + 2, np.int8)
    inside[1:-1] = (columns[:, box] == number).ravel(order='F')
    changes = np.flatnonzero(np.diff(inside)) + box.start * len(columns)
    runs = np.diff([0, *changes, columns.size])
    mask = dict(size=list(columns.shape), counts=runs[: len(runs) - (runs[-1] == 0)].tolist())
    return rle.frPyObjects(mask, *columns.shape)['counts'].decode()


def categories(label_space: LabelSpace, things_only: bool = False) -> List[Dict[str, Any]]:
    """The classes, as COCO lists them."""
    train_ids = sorted((*label_space.thing_ids, *(() if things_only else label_space.stuff_ids)))
    return [
        dict(
            id=train_id + 1,
            name=label_space.classes[train_id],
            supercategory='thing' if train_id in label_space.thing_ids else 'stuff',
            isthing=int(train_id in label_space.thing_ids),
            color=list(label_space.palette[train_id]),
        )
        for train_id in train_ids
    ]


def _entry(
    number: int,
    category: int,
    track: int,
    score: float,
    area: int,
    x: int,
    y: int,
    width: int,
    height: int,
) -> Dict[str, Any]:
    """What the segments of a panoptic file and of a detection file have in common."""
    entry = dict(
        id=number,
        category_id=category,
        area=area,
        bbox=[x, y, width, height],
        iscrowd=0,
        score=round(score, 4),
    )
    return dict(entry, track_id=track) if track else entry


def _value(value: Any) -> Pieces:
    return [json.dumps(value)]


def _values(values: Dict[str, Any]) -> Dict[str, Pieces]:
    return {key: _value(value) for key, value in values.items()}


def _list(items: Iterable[Pieces]) -> Iterator[str]:
    yield '['
    for number, item in enumerate(items):
        yield ',\n' if number else ''
        yield from item
    yield ']'


def _object(values: Dict[str, Pieces]) -> Iterator[str]:
    yield '{'
    for number, (key, value) in enumerate(values.items()):
        yield f'{", " if number else ""}{json.dumps(key)}: '
        yield from value
    yield '}'
