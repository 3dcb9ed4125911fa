"""Pictures and videos of whole sequences."""

import os
import re
import warnings
from pathlib import Path
from typing import Any, Optional, Sequence, Tuple, Union

import cv2
import imageio_ffmpeg
import numpy as np

from knet.errors import InputError
from knet.files import whole_file
from knet.label_space import LabelSpace
from knet.options import DRAWINGS
from knet.step_format import write_png
from knet.visualization.colours import (
    ErrorKind,
    colour_depth,
    colour_depth_error,
    colour_semantic,
    draw_errors,
    draw_tracks,
    enlarge,
)
from knet.visualization.layout import draw_legend, fit, side_by_side
from knet.visualization.sound import add_sound, has_sound

PANEL_WIDTH = 960  # pixels; smaller frames are enlarged by the whole factor that comes nearest


class VideoWriter:
    """H.264 video that any browser plays; the file appears when it is whole.

    Args:
        path: The .mp4 file.
        fps: Frames per second.
        sound: File whose sound goes with the video, where it has any; see `add_sound`.
        sound_start: Seconds of the sound that are left out at its start.
    """

    def __init__(
        self,
        path: Path,
        fps: float,
        sound: Optional[Path] = None,
        sound_start: float = 0.0,
    ):
        self.path, self.fps = Path(path), fps
        self.sound, self.sound_start = sound, sound_start
        self.partial = self.path.with_name(f'.{self.path.stem}.{os.getpid()}.part.mp4')
        self.length = 0
        """Number of frames so far."""
        self.has_sound = False
        """Whether the file that was closed has sound."""
        self._writer: Any = None
        self._shape: Tuple[int, ...] = ()

    def add(self, frame: np.ndarray) -> None:
        """Append a frame, (H, W, 3) uint8 RGB with even sides; one of another size than the first
        is fitted into it.

        Raises:
            InputError: the file cannot be written.
        """
        writer = self._writer
        if writer is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f'cannot write {self.path}: {error.strerror}') from None
            self._shape = frame.shape
            writer = imageio_ffmpeg.write_frames(
                os.path.abspath(self.partial),  # a:b would be a protocol, -a an option
                frame.shape[1::-1],
                fps=max(self.fps, 1),
                # the same once more, since it is rounded to two places there
                input_params=['-r', f'{self.fps:.6f}'],
                codec='libx264',
                pix_fmt_out='yuv420p',
                macro_block_size=2,
                output_params=['-crf', '20'],
                ffmpeg_log_level='error',
            )
            writer.send(None)
            self._writer = writer
        if frame.shape != self._shape:
            frame = fit(frame, self._shape[:2])
        try:
            writer.send(np.ascontiguousarray(frame))
        except (OSError, StopIteration) as error:
            self.discard()
            reason = str(error).strip().splitlines() or ['ffmpeg has ended']
            raise InputError(f'cannot write {self.path}: {reason[0]} (is the disk full?)') from None
        self.length += 1

    def close(self) -> None:
        """Finish the file; without frames there is none. Where the sound cannot be used there is a
        warning, and none."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            with whole_file(self.path) as partial:
                if not is_whole_mp4(self.partial):
                    self.partial.unlink(missing_ok=True)
                    raise InputError(
                        f'cannot write {self.path}: ffmpeg left it incomplete (is the disk full?)'
                    )
                if self.sound is not None and has_sound(self.sound):
                    self.has_sound = self._add_sound(partial)
                if self.has_sound:
                    self.partial.unlink()
                else:
                    os.replace(self.partial, partial)

    def _add_sound(self, target: Path) -> bool:
        """Whether the video could be written with its sound."""
        assert self.sound is not None
        seconds = self.length / self.fps
        fault = add_sound(self.partial, self.sound, target, self.sound_start, seconds)
        if fault is None and not is_whole_mp4(target):
            fault = 'ffmpeg left the video incomplete (is the disk full?)'
        if fault is not None:
            warnings.warn(f'{self.path} has no sound: {fault}', stacklevel=3)
        return fault is None

    def discard(self) -> None:
        """Give up: nothing is left of the frames so far, and a file of an earlier run stays as it
        is."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self.partial.unlink(missing_ok=True)


def is_whole_mp4(path: Path) -> bool:
    """Whether the boxes of an MP4 file fill it and its index, which is written last, is there."""
    kinds, place, size = [], 0, path.stat().st_size
    with open(path, 'rb') as file:
        while place + 8 <= size:
            file.seek(place)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], 'big'), head[4:8]
            length = int.from_bytes(head[8:], 'big') if length == 1 else length
            if length < 8:
                return False
            kinds.append(kind)
            place += length
    return place == size and b'moov' in kinds


