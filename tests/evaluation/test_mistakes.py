"""Kinds of wrong pixels, what became of objects, and what mistakes cost, drawn by hand."""

import dataclasses
import shutil

import numpy as np
import pytest

from knet.errors import InputError
from knet.evaluation import VideoPanopticEvaluator, analyze_folders, evaluate_folders
from knet.evaluation.evaluator import FrameMaps
from knet.evaluation.histogram import encode
from knet.evaluation.mistakes import KINDS, RIGHT, find_mistakes, rank_mistakes
from knet.evaluation.protocol import PROTOCOLS
from tests.evaluation.drawing import add, draw

LETTERS = 'x.wmfsgp'  # void, right, wrong class, missed, false, id switch, merged, split
STEP = PROTOCOLS['step']


def find(*frames, numbers=None, protocol=STEP):
    """Mistakes of (truth, prediction) frames, and their maps of codes."""
    evaluator = VideoPanopticEvaluator(protocol, window_sizes=(1,))
    maps = [FrameMaps(*(encode(*draw(*rows), '') for rows in frame)) for frame in frames]
    pairs = [evaluator.count(0, i, frame).pairs for i, frame in enumerate(maps)]
    return find_mistakes(protocol, numbers or range(len(frames)), pairs), maps


def error_rows(*frames):
    """The error map of each frame as the first row of letters."""
    mistakes, maps = find(*frames)
    errors = [mistakes.error_map(i, frame.gt, frame.pred) for i, frame in enumerate(maps)]
    for found, row in zip(errors, mistakes.kinds):
        assert np.bincount(found.ravel(), minlength=len(KINDS)).tolist() == row.tolist()
    return [''.join(LETTERS[kind] for kind in found[0]) for found in errors]


@pytest.mark.parametrize(
    'truth, guess, kinds',
    [
        ('AATTxx..', 'AATTAA..', '....xx..'),  # what lies on void is not counted
        ('TTTT....', 'wwww....', 'wwww....'),
        ('TTTT....', 'xxuu....', 'wwww....'),  # void is a wrong class too
        ('AAAA....', 'PPPP....', 'wwww....'),  # a thing for a thing
        ('AAAA....', '..TTTT..', 'mmmmww..'),
        ('AAAA....', 'xxcc....', 'mmmm....'),  # void; the class without an id
        ('....AAAA', 'BBBBAAAA', 'ffff....'),
        ('AAABB...', 'CCCCC...', '...gg...'),  # B lies in the prediction of A
        ('AAAAA...', 'BBBCC...', '...pp...'),  # A has a second piece
        ('ccccAA..', 'BBQQBB..', '..ww....'),  # crowds have no ids
    ],
)
def test_kinds_within_a_frame(truth, guess, kinds):
    assert error_rows(([truth], [guess])) == [kinds]


def test_id_switches():
    truth = ['AAAA....']
    assert error_rows((truth, truth), (truth, truth), (truth, ['BBBB....'])) == [
        '........',
        '........',
        'ssss....',
    ]


def test_the_id_of_an_object_that_went_is_a_switch():
    # B is mostly the second object's; it is not an id of the first one, whatever else that had
    frames = ((['AA......'], ['BB......']), (['..CCCC..'], ['..BBBB..']))
    assert error_rows(*frames) == ['ss......', '........']


def test_objects():
    truth = ['AAAA....']
    rows = (
        (truth, truth),
        (truth, ['BBBB....']),
        (truth, ['TTTT....']),
        (['.'], ['.']),
        (truth,) * 2,
    )
    mistakes, _ = find(*rows, numbers=[5, 6, 7, 8, 9])
    (item,) = mistakes.objects
    a, b = (13 << 16 | number for number in (1, 2))
    assert item.code == a and item.switches == 2 and mistakes.frames == [5, 6, 7, 8, 9]
    assert item.runs == [[0, 0, a], [1, 1, b], [2, 2, -1], [4, 4, a]]
    assert item.kinds.tolist() == [0, 8, 0, 4, 0, 4, 0, 0]
    # 16 pixels, of which 8 are in a tube of 8 and 4 in one of 4: 1/16 * (8 * 8/16 + 4 * 4/16)
    assert item.association == 5 / 16 and item.worst == 1


def test_false_tracks():
    truth, guess = ['AAAA....'], ['AAAAABBB']
    mistakes, _ = find((truth, guess), (truth, truth), (truth, guess))
    (track,) = mistakes.false_tracks  # A lies mostly on an object
    assert track.code == 13 << 16 | 2 and track.pixels == 6 and track.positions.tolist() == [0, 2]


