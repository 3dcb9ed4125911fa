import pickle

import numpy as np
import pytest

from knet.errors import InputError
from knet.evaluation import VideoPanopticEvaluator
from tests.evaluation.drawing import add, draw


def random_frames(seed, number):
    rng = np.random.RandomState(seed)
    classes, ids = np.array([0, 1, 2, 11, 13, 255]), np.array([0, 0, 0, 1, 2, 3])
    for _ in range(number):
        pick = rng.randint(0, 6, (2, 8, 8))
        yield classes[pick[0]], ids[pick[0]], classes[pick[1] % 5], ids[pick[1] % 5]


def fill(evaluator, sequences, number=70):
    for sequence in sequences:
        for frame, maps in enumerate(random_frames(sequence, number)):
            evaluator.add_frame(sequence, frame, *maps)
    return evaluator


def test_merged_states_give_the_same_floats():
    whole = fill(VideoPanopticEvaluator(), (1, 2, 3)).result()
    first, second = fill(VideoPanopticEvaluator(), (3, 1)), fill(VideoPanopticEvaluator(), (2,))
    first.close_sequence(3)
    second.merge(pickle.loads(pickle.dumps(first)))
    assert second.result() == whole
    assert second.sequences == (1, 2, 3)


def test_interleaved_sequences_and_results_in_between_change_nothing():
    evaluator = VideoPanopticEvaluator()
    for frame, (one, two) in enumerate(zip(random_frames(1, 70), random_frames(2, 70))):
        evaluator.add_frame(1, frame, *one)
        evaluator.add_frame(2, frame, *two)
        if frame % 9 == 0:
            evaluator.result()
    assert evaluator.result() == fill(VideoPanopticEvaluator(), (1, 2)).result()


def test_merge_refuses_what_would_count_wrong():
    evaluator = fill(VideoPanopticEvaluator(), (1,), 2)
    with pytest.raises(InputError, match='sequence 1 is in both evaluators'):
        evaluator.merge(fill(VideoPanopticEvaluator(), (1,), 2))
    with pytest.raises(InputError, match='different settings'):
        evaluator.merge(VideoPanopticEvaluator(window_sizes=(1,)))


def test_frames_must_rise():
    evaluator = VideoPanopticEvaluator()
    evaluator.add_frame(4, 7, *draw(), *draw())
    for frame in (7, 6):
        with pytest.raises(
            InputError, match=f'sequence 4, frame {frame}: comes after frame 7; .* rising order'
        ):
            evaluator.add_frame(4, frame, *draw(), *draw())
    evaluator.add_frame(4, 9, *draw(), *draw())
    assert evaluator.result()['vpq']['k']['2']['num_windows'] == 1


def test_closed_sequences_take_no_frames():
    evaluator = VideoPanopticEvaluator()
    add(evaluator, 4, [([], [])])
    evaluator.close_sequence(4)
    with pytest.raises(InputError, match='sequence 4, frame 1: the sequence is closed'):
        evaluator.add_frame(4, 1, *draw(), *draw())


def bad_maps():
    semantic, instance = draw()
    yield (
        (semantic, instance, semantic[:4], instance[:4]),
        r'the prediction has shape \(4, 8\), the ground truth \(8, 8\)',
    )
    yield (
        (semantic, instance[:4], semantic, instance),
        r'ground truth: the class map has shape \(8, 8\), the instance map \(4',
    )
    yield (
        (semantic, instance, semantic + 1.0, instance),
        'prediction: class map of type float64; integers are needed',
    )
    yield (
        (semantic, instance, semantic, instance + 65536),
        'prediction: instance id 65536 is out of range; it must lie in 0',
    )
    yield (
        (semantic, instance - 1, semantic, instance),
        'ground truth: instance id -1 is out of range',
    )
    yield (
        (semantic, instance, semantic + np.int64(300), instance),
        'prediction: class 300 is out of range',
    )
    yield (
        (semantic, instance, semantic + np.uint8(20), instance),
        'the prediction holds class 20; protocol step has',
    )
    yield (
        (semantic + np.uint8(254), instance, semantic, instance),
        'the ground truth holds class 254',
    )


@pytest.mark.parametrize('maps, message', list(bad_maps()))
def test_bad_maps_are_refused(maps, message):
    evaluator = VideoPanopticEvaluator()
    with pytest.raises(InputError, match=f'sequence 5, frame 2: {message}'):
        evaluator.add_frame(5, 2, *maps)
    assert evaluator.sequences == ()


def test_coverage_is_needed_and_checked():
    evaluator = VideoPanopticEvaluator('waymo', weighted=True)
    with pytest.raises(InputError, match='sequence 0, frame 0: the coverage map is missing'):
        evaluator.add_frame(0, 0, *draw(), *draw())
    with pytest.raises(InputError, match='coverage map is of type int64; uint8 is needed'):
        evaluator.add_frame(0, 0, *draw(), *draw(), coverage=np.full((8, 8), 256))


@pytest.mark.parametrize('sizes', [(), (0,), (1, 1), (1.5,), (2000,)])
def test_bad_window_sizes(sizes):
    with pytest.raises(InputError, match='window sizes'):
        VideoPanopticEvaluator(window_sizes=sizes)


def test_unknown_protocol():
    with pytest.raises(
        InputError, match="unknown protocol 'kitti'; choose one of step, video-knet, waymo"
    ):
        VideoPanopticEvaluator('kitti')


def test_nothing_to_evaluate():
    with pytest.raises(InputError, match='no frame was added'):
        VideoPanopticEvaluator().result()


def test_broken_tracks():
    evaluator = VideoPanopticEvaluator()
    predictions = [['AAA', 'BBB'], ['AAA', 'BBB'], ['', 'BBB'], ['CC', 'BBB'], ['PPC', 'BBB']]
    add(evaluator, 6, [(['AAA', 'BBB'], rows) for rows in predictions])
    (track,) = evaluator.result()['broken_tracks']
    assert {
        key: track[key] for key in ('sequence', 'class', 'instance', 'num_frames', 'num_switches')
    } == {'sequence': 6, 'class': 13, 'instance': 1, 'num_frames': 5, 'num_switches': 2}
    assert [tuple(run.values()) for run in track['runs']] == [
        (0, 1, 13, 1),
        (2, 2, None, None),
        (3, 3, 13, 3),
        (4, 4, 11, 1),
    ]


def test_broken_tracks_of_long_sequences_are_joined():
    evaluator = VideoPanopticEvaluator()
    add(evaluator, 0, 70 * [(['AA'], ['AA'])] + 60 * [(['AA'], ['BB'])])
    (track,) = evaluator.result()['broken_tracks']
    assert [(run['first_frame'], run['last_frame']) for run in track['runs']] == [
        (0, 69),
        (70, 129),
    ]
