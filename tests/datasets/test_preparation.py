"""What the preparation scripts share."""

import errno
import os
import shutil

import pytest
from preparation import (
    Outcome,
    Split,
    check_output,
    find_folder,
    is_made,
    is_placed,
    load_package,
    place,
    prepare,
    report,
    run_pieces,
)

from knet.errors import InputError


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'source.png'
    path.write_bytes(b'content')
    return str(path)


def test_links_and_copies(source, tmp_path, monkeypatch):
    targets = [str(tmp_path / 'new' / name) for name in ('hard', 'symbolic', 'copy')]
    assert not place(source, targets[0]) and not place(source, targets[1], symlink=True)

    def no_link(*_):
        raise OSError(errno.EXDEV, 'Invalid cross-device link')

    monkeypatch.setattr(os, 'link', no_link)
    assert place(source, targets[2])
    assert (
        os.path.samefile(source, targets[0])
        and os.path.islink(targets[1])
        and not os.path.samefile(source, targets[2])
    )
    assert all(
        open(target, 'rb').read() == b'content' and is_placed(source, target) for target in targets
    )
    assert sorted(os.listdir(tmp_path / 'new')) == ['copy', 'hard', 'symbolic']


def test_link_to_a_link_survives_the_links_end(source, tmp_path):
    os.symlink(source, tmp_path / 'link')
    place(str(tmp_path / 'link'), str(tmp_path / 'target'))
    os.unlink(tmp_path / 'link')
    assert (tmp_path / 'target').read_bytes() == b'content'


def test_a_full_disk_is_an_error(source, tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'link', no_space)
    with pytest.raises(InputError, match='cannot write .*target: No space left'):
        place(source, str(tmp_path / 'target'))
    assert os.listdir(tmp_path) == ['source.png']


def test_changed_sources_are_noticed(source, tmp_path):
    target = str(tmp_path / 'target')
    shutil.copy2(source, target)
    assert is_placed(source, target) and is_made(source, target)
    os.utime(source, (os.stat(target).st_mtime + 10,) * 2)
    assert not is_placed(source, target) and not is_made(source, target)
    assert not is_placed(source, str(tmp_path / 'none')) and not is_made(
        source, str(tmp_path / 'none')
    )


def test_folder_one_level_up(tmp_path):
    (tmp_path / 'kitti' / 'training').mkdir(parents=True)
    assert (
        find_folder(tmp_path, ('training',), os.path.isdir, 'x') == tmp_path / 'kitti' / 'training'
    )
    with pytest.raises(InputError, match='holds no folder testing'):
        find_folder(tmp_path, ('testing',), os.path.isdir, 'folder testing')


def test_files_of_another_set_stop_the_run_and_half_written_ones_are_removed(tmp_path):
    split = Split('train', 'city', None, [tmp_path], targets=[(str(tmp_path / 'a.png'),)])
    for name in ('a.png', '.a.png.123.part', 'a_depth.png'):
        (tmp_path / name).touch()
    check_output([split], dry_run=True)
    assert len(os.listdir(tmp_path)) == 3
    check_output([split])
    assert sorted(os.listdir(tmp_path)) == ['a.png', 'a_depth.png']
    (tmp_path / 'b.png').touch()
    with pytest.raises(InputError, match=r'would not write \(1, such as .*b.png\)'):
        check_output([split])


def test_report_counts_and_ends_with_an_error(tmp_path, capsys):
    (tmp_path / 'a').touch()
    split = Split(
        'val',
        'city',
        (3, 500),
        [],
        targets=[(str(tmp_path / name),) for name in 'abc'],
        groups=1,
        pieces=[3, 4],
    )
    prepare(
        [split],
        lambda piece: Outcome(
            copied=piece, problems=(f'bad {piece}',), notes=(('odd things', piece),)
        ),
    )
    with pytest.raises(
        InputError,
        match=r'2 problems in the download \(everything else is prepared\); the first: val: bad 3',
    ):
        report([split])
    printed = capsys.readouterr()
    assert '| val   |      1 |            3 |               1 | 500 frames in 3   |' in printed.out
    assert 'val: 7 files were copied' in printed.out and 'val: 7 odd things' in printed.out
    assert (
        'warning: val: the set has 3 frames in 1 city, the complete download 500 in 3'
        in printed.err
    )


def test_spread_work_keeps_its_order_and_says_when_a_process_is_ended():
    assert list(run_pieces(str, range(40), 2)) == list(map(str, range(40)))
    with pytest.raises(InputError, match='ended from outside.*smaller --nproc'):
        list(run_pieces(os._exit, [1], 2))


def test_missing_package_names_the_way_to_install_it():
    with pytest.raises(InputError, match=r'package nothing is needed .*setup_env.sh prepare'):
        load_package('no_such_module', 'nothing')
