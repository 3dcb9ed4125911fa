import json

import cv2
import numpy as np
import pytest

from knet.errors import InputError
from knet.evaluation import DepthOptions, VideoPanopticEvaluator, format_table, write_json
from knet.evaluation.plots import write_plots
from knet.files import whole_file
from tests.evaluation.drawing import add, draw

FRAMES = [(['AAAA', 'PP', 'xx'], ['AAA', 'PP', 'uu']), (['AAAA', 'PP'], ['BBBB', 'TT', 'u'])]


@pytest.fixture
def result():
    evaluator = VideoPanopticEvaluator(window_sizes=(1, 2))
    add(evaluator, 7, FRAMES)
    add(evaluator, 12, FRAMES[:1])
    return evaluator.result()


def rows(table):
    return [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in table.splitlines()
        if line.startswith('|')
    ]


def test_table_holds_sequences_classes_and_totals(result):
    table = format_table(result, ('stq',))
    assert table.startswith('protocol step: 2 sequences, 3 frames, values in percent\n')
    stq = result['stq']
    assert ['all', '3', '4'] + [f'{100 * stq[key]:.2f}' for key in ('STQ', 'AQ', 'SQ')] in rows(
        table
    )
    assert [
        'car*',
        f'{100 * stq["iou_per_class"][13]:.2f}',
        f'{100 * stq["aq_per_class"][13]:.2f}',
        '2',
    ] in rows(table)
    assert ['void', '0.00', '-', '-'] in rows(table)
    assert [row[0] for row in rows(table)] == [
        'sequence',
        '7',
        '12',
        'all',
        'class',
        'road',
        'person*',
        'car*',
        'truck',
        'void',
        'all',
    ]
    assert 'VPQ' not in table


def test_vpq_table(result):
    table = rows(format_table(result, ('vpq',)))
    assert table[0] == ['sequence', 'frames', 'k=1', 'k=2', 'mean']
    assert table[2][0:2] == ['12', '1']
    assert table[2][3:] == ['-', '-']  # one frame holds no window of two
    vpq = result['vpq']
    assert ['thing'] + [
        f'{100 * value:.2f}'
        for value in (vpq['k']['1']['VPQ_thing'], vpq['k']['2']['VPQ_thing'], vpq['VPQ_thing'])
    ] in table


def test_depth_tables():
    evaluator = VideoPanopticEvaluator(window_sizes=(1,), depth=DepthOptions())
    depth = np.full((8, 8), 1000, np.uint16)
    add(evaluator, 0, [(['AA'], ['AA'])], gt_depth=depth, pred_depth=depth)
    table = rows(format_table(evaluator.result()))
    assert ['t=1.25', '100.00', '100.00'] in table
    assert ['lambda=0.1'] + 4 * ['100.00'] in table


def test_json_keeps_every_digit_and_says_null(result, tmp_path):
    path = tmp_path / 'new' / 'result.json'
    write_json(result, path)
    text = path.read_text()
    assert json.loads(text) == result
    assert 'NaN' not in text
    assert json.loads(text)['sequences']['12']['vpq']['k']['2']['VPQ'] is None
    assert [entry.name for entry in path.parent.iterdir()] == ['result.json']


def test_json_that_cannot_be_written(result, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='cannot write'):
        write_json(result, tmp_path / 'file' / 'result.json')


def test_files_are_whole_or_as_before(tmp_path):
    path = tmp_path / 'file'
    path.write_text('before')
    with pytest.raises(ZeroDivisionError):
        with whole_file(path) as partial:
            partial.write_text('half')
            raise ZeroDivisionError
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [('file', 'before')]


def test_plots_are_drawn(result, tmp_path):
    paths = write_plots(result, tmp_path / 'plots')
    assert sorted(path.name for path in paths) == [
        'broken_tracks.png',
        'class_quality.png',
        'confused_classes.png',
        'sequence_stq.png',
        'vpq_windows.png',
    ]
    assert sorted((tmp_path / 'plots').iterdir()) == sorted(paths)
    for path in paths:
        image = cv2.imread(str(path))
        assert image.shape[1] > 800
        assert image.std() > 10


def test_plots_of_an_empty_result(tmp_path):
    evaluator = VideoPanopticEvaluator(window_sizes=(2,))
    evaluator.add_frame(0, 0, *draw(*8 * ['xxxxxxxx']), *draw())
    paths = write_plots(evaluator.result(), tmp_path)
    assert [path.name for path in paths] == [
        'class_quality.png',
        'sequence_stq.png',
        'vpq_windows.png',
    ]
