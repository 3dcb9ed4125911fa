"""KITTI-STEP: from the downloads to the STEP layout."""

import os
import sys

import pytest
from prepare_kitti_step import SEQUENCES, prepare_kitti_step

from knet.errors import InputError
from knet.step_format import frame_name, scan_split, write_panoptic
from tests.conftest import assert_one_line_error, run
from tests.datasets.sources import street, tree, write_kitti


@pytest.fixture
def download(tmp_path):
    write_kitti(tmp_path)
    return tmp_path


def run_script(root, *args, images='kitti', maps='kitti-step'):
    return run(
        sys.executable,
        'datasets/prepare_kitti_step.py',
        root / images,
        root / maps,
        root / 'out',
        *args,
    )


def test_official_numbers():
    assert [(len(frames), sum(frames.values())) for frames in SEQUENCES.values()] == [
        (12, 5027),
        (9, 2981),
    ]


def test_files_are_those_of_the_download(download):
    before = tree(download)
    plans = prepare_kitti_step(download / 'kitti', download / 'kitti-step', download / 'out')
    assert [(plan.name, plan.groups, plan.complete(), plan.problems) for plan in plans] == [
        ('train', 1, 4, []),
        ('val', 1, 4, []),
        ('test', 1, 1, []),
    ]
    root = download / 'out' / 'video_sequence'
    for split, sequence in (('train', 0), ('val', 2)):
        frames = scan_split(root / split)[sequence]
        assert list(frames) == [0, 1, 2, 3]
        for frame, files in frames.items():
            assert os.path.samefile(
                files['leftImg8bit'],
                download / f'kitti/training/image_02/{sequence:04d}/{frame:06d}.png',
            )
            assert os.path.samefile(
                files['panoptic'],
                download / f'kitti-step/panoptic_maps/{split}/{sequence:04d}/{frame:06d}.png',
            )
    assert os.listdir(root / 'test') == ['000001_000003_leftImg8bit.png']
    assert {
        name: data for name, data in tree(download).items() if not name.startswith('out')
    } == before


@pytest.mark.parametrize(
    'layout, images, maps',
    [
        ('panoptic/', 'kitti', 'kitti-step'),
        ('panoptic_maps/', 'kitti/training', 'kitti-step/panoptic_maps'),
        ('panoptic/{split}', 'kitti/training/image_02', 'kitti-step/panoptic/val'),
        ('panoptic_maps/{split}', '.', '.'),
    ],
)
def test_layouts_of_the_archives(tmp_path, layout, images, maps):
    write_kitti(tmp_path / 'download', maps=layout)
    download = tmp_path / 'download'
    plans = prepare_kitti_step(
        download / images, download / maps, tmp_path / 'out', ('train', 'val')
    )
    assert [(plan.complete(), plan.problems) for plan in plans] == [(4, []), (4, [])]


def test_symbolic_links_and_a_second_run(download):
    args = download / 'kitti', download / 'kitti-step', download / 'out'
    prepare_kitti_step(*args, symlink=True)
    links = {path: os.lstat(path).st_mtime_ns for path in (download / 'out').rglob('*.png')}
    assert len(links) == 17 and all(path.is_symlink() and path.exists() for path in links)
    prepare_kitti_step(*args, symlink=True)
    assert {path: os.lstat(path).st_mtime_ns for path in (download / 'out').rglob('*.png')} == links


def test_dry_run_writes_nothing(download):
    done = run_script(download, '--dry-run')
    assert done.returncode == 0 and not (download / 'out').exists()
    assert (
        '| train |         1 |            4 |               0 | 5,027 frames in 12  |'
        in done.stdout
    )
    assert 'warning: train: missing sequences (4,873 frames): 0001 0003' in done.stderr


def test_what_does_not_fit_together_is_left_out_and_reported(download):
    maps = download / 'kitti-step' / 'panoptic_maps'
    write_panoptic(maps / 'val' / '0002' / '000001.png', *(array[:-1] for array in street(1)[1:]))
    (maps / 'train' / '0000' / '000003.png').unlink()
    (maps / 'train' / '0000' / '000000.png').write_bytes(
        (maps / 'train' / '0000' / '000000.png').read_bytes()[:60]
    )
    (download / 'kitti' / 'training' / 'image_02' / '0002' / '000003.png').unlink()
    done = run_script(download)
    assert_one_line_error(
        done, '4 problems in the download (everything else is prepared)', 'the first: train'
    )
    problems = [line for line in done.stderr.splitlines() if line.startswith('problem: ')]
    assert 'train: sequence 0000: 1 image without map, the first is frame 000003' in problems[0]
    assert (
        'train: sequence 0000, frame 000000' in problems[1]
        and '000000.png is not a whole PNG (60 bytes)' in problems[1]
    )
    assert 'val: sequence 0002: 1 map without image' in problems[2]
    assert (
        f'the map {maps}/val/0002/000001.png has the size (63, 128), its image (64, 128)'
        in problems[3]
    )
    assert sorted(scan_split(download / 'out/video_sequence/val')[2]) == [0, 2]
    assert sorted(scan_split(download / 'out/video_sequence/train')[0]) == [1, 2]


def test_missing_maps_and_mistyped_paths(download):
    (download / 'empty').mkdir()
    assert_one_line_error(run_script(download, images='kiti'), f'{download}/kiti is not a folder')
    assert_one_line_error(
        run_script(download, maps='empty'), f'{download}/empty holds no folder panoptic_maps'
    )
    assert_one_line_error(
        run_script(download, images='kitti-step'),
        'holds no folder training/image_02/0000 with images',
    )
    with pytest.raises(InputError, match='holds no folder panoptic_maps'):
        prepare_kitti_step(download / 'kitti', download / 'kitti', download / 'out')


def test_killed_run_goes_on(tmp_path, kill_halfway):
    write_kitti(tmp_path, frames=1)
    for folder in (
        tmp_path / 'kitti/training/image_02/0000',
        tmp_path / 'kitti-step/panoptic_maps/train/0000',
    ):
        for frame in range(1, 1500):
            os.link(folder / '000000.png', folder / f'{frame:06d}.png')
    args = tmp_path / 'kitti', tmp_path / 'kitti-step'
    assert 4 <= kill_halfway(tmp_path / 'out', 'prepare_kitti_step', *args, tmp_path / 'out') < 3003
    (tmp_path / 'out/video_sequence/train' / f'.{frame_name(0, 7)}_panoptic.png.1.part').touch()
    prepare_kitti_step(*args, tmp_path / 'out')
    prepare_kitti_step(*args, tmp_path / 'whole')
    assert (
        tree(tmp_path / 'out') == tree(tmp_path / 'whole') and len(tree(tmp_path / 'out')) == 3003
    )


def test_training_on_it(download, train_and_validate):
    prepare_kitti_step(download / 'kitti', download / 'kitti-step', download / 'out')
    losses, figures = train_and_validate(download / 'out')
    assert len(losses) == 2 and 0 <= figures['STQ'] <= 1 and 0 <= figures['VPQ'] <= 1
