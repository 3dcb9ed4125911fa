"""Event files and the pictures in them; what runs write is looked at in `test_train_and_test.py`
and `test_resume.py`."""

import dataclasses
import os
import socket

import numpy as np
import pytest

from knet.apis import events, tensorboard
from knet.data import build_test_dataset
from knet.errors import InputError
from knet.step_format import write_panoptic, write_png


def test_frames_are_spread_evenly():
    assert tensorboard.spread(range(8), 4) == [1, 3, 5, 7]
    assert tensorboard.spread(range(1000), 4) == [125, 375, 625, 875]
    assert tensorboard.spread(range(3), 4) == [0, 1, 2]
    assert tensorboard.spread(range(3), 0) == []


def test_large_frames_are_shrunk_and_keep_their_segments(toy_root, tmp_path):
    """A car on the left that the prediction misses, on void."""
    dataset = build_test_dataset(dict(name='toy_step', root=toy_root, val=dict(split='val')), 'val')
    semantic, instance = np.full((300, 1920), 255, np.uint8), np.zeros((300, 1920), np.int32)
    write_panoptic(tmp_path / 'prediction.png', semantic, instance)
    semantic[:, :960], instance[:, :960] = dataset.label_space.thing_ids[0], 7
    write_panoptic(tmp_path / 'truth.png', semantic, instance)
    write_png(tmp_path / 'image.png', np.full((300, 1920, 3), (200, 100, 50), np.uint8))
    files = dict(image=tmp_path / 'image.png', truth=(tmp_path / 'truth.png',))
    record = dataclasses.replace(dataset.records[0], **files)
    picture = tensorboard.draw_frame(dataset, record, tmp_path / 'prediction.png')
    assert picture.shape == (3 * (150 + 24), 960, 3)
    image, prediction, truth = (panel[24:] for panel in np.split(picture, 3))
    assert (image == (50, 100, 200)).all() and (prediction == image).all()
    assert (truth[:, :470] != image[:, :470]).any(axis=2).all()
    assert (truth[:, 490:] == image[:, 490:]).all()


def test_a_folder_and_a_disk_that_cannot_be_written_to(tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match=f'cannot write {tmp_path}/file: File exists'):
        events.EventWriter(tmp_path / 'file', 1)
    monkeypatch.setattr(events.time, 'time', lambda: 1000)
    name = f'events.out.tfevents.0000001000.{socket.gethostname()}.{os.getpid()}'
    (tmp_path / name).symlink_to('/dev/full')
    with pytest.raises(InputError, match=f'cannot write {tmp_path}/{name}: No space left'):
        events.EventWriter(tmp_path, 1)


def test_peak_memory_is_that_of_this_process():
    before = tensorboard.peak_memory()
    block = np.ones(2**28, np.uint8)  # 256 MB
    grown = tensorboard.peak_memory()
    assert block.all() and grown > 256 and tensorboard.peak_memory() >= grown >= before
