"""What the report page is made of."""

import json
from dataclasses import replace

import numpy as np
import pytest

from knet.errors import InputError
from knet.evaluation import PROTOCOLS, analyze_folders
from knet.report import Run
from knet.report.data import collect, id_colour
from tests.conftest import damaged_results

STEP = PROTOCOLS['step']


@pytest.fixture(scope='module')
def run(toy_results):
    results, root = toy_results
    return Run('first', results, analyze_folders(results, root), dict(checkpoint='a.pth'))


def test_objects_and_their_pieces(run):
    data = json.loads(json.dumps(collect([run], 'title'), allow_nan=False))
    assert data['protocols'] == ['step', 'video-knet'] and data['classes'][-1] == 'void'
    assert len(data['classes']) == 20 and data['things'] == [11, 13]
    assert [len(sequence['frames']) for sequence in data['sequences']] == [4, 4]
    objects = [(s, o) for s in data['sequences'] for o in s['objects']]
    right = []
    for _, item in objects:
        (found,) = item['runs']
        visible = [p for first, last, *_ in found['pieces'] for p in range(first, last + 1)]
        assert visible == sorted(set(visible)) and set(visible) <= set(range(4))
        for first, _, label, number, colour in found['pieces']:
            if number is not None:
                assert colour == id_colour(number)
                right.append(label == item['class'] and number == item['id'] + 7 * (first >= 2))
    assert np.mean(right) > 0.7  # where another object does not cover most of it
    costs = [found['cost'] for _, item in objects for found in item['runs']]
    listed = [mistake['cost'] for mistake in data['mistakes'][0] if mistake['object'] >= 0]
    assert listed == sorted(listed, reverse=True) and listed[0] == max(costs) > 0


def test_words_of_mistakes(run):
    data = collect([run], 'title')
    (first,) = [m for m in data['mistakes'][0] if m['object'] >= 0][:1]
    item = data['sequences'][[s['name'] for s in data['sequences']].index(first['sequence'])]
    item = item['objects'][first['object']]
    assert first['text'].startswith(f'{data["classes"][item["class"]]} {item["id"]}: ')
    confused = [m['text'] for m in data['mistakes'][0] if m['object'] < 0]
    assert confused and all(
        ' predicted as ' in text and text.endswith('pixels') for text in confused
    )


def test_changes_between_two_runs(run, toy_results, tmp_path):
    """The second run loses an object, and nothing else."""
    code, sequence = damaged_results(*toy_results, tmp_path)
    other = Run('second', tmp_path, analyze_folders(tmp_path, toy_results[1]), {})
    changes = collect([run, other], 'title')['changes']
    worse = [change for change in changes if change['cost'] > 0 and change['object'] >= 0]
    assert len(worse) == 1 and worse[0]['sequence'] == str(sequence)
    assert worse[0]['text'].endswith('never found; missed: 100% of its pixels')
    assert f' {code & 0xFFFF}: ' in worse[0]['text'] and ' → ' in worse[0]['text']
    assert all(' predicted as ' in c['text'] for c in changes if c['object'] < 0)
    backwards = collect([other, run], 'title')['changes']
    assert sorted(c['cost'] for c in backwards) == sorted(-c['cost'] for c in changes)


def test_runs_of_different_rules(run, toy_results):
    """Other colours and names make no difference, other classes and rules do."""
    results, root = toy_results
    space, grey = STEP.label_space, ((9, 9, 9),) * 19
    own = replace(STEP, name='own', label_space=replace(space, palette=grey))
    collect([run, Run('grey', results, analyze_folders(results, root, own), {})], 'title')
    for name, rules in (
        ('other rules', PROTOCOLS['video-knet']),
        ('other things', replace(own, label_space=replace(space, thing_ids=(13,)))),
    ):
        other = Run(name, results, analyze_folders(results, root, rules), {})
        with pytest.raises(InputError, match='cannot be compared'):
            collect([run, other], 'title')


def test_runs_of_different_frames(run, toy_results):
    results, root = toy_results
    first = next(iter(run.analysis.files))
    part = Run('part', results, analyze_folders(results, root, sequences=[first]), {})
    with pytest.raises(InputError, match='different frames'):
        collect([run, part], 'title')
