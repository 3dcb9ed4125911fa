"""Folders of results: what may be replaced, and what may not."""

import re

import pytest

from knet.errors import InputError
from knet.files import read_mark, result_folder

CONTENTS, NAMES = ('maps', 'video.mp4'), re.compile(r'maps/\d+/\d+\.png|video\.mp4')
OTHERS = (('figures.json',), re.compile(r'figures\.json'))


def write(folder, *names, contents=CONTENTS, pattern=NAMES, **made_of):
    """A run that writes some files."""
    with result_folder(folder, contents, pattern, made_of):
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('of a run')


def files_in(folder):
    names = [path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()]
    return sorted(set(names) - {'.lock', 'made_by.json'})


def test_a_run_replaces_the_one_before(tmp_path):
    write(tmp_path, 'maps/1/1.png', 'maps/1/2.png', 'video.mp4', model='a')
    for name in ('maps/1/.2.png.77.part', 'maps/.x.77.part.mp4', 'maps/1/notes.txt', 'mine.png'):
        (tmp_path / name).write_text('')
    write(tmp_path, 'maps/2/1.png', model='b')
    assert files_in(tmp_path) == ['maps/1/notes.txt', 'maps/2/1.png', 'mine.png']
    assert read_mark(tmp_path) == dict(model='b')


@pytest.mark.parametrize(
    'mine', ['video.mp4', 'maps/1/1.png', 'maps/1.json', 'maps/1/1.mp4', 'maps/deep/er/1.png']
)
@pytest.mark.parametrize('has_mark', [False, True])
def test_files_of_the_user_stay(tmp_path, mine, has_mark):
    """Files that carry the name of a result but lie where no run wrote, and others beside results,
    end the run before anything is changed."""
    if has_mark:
        write(tmp_path, 'maps/7/7.png')
    path = tmp_path / mine
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('mine')
    before = files_in(tmp_path)
    if has_mark and NAMES.fullmatch(mine):
        write(tmp_path)
        assert files_in(tmp_path) == []
        return
    with pytest.raises(InputError, match=f'{tmp_path}.*name another folder'):
        write(tmp_path)
    assert files_in(tmp_path) == before and path.read_text() == 'mine'


def test_results_of_another_tool_stay(tmp_path):
    write(tmp_path, 'figures.json', contents=OTHERS[0], pattern=OTHERS[1], protocol='own')
    with pytest.raises(InputError, match='results of another tool .*made_by.json'):
        write(tmp_path)
    assert read_mark(tmp_path) == dict(protocol='own') and files_in(tmp_path) == ['figures.json']


@pytest.mark.parametrize('link', ['maps', 'maps/1'])
def test_nothing_is_removed_behind_a_link(tmp_path, link):
    out, place = tmp_path / 'out', tmp_path / 'elsewhere'
    write(out)
    (place / '1').mkdir(parents=True)
    (place / '1/1.png').write_text('mine')
    (out / link).parent.mkdir(exist_ok=True)
    (out / link).symlink_to(place)
    with pytest.raises(InputError, match=f'{out / link} is a link'):
        write(out)
    assert (place / '1/1.png').read_text() == 'mine'


def test_mark(tmp_path):
    assert read_mark(tmp_path) == {}
    with pytest.raises(KeyboardInterrupt):
        with result_folder(tmp_path, CONTENTS, NAMES, {}):
            raise KeyboardInterrupt
    with pytest.raises(InputError, match='did not finish; run it again'):
        read_mark(tmp_path)
    for text in (b'{', b'3', b'{"finished": true, "made_of": 3}', b'\xff\xfe', b'{"made_of": {}}'):
        (tmp_path / 'made_by.json').write_bytes(text)
        with pytest.raises(InputError, match='made_by.json is damaged'):
            read_mark(tmp_path)
