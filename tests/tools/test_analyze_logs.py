"""tools/analysis/analyze_logs.py."""

import json

import pytest

from knet.errors import InputError
from knet.step_format import read_png


@pytest.fixture
def log(tmp_path):
    """Two epochs of two logged iterations, with validation."""

    def write(name='run', end='\n', loss='loss'):
        rows = [dict(config='x = 1', seed=1)]
        for epoch, times in ((1, (4.0, 2.0)), (2, (1.0, 1.0))):
            rows += [
                dict(mode='train', epoch=epoch, iter=i * 50, time=time, **{loss: 9.0 / epoch / i})
                for i, time in enumerate(times, 1)
            ]
            rows.append(dict(mode='val', epoch=epoch, iter=8, STQ=0.3 * epoch))
        path = tmp_path / f'{name}.log.json'
        path.write_text('\n'.join(map(json.dumps, rows)) + end)
        return path

    return write


def test_times_and_picture(tool, log, tmp_path):
    out = tmp_path / 'new' / 'curves.png'
    printed = tool(
        'analysis/analyze_logs', log(), log('other'), '--keys', 'loss', 'STQ', '--out', out
    )
    (row,) = [line for line in printed.splitlines() if 'run.log.json' in line]
    assert [cell.strip() for cell in row.split('|')[2:-1]] == [
        '4',
        '2.000',
        '1.000',
        '4.000',
        '2: 1.000',
        '1: 3.000',
    ]
    height, width = read_png(out).shape[:2]
    assert 1.1 < height / width < 1.2 and [path.name for path in out.parent.iterdir()] == [
        'curves.png'
    ]


def test_positions_are_epochs(load_tool, log):
    module = load_tool('analysis/analyze_logs')
    read = module.read_log(log(end='\n{"mode": "train", "ep'))  # cut off in the middle of a line
    assert [values.tolist() for values in module.curve(read, 'loss')] == [
        [0.5, 1.0, 1.5, 2.0],
        [9.0, 4.5, 4.5, 2.25],
    ]
    assert [values.tolist() for values in module.curve(read, 'STQ')] == [[1, 2], [0.3, 0.6]]


def test_bad_input(tool, log, tmp_path):
    with pytest.raises(InputError, match="run.log.json has no key 'lss'; it has STQ, loss, time"):
        tool('analysis/analyze_logs', log(), '--keys', 'lss')
    with pytest.raises(InputError, match="other.log.json has no key 'loss'"):
        tool('analysis/analyze_logs', log(), log('other', loss='los'))
    with pytest.raises(InputError, match='line 1 is not of a log.json'):
        (tmp_path / 'text').write_text('hello\n')
        tool('analysis/analyze_logs', tmp_path / 'text')
    with pytest.raises(InputError, match='none.json cannot be read'):
        tool('analysis/analyze_logs', tmp_path / 'none.json')
    with pytest.raises(InputError, match='must end in one of .*.png'):
        tool('analysis/analyze_logs', log(), '--out', tmp_path / 'curves.txt')
