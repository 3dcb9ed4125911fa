"""What a segmented video is written as."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import cv2
import numpy as np

from knet.apis.sources import FileReader, FolderReader, SourceFrame, VideoSource
from knet.coco_format import FOLDER, INSTANCES, PANOPTIC, TRACKS, CocoWriter
from knet.files import write_bytes
from knet.label_space import LabelSpace
from knet.step_format import write_depth, write_panoptic
from knet.structures import FrameResult
from knet.visualization import VideoWriter, draw_tracks
from knet.visualization.video import PANEL_WIDTH

CONTENTS = (
    'video.mp4',
    'panoptic',
    'depth',
    FOLDER,
    PANOPTIC,
    INSTANCES,
    TRACKS,
    'frames',
    'images',
)
"""Files and folders that are written into a folder of results."""
NAMES = re.compile(
    r'video\.mp4|(coco_panoptic|coco_instances|youtube_vis)\.json'
    r'|((panoptic|depth)/\d+|coco_panoptic)/\d{6,}_\d{6,}\.png|(frames|images)/\d{6,}_\d{6,}\.jpg'
)
"""Names of the files."""
LARGEST_ENLARGED = 4096  # pixels; small frames are enlarged up to it
LONGEST_PAUSE = 60  # seconds; the video does not stand still for longer
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95)


class VideoResults:
    """Writes the results of a video frame by frame: `add` them, then `close`. A `with` block that
    an exception ends leaves neither a video nor JSON files.

    video.mp4                                  overlay, with the sound of the source
    panoptic/<sequence>/<name>.png             class and track id of each pixel, STEP encoding
    depth/<sequence>/<name>.png                of models with depth: 16 bit, metres * 256
    coco_panoptic.json and others              see `knet.coco_format`
    frames/<name>.jpg, images/<name>.jpg       pictures of the video; its frames as they were read

    where <name> is {sequence:06d}_{frame:06d}.

    Args:
        folder: Where they go.
        label_space: The classes.
        source: Where the frames come from.
        kinds: Which of `VIDEO_OUTPUTS`.
        opacity: Of things in the overlay, 0..1; stuff has half of it.
        has_tracks: Whether an id means the same object in all frames.
    """

    def __init__(
        self,
        folder: Union[str, Path],
        label_space: LabelSpace,
        source: VideoSource,
        kinds: Sequence[str] = ('video', 'json'),
        opacity: float = 0.6,
        has_tracks: bool = True,
    ):
        self.folder, self.label_space, self.source = Path(folder), label_space, source
        self.kinds, self.opacity, self.has_tracks = set(kinds), opacity, has_tracks
        self.length = 0
        self.video: Optional[VideoWriter] = None
        self._first, self._last = 0.0, np.zeros((0, 0, 3), np.uint8)
        self._coco: Optional[CocoWriter] = None
        if 'json' in self.kinds:
            info = dict(description=f'Video K-Net on {source.reader.name}')
            self._coco = CocoWriter(self.folder, label_space, has_tracks, info)

    def __enter__(self) -> 'VideoResults':
        return self

    def __exit__(self, kind, error, trace) -> None:
        if error is not None:
            for writer in (self.video, self._coco):
                if writer is not None:
                    writer.discard()

    def add(self, frame: SourceFrame, result: FrameResult) -> None:
        """Write what belongs to the next frame.

        Raises:
            InputError: a file cannot be written.
        """
        self.length += 1
        if 'maps' in self.kinds:
            name = f'{self.source.reader.sequence}/{frame.name}.png'
            write_panoptic(self.folder / 'panoptic' / name, result.semantic, result.instance)
            if 'depth' in result.outputs:
                write_depth(self.folder / 'depth' / name, result.outputs['depth'])
        if self._coco:
            self._coco.add(
                frame.number,
                frame.name,
                frame.file if self.names_files and frame.file else f'{frame.name}.jpg',
                result.semantic,
                result.segment_map,
                result.segments.labels,
                result.segments.scores,
                result.segments.ids,
            )
        if 'images' in self.kinds:
            self._write_jpeg('images', frame, frame.image)
        if self.kinds & {'video', 'frames'}:
            picture = self._draw(frame, result)
            if 'frames' in self.kinds:
                self._write_jpeg('frames', frame, picture[..., ::-1])
            if 'video' in self.kinds:
                self._show(picture, frame.seconds)

    @property
    def names_files(self) -> bool:
        """Whether JSON files name the images of the source, which is a folder then, instead of
        those in `images`."""
        is_as_read = self.source.resize is None and 'images' not in self.kinds
        return is_as_read and isinstance(self.source.reader, FolderReader)

    def _draw(self, frame: SourceFrame, result: FrameResult) -> np.ndarray:
        """The overlay, (h, w, 3), uint8 RGB; small frames are enlarged."""
        height, width = frame.image.shape[:2]
        scale = min(round(PANEL_WIDTH / width), LARGEST_ENLARGED // max(height, width))
        return draw_tracks(
            frame.image[..., ::-1],
            result.semantic,
            result.instance,
            self.label_space,
            alpha=self.opacity,
            scale=max(1, scale),
            with_ids=self.has_tracks,
            with_classes=True,
        )

    def _write_jpeg(self, folder: str, frame: SourceFrame, image: np.ndarray) -> None:
        _, data = cv2.imencode('.jpg', np.ascontiguousarray(image), JPEG)
        write_bytes(self.folder / folder / f'{frame.name}.jpg', data)

    def _show(self, picture: np.ndarray, seconds: float) -> None:
        """Append a picture to the video. Where frames do not come evenly, as those of phones and
        cameras, the one before is repeated or this one left out, so that picture and sound stay
        together."""
        # H.264 wants even sides
        odd = (0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)
        picture = np.pad(picture, odd, mode='edge')
        if self.video is None:
            self.video, self._first = self._start_video(seconds), seconds
        due = round((seconds - self._first) * self.video.fps)
        pause = min(due - self.video.length, round(LONGEST_PAUSE * self.video.fps))
        for _ in range(pause if self.video.length else 0):
            self.video.add(self._last)
        if due >= self.video.length:
            self.video.add(picture)
        self._last = picture

    def _start_video(self, seconds: float) -> VideoWriter:
        reader = self.source.reader
        sound = reader.path if isinstance(reader, FileReader) else None
        fps = reader.fps / self.source.stride
        return VideoWriter(self.folder / 'video.mp4', fps, sound, sound_start=seconds)

    def close(self) -> Dict[str, List[Path]]:
        """Finish all files.

        Returns:
            what was written: kind → files and folders.

        Raises:
            InputError: a file cannot be written.
        """
        files: Dict[str, Any] = {}
        if self.video:
            self.video.close()
            files['video'] = [self.video.path]
        if 'maps' in self.kinds:
            folders = (self.folder / name for name in ('panoptic', 'depth'))
            files['maps'] = [folder for folder in folders if folder.is_dir()]
        if self._coco:
            files['json'] = self._coco.close()
        for kind in ('frames', 'images'):
            if kind in self.kinds:
                files[kind] = [self.folder / kind]
        return files
