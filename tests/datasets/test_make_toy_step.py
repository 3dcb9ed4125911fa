"""The toy videos: fixed by their arguments, in STEP layout, restartable."""

import json

import numpy as np
import pytest
from make_toy_step import MARKER, make_toy_step

from knet.errors import InputError
from knet.step_format import read_panoptic, read_png, scan_split

SMALL = dict(train_sequences=1, val_sequences=2, frames=3, size=(48, 96))


def contents(root):
    return {path.name: path.read_bytes() for path in sorted(root.glob('video_sequence/*/*.png'))}


def test_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        assert make_toy_step(tmp_path / name, seed=seed, **SMALL)
    assert make_toy_step(tmp_path / 'd', seed=0, nproc=2, **SMALL)
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b') == contents(tmp_path / 'd')
    assert set(contents(tmp_path / 'a')) == set(contents(tmp_path / 'c')) and contents(
        tmp_path / 'a'
    ) != contents(tmp_path / 'c')


def test_layout_and_values(tmp_path):
    make_toy_step(tmp_path, **SMALL)
    val = scan_split(tmp_path / 'video_sequence' / 'val')
    assert (
        list(val) == [2, 6] and list(val[2]) == [0, 1, 2] and list(val[6]) == [43, 44, 45]
    )  # not all start at 0
    for frames in val.values():
        for files in frames.values():
            semantic, instance = read_panoptic(files['panoptic'])
            assert read_png(files['leftImg8bit']).shape == (48, 96, 3) and semantic.shape == (
                48,
                96,
            )
            assert set(np.unique(semantic)) <= {*range(19), 255}
            assert set(np.unique(semantic[instance > 0])) <= {11, 13}


def test_default_videos_hold_what_makes_tracking_hard(tmp_path):
    make_toy_step(tmp_path, train_sequences=0, val_sequences=9)
    returning, crowded_frames = 0, 0
    for frames in scan_split(tmp_path / 'video_sequence' / 'val').values():
        visible = np.zeros((len(frames), 65536), bool)  # frame, instance id
        for row, files in zip(visible, frames.values()):
            semantic, instance = read_panoptic(files['panoptic'])
            is_thing = np.isin(semantic, (11, 13))
            row[np.unique(instance[is_thing])] = True
        crowded_frames += visible[:, 0].sum()
        returning += sum(
            (np.diff(np.flatnonzero(seen)) > 1).any() for seen in visible[:, 1:].T if seen.any()
        )
    assert returning >= 5 and crowded_frames >= 5


def test_complete_set_is_left_alone_and_an_unfinished_one_made_anew(tmp_path):
    make_toy_step(tmp_path, **SMALL)
    before = contents(tmp_path)
    assert not make_toy_step(tmp_path, **SMALL)
    marker = tmp_path / MARKER
    marker.write_text(json.dumps({**json.loads(marker.read_text()), 'complete': False}))
    (tmp_path / 'video_sequence' / 'val' / '000002_000001_panoptic.png').unlink()
    assert make_toy_step(tmp_path, **SMALL)
    assert contents(tmp_path) == before


def test_other_data_sets_are_not_touched(tmp_path):
    foreign = tmp_path / 'video_sequence' / 'val' / '000002_000000_panoptic.png'
    foreign.parent.mkdir(parents=True)
    foreign.touch()
    with pytest.raises(InputError, match='holds another data set'):
        make_toy_step(tmp_path, **SMALL)
    assert foreign.exists()


def test_bad_arguments(tmp_path):
    with pytest.raises(InputError, match='32 or more'):
        make_toy_step(tmp_path, size=(8, 8))