def stq(*frames, protocol=STEP):
    evaluator = VideoPanopticEvaluator(protocol, window_sizes=(1,))
    add(evaluator, 0, frames)
    return evaluator.result()['stq']['STQ']


def test_costs_are_what_mending_gains():
    truth = ['AAAABBBB', 'TTTT']
    wrong = ['AAAABBBB', 'TTww']
    switched = ['CCCCBBBB', 'TTTT']
    frames = (truth, wrong), (truth, switched)
    mistakes, _ = find(*frames)
    ranked = rank_mistakes(STEP, {0: mistakes}, limit=10)
    now = stq(*frames)
    assert [(m.object, m.classes, m.position, m.pixels) for m in ranked] == [
        (-1, (14, 1), 0, 2),  # with it the class sidewalk, of IoU 0, would go
        (0, (13, 13), 1, 4),
        (1, (13, 13), 0, 0),
    ]
    assert ranked[1].cost == pytest.approx(stq((truth, wrong), (truth, truth)) - now)
    assert ranked[0].cost == pytest.approx(stq((truth, truth), (truth, switched)) - now)
    assert ranked[2].cost == 0
    assert rank_mistakes(STEP, {0: mistakes}, limit=1) == ranked[:1]


@pytest.mark.parametrize('name', ['step', 'video-knet'])
def test_the_cost_of_an_object_is_that_of_all_it_changes(name):
    """Its class counts too, and the objects that shared a predicted id with it."""
    protocol = PROTOCOLS[name]
    truth = ['AAAABBBB', 'PPPPTTTT', 'ccccxxxx']
    guesses = ['AAAAAABB', 'BBwwTPPP', 'AB..ABPP'], ['QQAAAACC', 'PQPQTTww', 'cccAA...']
    frames = [(truth, guess) for guess in guesses]
    mistakes, _ = find(*frames, protocol=protocol)
    costs = {m.object: m.cost for m in rank_mistakes(protocol, {0: mistakes}, 99) if m.object >= 0}
    assert len(costs) == 3  # A, B and P: a crowd is no object
    for index, letter in enumerate('PAB'):
        mended = [(truth, [mend(*rows, letter) for rows in zip(truth, guess)]) for guess in guesses]
        gain = stq(*mended, protocol=protocol) - stq(*frames, protocol=protocol)
        assert costs[index] == pytest.approx(gain) and gain > 0.01


def mend(truth, guess, letter):
    """A predicted row in which an object has its class and an id that nothing else has."""
    own = {'A': 'D', 'B': 'D', 'P': 'R'}[letter]
    return ''.join(own if right == letter else other for right, other in zip(truth, guess))


def test_costs_without_tubes():
    protocol = dataclasses.replace(STEP, tube_ids=())
    mistakes, _ = find((['AAAATTTT'], ['AAwwTTTT']), protocol=protocol)
    ranked = rank_mistakes(protocol, {0: mistakes}, 9)
    assert len(ranked) == 2 and all(mistake.cost == 0 for mistake in ranked)  # AQ is 0


def test_one_sequence_of_a_set_that_is_not_whole(toy_results, tmp_path):
    results, root = toy_results
    shutil.copytree(results, tmp_path / 'part')
    first, second = sorted((tmp_path / 'part/panoptic').iterdir())
    shutil.rmtree(second)
    analysis = analyze_folders(tmp_path / 'part', root, sequences=[int(first.name)])
    assert list(analysis.files) == [int(first.name)]
    for wrong, words in ((int(second.name), 'prediction is missing'), (77, 'has no sequence 77')):
        with pytest.raises(InputError, match=words):
            analyze_folders(tmp_path / 'part', root, sequences=[wrong])


def test_own_rules_that_have_the_name_of_published_ones(toy_results):
    own = dataclasses.replace(STEP, tube_ids=(13,))
    results = analyze_folders(*toy_results, own).results
    assert results['step']['stq']['tubes_per_class'][11] == 0


def test_folders(toy_results):
    results, root = toy_results
    analysis = analyze_folders(results, root, nproc=2)
    assert list(analysis.results) == ['step', 'video-knet']
    for name, found in analysis.results.items():
        assert found == evaluate_folders(results, root, name)
    assert [len(files) for files in analysis.files.values()] == [4, 4]
    association = [
        item.association for mistakes in analysis.mistakes.values() for item in mistakes.objects
    ]
    stq = analysis.results['step']['stq']
    assert np.mean(association) == pytest.approx(stq['AQ']) and len(association) == stq['num_tubes']
    kinds = sum(mistakes.kinds.sum(0) for mistakes in analysis.mistakes.values())
    assert kinds.sum() == 8 * 64 * 128 and kinds[RIGHT] > kinds.sum() / 2
