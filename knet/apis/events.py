"""Event files, which TensorBoard shows. Importing this module imports tensorboard."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Union

import cv2
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from knet.errors import InputError


class EventWriter:
    """Appends to an event file of its own, in the thread that calls it.

    torch's SummaryWriter leaves that to another thread, whose death by a full disk is a traceback
    on stderr, and up to two minutes of a killed run are lost in it.

    Args:
        folder: Of the event files of a run; created as needed.
        first_step: What earlier runs have written about this step and later ones is not shown.

    Raises:
        InputError: the file cannot be written; also raised by the methods.
    """

    def __init__(self, folder: Union[str, Path], first_step: int):
        name = f'events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}'
        self.path = Path(folder) / name
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, 'ab')
        except OSError as error:
            raise self._fault(error) from None
        self._records = RecordWriter(self._file)
        self._add(first_step, file_version='brain.Event:2')
        self._add(first_step, session_log=SessionLog(status=SessionLog.START))
        self.flush()

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """Add a point of a curve."""
        self._add_value(step, Summary.Value(tag=tag, simple_value=float(value)))

    def add_picture(self, tag: str, picture: np.ndarray, step: int) -> None:
        """Add a picture, (H, W, 3), uint8 RGB; it is kept as JPEG, a quarter of a PNG."""
        height, width = picture.shape[:2]
        code = cv2.imencode('.jpg', picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 95))[1].tobytes()
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=code)
        self._add_value(step, Summary.Value(tag=tag, image=image))

    def flush(self) -> None:
        """Hand what was added to the system; TensorBoard sees it from then on."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._fault(error) from None

    def close(self) -> None:
        """Close the file; raises nothing, since nothing is lost after `flush`."""
        try:
            self._file.close()
        except OSError:
            pass

    def _add_value(self, step: int, value: Summary.Value) -> None:
        self._add(step, summary=Summary(value=[value]))

    def _add(self, step: int, **content: Union[str, SessionLog, Summary]) -> None:
        event = Event(wall_time=time.time(), step=step, **content)
        try:
            self._records.write(event.SerializeToString())
        except OSError as error:
            raise self._fault(error) from None

    def _fault(self, error: OSError) -> InputError:
        return InputError(f'cannot write {error.filename or self.path}: {error.strerror or error}')