class SequenceRenderer:
    """Writes coloured maps and videos of predictions, frame by frame as they come.

    out/semantic/<folder>/<name>.png    class colours
    out/tracks/<folder>/<name>.png      tracks (of images: segments) over the image
    out/errors/<folder>/<name>.png      what is wrong, over the grey image; where it is known
    out/depth/<folder>/<name>.png       depth, blue near and red far; where it is known
    out/videos/<folder>.mp4             input, prediction, ground truth and errors; depth, its
                                        ground truth and its relative error

    In a `with` block the last video is finished at the end; after an exception it is discarded, so
    that no video lacks frames.

    Args:
        out_dir: Folder of the pictures.
        label_space: Classes and palette.
        fps: Frames per second of the videos; 0 writes none.
        write: Which of `CONTENTS`.
        error_kinds: What is drawn in error maps; those of no opacity are not in the legend.
    """

    CONTENTS = DRAWINGS
    """Folders in `out_dir`."""
    NAMES = re.compile(r'(semantic|tracks|errors|depth)/[^/]+/[^/]+\.png|videos/[^/]+\.mp4')
    """Names of the files in them."""

    def __init__(
        self,
        out_dir: Union[str, Path],
        label_space: LabelSpace,
        fps: int = 10,
        write: Sequence[str] = CONTENTS,
        error_kinds: Sequence[ErrorKind] = (),
    ):
        self.out_dir, self.label_space, self.fps = Path(out_dir), label_space, fps
        self.write = set(write) if fps else set(write) - {'videos'}
        self.error_kinds = error_kinds
        self._folder: Optional[str] = None
        self._video: Optional[VideoWriter] = None

    def __enter__(self) -> 'SequenceRenderer':
        return self

    def __exit__(self, kind, error, trace) -> None:
        if error is not None and self._video is not None:
            self._video.discard()
            self._video = None
        self.close()

    def add(
        self,
        folder: str,
        name: str,
        image: np.ndarray,
        semantic: np.ndarray,
        instance: np.ndarray,
        gt_semantic: Optional[np.ndarray] = None,
        gt_instance: Optional[np.ndarray] = None,
        kinds: Optional[np.ndarray] = None,
        depth: Optional[np.ndarray] = None,
        gt_depth: Optional[np.ndarray] = None,
    ) -> None:
        """Draw the next frame; frames of a folder come together and make a video.

        Args:
            folder: Of a video its sequence.
            name: Of the frame.
            image: (H, W, 3), uint8 RGB.
            semantic, instance: Prediction, (H, W): train ids and track ids.
            gt_semantic, gt_instance: Ground truth; without it the video has no panel for it.
            kinds: (H, W), uint8, what is wrong; without it there is no error map.
            depth, gt_depth: (H, W), predicted and true depth, metres, 0 = unknown; None: there is
                none.
        """
        scale = max(1, round(PANEL_WIDTH / image.shape[1]))
        if 'semantic' in self.write:
            picture = colour_semantic(semantic, self.label_space)
            self._write('semantic', folder, name, picture)
        panels = [(f'input: {name}', enlarge(image, scale, cv2.INTER_LINEAR))]
        if self.write & {'tracks', 'videos'}:
            tracks = draw_tracks(image, semantic, instance, self.label_space, scale=scale)
            panels.append(('prediction', tracks))
        if 'tracks' in self.write:
            self._write('tracks', folder, name, tracks)
        if 'videos' in self.write and gt_semantic is not None and gt_instance is not None:
            truth = draw_tracks(image, gt_semantic, gt_instance, self.label_space, scale=scale)
            panels.append(('ground truth', truth))
        if kinds is not None and self.write & {'errors', 'videos'}:
            errors = draw_errors(image, kinds, self.error_kinds, scale)
            panels.append(('errors', errors))
            if 'errors' in self.write:
                self._write('errors', folder, name, errors)
        if depth is not None and self.write & {'depth', 'videos'}:
            pictures = [('depth', colour_depth(depth))]
            if 'depth' in self.write:
                self._write('depth', folder, name, pictures[0][1])
            if gt_depth is not None:
                errors = colour_depth_error(depth, gt_depth)
                pictures += [('true depth', colour_depth(gt_depth)), ('depth error', errors)]
            panels += [(words, enlarge(p, scale, cv2.INTER_NEAREST)) for words, p in pictures]
        if 'videos' in self.write:
            picture = side_by_side(panels)
            if kinds is not None:
                legend = draw_legend(self.error_kinds, picture.shape[1])
                picture = np.vstack([picture, legend])
            self._add_to_video(folder, picture)

    def _write(self, kind: str, folder: str, name: str, picture: np.ndarray) -> None:
        write_png(self.out_dir / kind / folder / f'{name}.png', picture[..., ::-1])

    def _add_to_video(self, folder: str, picture: np.ndarray) -> None:
        if self._video is None or folder != self._folder:
            self.close()
            self._folder = folder
            self._video = VideoWriter(self.out_dir / 'videos' / f'{folder}.mp4', self.fps)
        self._video.add(picture)

    def close(self) -> None:
        """Finish the video of the sequence."""
        if self._video is not None:
            self._video.close()
            self._video = None
