"""Tasks: what is measured, shown in a log, and said to the user."""

import dataclasses
from types import SimpleNamespace

import pytest

from knet.data import FrameRecord, build_test_dataset
from knet.errors import InputError
from knet.step_format import read_panoptic
from knet.structures import FrameResult
from knet.tasks import TASKS, find_task


@pytest.fixture
def dataset(toy_root):
    return build_test_dataset(dict(name='toy_step', root=toy_root, val=dict(split='val')), 'val')


@pytest.mark.parametrize('name', TASKS)
def test_perfect_predictions(dataset, tmp_path, name):
    """The ground truth, written as results, has the best figures."""
    task = find_task(name)
    for record in dataset.records:
        semantic, instance = read_panoptic(record.truth[0])
        outputs = dict(depth=dataset.read_depth(record)) if 'depth' in name else {}
        task.write(tmp_path, record, FrameResult(semantic, instance, None, None, outputs))
    figures = task.evaluate(tmp_path, dataset)
    summary = task.summary(figures)
    assert summary.pop('abs_rel', 0) == 0 and len(summary) >= 2
    assert all(value == pytest.approx(1) for value in summary.values())
    assert all(metric in task.format(figures).upper() for metric in task.metrics)
    for metric in task.metrics:
        assert metric in task.format(figures, [metric]).upper()


def test_depth_is_measured(dataset, tmp_path):
    """30 % too deep: outside of lambda 0.25 and 0.1, and of 1.25; inside of 1.25^2."""
    task = find_task('video_depth')
    for record in dataset.records:
        outputs = dict(depth=1.3 * dataset.read_depth(record))
        truth = read_panoptic(record.truth[0])
        task.write(tmp_path, record, FrameResult(*truth, None, None, outputs))
    figures = task.evaluate(tmp_path, dataset)
    depth, dvpq = figures['depth'], figures['dvpq']['lambda']
    assert depth['num_images'] == len(dataset.records)
    assert depth['abs_rel'] == pytest.approx(0.3, abs=1e-3)
    assert (depth['within_1.25'], depth['within_1.25^2']) == (0, 1)
    assert figures['dstq']['DSTQ'] == 0 and figures['stq']['STQ'] == pytest.approx(1)
    assert dvpq['0.5']['DVPQ'] == pytest.approx(1) and dvpq['0.25']['DVPQ'] < 0.2


def test_sets_without_depth_are_measured_by_what_they_have(dataset, tmp_path):
    """But depth for some frames is a fault."""
    task, depths = find_task('video_depth'), [record.depth for record in dataset.records]
    assert task.available(dataset) == task.metrics
    for record in dataset.records:
        outputs = dict(depth=dataset.read_depth(record))
        truth = read_panoptic(record.truth[0])
        task.write(tmp_path, record, FrameResult(*truth, None, None, outputs))
    dataset.records = [dataclasses.replace(record, depth=None) for record in dataset.records]
    assert task.available(dataset) == ('STQ', 'VPQ')
    figures = task.evaluate(tmp_path, dataset)
    assert figures['stq']['STQ'] == pytest.approx(1) and 'depth' not in figures
    assert 'DVPQ' not in task.format(figures) and 'STQ' in task.format(figures)
    assert not any('--depth' in line for line in task.next_commands(tmp_path, dataset))
    dataset.records[1] = dataclasses.replace(dataset.records[1], depth=depths[1])
    with pytest.raises(
        InputError, match='has no depth .*_depth.png.*; add it, or in training add --no-validate'
    ):
        task.available(dataset)


def test_commands_that_look_at_results(dataset, tmp_path):
    commands = find_task('video_panoptic').next_commands(tmp_path, dataset)
    tools = ['report', 'visualize', 'eval_dstq_step', 'eval_dvpq_step']
    assert [line.split()[0] for line in commands] == [f'tools/{name}.py' for name in tools]
    assert find_task('image_panoptic').next_commands(tmp_path, dataset) == []
    with_depth = find_task('video_depth').next_commands(tmp_path, dataset)
    assert [line.endswith(' --depth') for line in with_depth] == [False, False, True, True]
    info = dataclasses.replace(dataset.info, window_sizes=(1, 5))
    other = SimpleNamespace(info=info, folder=dataset.folder, records=dataset.records)
    commands = find_task('video_panoptic').next_commands(tmp_path, other)
    assert commands[-1].endswith(' --window-size 1 5')
    (command,) = find_task('image_depth').next_commands(tmp_path, dataset)
    assert command.split()[0] == 'tools/eval_dvpq_step.py'


def test_unknown_task_and_missing_truth(tmp_path):
    with pytest.raises(InputError, match="the config names no task; expected task = '...', one of"):
        find_task(None)
    record = FrameRecord(1, 2, '1', '000001_000002', tmp_path / 'image.png')
    with pytest.raises(InputError, match='image.png has no ground truth'):
        find_task('video_panoptic').check_truth(SimpleNamespace(records=[record]))
    record = dataclasses.replace(record, truth=(tmp_path / 'map.png',))
    with pytest.raises(InputError, match='image.png has no depth'):
        find_task('image_depth').check_truth(SimpleNamespace(records=[record]))
