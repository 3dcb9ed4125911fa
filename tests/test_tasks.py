"""Tasks: what is measured, shown in a log, and said to the user."""

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
        task.write(tmp_path, record, FrameResult(semantic, instance, None, None))
    figures = task.evaluate(tmp_path, dataset)
    summary = task.summary(figures)
    assert all(value == pytest.approx(1) for value in summary.values()) and len(summary) == 4
    assert all(metric in task.format(figures) for metric in task.metrics)


def test_commands_that_look_at_results(dataset, tmp_path):
    commands = find_task('video_panoptic').next_commands(tmp_path, dataset)
    tools = ['report', 'visualize', 'eval_dstq_step', 'eval_dvpq_step']
    assert [line.split()[0] for line in commands] == [f'tools/{name}.py' for name in tools]
    assert find_task('image_panoptic').next_commands(tmp_path, dataset) == []


def test_unknown_task_and_missing_truth(tmp_path):
    with pytest.raises(InputError, match="the config names no task; expected task = '...', one of"):
        find_task(None)
    record = FrameRecord(1, 2, '1', '000001_000002', tmp_path / 'image.png')
    with pytest.raises(InputError, match='image.png has no ground truth'):
        find_task('video_panoptic').check_truth(SimpleNamespace(records=[record]))
