"""tools/analysis/analyze_logs.py."""

import json

import pytest

from knet.errors import InputError
from knet.step_format import read_png


def write_log(path, rows, end='\n', **about):
    """Write a log: a first line about the run, then its rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(map(json.dumps, [about, *rows])) + end)
    return path


def train(epoch, iteration, loss, time=1.0):
    return dict(mode='train', epoch=epoch, iter=iteration, time=time, loss=loss)


def val(epoch, stq):
    return dict(mode='val', epoch=epoch, iter=8, STQ=stq)


@pytest.fixture
def log(tmp_path):
    """Two epochs of two logged iterations, with validation."""

    def write(name='run', end='\n', loss='loss'):
        rows = []
        for epoch, times in ((1, (4.0, 2.0)), (2, (1.0, 1.0))):
            rows += [
                dict(mode='train', epoch=epoch, iter=i * 50, time=time, **{loss: 9.0 / epoch / i})
                for i, time in enumerate(times, 1)
            ]
            rows.append(val(epoch, 0.3 * epoch))
        return write_log(tmp_path / f'{name}.log.json', rows, end, config='x = 1', seed=1)

    return write


@pytest.fixture
def three_runs(tmp_path):
    """Work dirs of runs of one config with seeds 1, 2, 3, the last one cut off in its second
    epoch, and of one of another config."""
    for seed, losses, figures in (
        (1, (8, 6, 4, 2), (0.25, 0.5)),
        (2, (10, 7, 4, 3), (0.5, 0.375)),
        (3, (12, 8, 7), (0.75,)),
    ):
        rows = [train(1 + i // 2, 50 * (1 + i % 2), loss) for i, loss in enumerate(losses)]
        rows += [val(epoch, figure) for epoch, figure in enumerate(figures, 1)]
        path = tmp_path / f'seed_{seed}' / '20250101_000000.log.json'
        write_log(path, rows, config='a = 1\nb = 2', seed=seed)
    rows = [train(1, 50, 20.0), val(1, 0.125)]
    write_log(tmp_path / 'x' / '20250101_000000.log.json', rows, config='a = 1\nb = 3', seed=1)
    return [tmp_path / name for name in ('seed_1', 'seed_2', 'seed_3', 'x')]


def cells(line):
    return [cell.strip() for cell in line.split('|')[1:-1]]


def test_times_and_picture(tool, log, tmp_path):
    out = tmp_path / 'new' / 'curves.png'
    printed = tool(
        'analysis/analyze_logs', log(), log('other'), '--keys', 'loss', 'STQ', '--out', out
    )
    (row,) = [line for line in printed.splitlines() if 'run.log.json' in line]
    assert cells(row)[1:] == ['4', '2.000', '1.000', '4.000', '2: 1.000', '1: 3.000']
    assert 'other.log.json' in printed and '±' not in printed
    height, width = read_png(out).shape[:2]
    assert 1.1 < height / width < 1.2 and [path.name for path in out.parent.iterdir()] == [
        'curves.png'
    ]


def test_positions_are_epochs(load_tool, log):
    module = load_tool('analysis/analyze_logs')
    cut = log(end='\n{"mode": "train", "ep')  # cut off in the middle of a line
    (run,) = module.read_runs([cut])
    loss, stq = (module.curve(module.Group('run', [run]), key) for key in ('loss', 'STQ'))
    assert loss.epochs.tolist() == [0.5, 1.0, 1.5, 2.0]
    assert loss.values.tolist() == [[9.0, 4.5, 4.5, 2.25]]
    assert stq.epochs.tolist() == [1, 2] and stq.values.tolist() == [[0.3, 0.6]]


def test_logs_of_a_run_that_was_resumed_are_one_curve(tool, load_tool, tmp_path):
    """Killed in the third epoch; resumed after the first one with its validation made up for, and
    killed at once; resumed and logged at other iterations."""
    work_dir = tmp_path / 'work'
    first = [train(1, 50, 9), train(1, 100, 8), val(1, 0.1), train(2, 50, 7), train(2, 100, 6)]
    first += [val(2, 0.2), train(3, 50, 5)]
    rest = [val(1, 0.15), train(2, 25, 4), train(2, 100, 3), val(2, 0.25)]
    names = ['20250101_000000.log.json', '20250101_000001.log.json', '20250102_000000.log.json']
    logs = [
        write_log(work_dir / name, rows, seed=1) for name, rows in zip(names, (first, [], rest))
    ]
    module = load_tool('analysis/analyze_logs')
    for paths in ([work_dir], logs, logs[::-1], [logs[0], work_dir, logs[0]]):
        (run,) = module.read_runs(paths)
        assert run.name == str(work_dir)
        assert [row['loss'] for row in run.train] == [9, 8, 4, 3]
        assert [row['STQ'] for row in run.val] == [0.15, 0.25]
    assert tool('analysis/analyze_logs', work_dir).count(str(work_dir)) == 1
    (run,) = module.read_runs(logs[:1])
    assert run.name == str(logs[0]) and [row['loss'] for row in run.train] == [9, 8, 7, 6, 5]


def test_logs_of_several_seeds_in_a_folder_are_not_one_run(load_tool, tmp_path):
    logs = [
        write_log(tmp_path / f'2025010{seed}_000000.log.json', [train(1, 50, seed)], seed=seed)
        for seed in (1, 2)
    ]
    module = load_tool('analysis/analyze_logs')
    assert [run.train[0]['loss'] for run in module.read_runs(logs)] == [1, 2]
    with pytest.raises(InputError, match='logs of runs with seeds 1, 2; name the log.json files'):
        module.read_runs([tmp_path])


def test_mean_and_spread_over_seeds(tool, load_tool, three_runs, tmp_path):
    module = load_tool('analysis/analyze_logs')
    groups = module.group_runs(module.read_runs(three_runs))
    assert [group.name for group in groups] == [str(tmp_path / 'seed_*'), str(tmp_path / 'x')]
    axes = module.draw_curves(groups[:1], ['loss']).axes[0]
    (line,), (band,) = axes.lines, axes.collections
    # all three runs have values up to the middle of the second epoch
    assert line.get_xydata().tolist() == [[0.5, 10], [1, 7], [1.5, 5]]
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    assert {(0.5, 8), (0.5, 12), (1, 6), (1, 8), (1.5, 4), (1.5, 7)} == corners
    assert 'mean of 3 runs, lowest to highest' in axes.get_legend().texts[0].get_text()
    printed = tool('analysis/analyze_logs', *three_runs, '--mean', '--keys', 'loss', 'STQ')
    rows = [cells(line) for line in printed.splitlines() if '(' in line and '|' in line][2:]
    # last losses 4, 4, 7: 5 ± sqrt(3); STQ after the first epoch 0.25, 0.5, 0.75: 0.5 ± 0.25
    assert rows == [
        [f'{tmp_path}/seed_*', '1, 2, 3', 'loss', '1.5', '5.0 ± 1.7 (3)', 'min 5.0 ± 1.7 (3)'],
        [f'{tmp_path}/seed_*', '1, 2, 3', 'STQ', '1', '0.50 ± 0.25 (3)', 'max 0.50 ± 0.25 (3)'],
        [f'{tmp_path}/x', '1', 'loss', '1', '20 (1)', 'min 20 (1)'],
        [f'{tmp_path}/x', '1', 'STQ', '1', '0.125 (1)', 'max 0.125 (1)'],
    ]
    note = f'loss: {tmp_path}/seed_3 ends at epoch 1.5, others go on to 2; only what all 3 runs'
    assert note in printed
    printed = tool('analysis/analyze_logs', *three_runs[:2], '--mean', '--keys', 'STQ')
    # last 0.5 and 0.375: 0.4375 ± 0.125 / sqrt(2); best 0.5 and 0.5
    assert '0.438 ± 0.088 (2)' in printed and 'max 0.5 ± 0 (2)' in printed
    assert 'go on' not in printed


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
    with pytest.raises(InputError, match='must end in .png'):
        tool('analysis/analyze_logs', log(), '--out', tmp_path / 'curves.txt')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='empty holds no .*.log.json; expected the work dir'):
        tool('analysis/analyze_logs', tmp_path / 'empty')
    with pytest.raises(InputError, match='begun.log.json holds no iterations'):
        tool('analysis/analyze_logs', write_log(tmp_path / 'begun.log.json', [], seed=1))


def test_bad_input_for_a_mean(tool, three_runs, tmp_path):
    with pytest.raises(InputError, match='two runs of one config.*only .*seed_1'):
        tool('analysis/analyze_logs', three_runs[0], '--mean')
    with pytest.raises(InputError, match='"b = 2" in .*seed_1, and "b = 3" in .*/x'):
        tool('analysis/analyze_logs', three_runs[0], three_runs[3], '--mean')
    silent = write_log(tmp_path / 'silent.log.json', [train(1, 50, 1)])
    with pytest.raises(InputError, match='silent.log.json does not tell its config'):
        tool('analysis/analyze_logs', three_runs[0], silent, '--mean')
    other = write_log(tmp_path / 'o.log.json', [train(1, 30, 1)], config='a = 1\nb = 2', seed=4)
    with pytest.raises(InputError, match="no iteration in common at which all of them log 'loss'"):
        tool('analysis/analyze_logs', three_runs[0], other, '--mean')
