"""Every float of the reference numbers, tests/fixtures/metrics/expected.json, which come from the
published implementations."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from knet.evaluation import DepthOptions, Protocol, VideoPanopticEvaluator, evaluate_folders
from knet.label_space import STEP

DATA = Path(__file__).parents[1] / 'fixtures' / 'metrics'
EXPECTED = json.loads((DATA / 'expected.json').read_text())
CASES = sorted(name for name in EXPECTED if name[0] == 'c' and name != 'c14_waymo')
VOID_DROPPED = Protocol('step without void', STEP, tube_ids=STEP.thing_ids, drop_void=True)
PROTOCOLS = {
    'deeplab2_raw': 'step',
    'deeplab2_void_masked': VOID_DROPPED,
    'orig_things_11_13': VOID_DROPPED,
    'orig_script_things_11_18': 'video-knet',
}
DEPTH = DepthOptions(lambdas=(0.5, 0.25, 0.1), thresholds=(1.25, 1.1))


@pytest.fixture(scope='module')
def generator():
    spec = importlib.util.spec_from_file_location('metrics_gen', DATA / 'gen.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def evaluate(frames_by_sequence, protocol, depth=None, weighted=False, tracked=True):
    evaluator = VideoPanopticEvaluator(protocol, depth=depth, weighted=weighted)
    for sequence, frames in frames_by_sequence.items():
        for number, frame in enumerate(frames):
            maps = {
                name: frame[key].astype(dtype)
                for name, key, dtype in (
                    ('coverage', 'cov', np.uint8),
                    ('tracked', 'trk', np.uint8),
                    ('gt_depth', 'gt_dep', np.uint16),
                    ('pred_depth', 'pr_dep', np.uint16),
                )
                if key in frame and (tracked or key != 'trk')
            }
            evaluator.add_frame(
                sequence,
                number,
                frame['gt_cls'],
                frame['gt_ins'],
                frame['pr_cls'],
                frame['pr_ins'],
                **maps,
            )
    return evaluator.result()


def check(found, expected):
    assert found == (None if expected is None else pytest.approx(expected, rel=0, abs=1e-9))


def check_stq(result, expected):
    stq, sequences = (
        result['stq'],
        [result['sequences'][str(sequence)] for sequence in expected['ID_per_seq']],
    )
    for ours, theirs in (('STQ', 'STQ'), ('AQ', 'AQ'), ('SQ', 'IoU')):
        check(stq[ours], expected[theirs])
        check([values['stq'][ours] for values in sequences], expected[f'{theirs}_per_seq'])
    assert [values['num_frames'] for values in sequences] == expected['Length_per_seq']
    assert [values['stq']['num_tubes'] for values in sequences] == expected['n_tubes_per_seq']
    if 'confusion_total' in expected:
        check(np.array(stq['confusion']), np.array(expected['confusion_total']))


def check_means(windows, expected, name):
    for suffix in ('', '_thing', '_stuff'):
        check(windows[name + suffix], expected[f'PQ{suffix}'])


def check_windows(windows, expected, average, name):
    for key in ('iou', 'tp', 'fn', 'fp'):
        check(windows[key], expected[key])
    check_means(windows, expected[average], name)
    check([value or 0 for value in windows['pq']], expected[average]['pq_per_class'])


@pytest.mark.parametrize('case', CASES)
def test_data_is_the_reference_data(generator, case):
    assert generator.digest(generator.build(case)) == EXPECTED[case]['sha256']


@pytest.mark.parametrize('protocol', sorted(PROTOCOLS))
@pytest.mark.parametrize('case', CASES)
def test_stq(generator, case, protocol):
    check_stq(evaluate(generator.build(case), PROTOCOLS[protocol]), EXPECTED[case]['stq'][protocol])


@pytest.mark.parametrize('protocol, average', [('step', 'present'), ('video-knet', 'orig')])
@pytest.mark.parametrize('case', CASES)
def test_vpq(generator, case, protocol, average):
    result, expected = evaluate(generator.build(case), protocol), EXPECTED[case]['vpq']
    check_means(result['vpq'], expected['mean_k1234_orig'][average], 'VPQ')
    for k, windows in result['vpq']['k'].items():
        check_windows(windows, expected[f'k{k}']['orig'], average, 'VPQ')
        for sequence, values in expected[f'k{k}']['orig']['per_seq'].items():
            found = result['sequences'][sequence]['vpq']['k'][k]
            if average == 'present':
                check(found['VPQ'], values['PQ_present'])
            else:
                check_means(found, values, 'VPQ')


def test_dstq(generator):
    case = 'c11_depth_full'
    for name, expected in EXPECTED[case]['dstq'].items():
        protocol = 'video-knet' if name.startswith('orig_script') else VOID_DROPPED
        depth = DEPTH if name.endswith('1p1') else DepthOptions()
        result = evaluate(generator.build(case), protocol, depth)
        check_stq(result, expected)
        check(
            [result['dstq'][key] for key in ('DSTQ', 'DQ')],
            [expected[key] for key in ('DSTQ', 'DQ')],
        )
        for t, inliers in zip(result['dstq']['threshold'], expected['depth_inliers']):
            for key in ('DSTQ', 'DQ'):
                check(result['dstq']['threshold'][t][key], expected[f'{key}@{t}'])
                check(
                    [
                        result['sequences'][str(i)]['dstq']['threshold'][t][key]
                        for i in expected['ID_per_seq']
                    ],
                    expected[f'{key}_per_seq@{t}'],
                )
            for sequence, count in inliers.items():
                assert result['sequences'][sequence]['dstq']['threshold'][t]['inliers'] == count
                assert (
                    result['sequences'][sequence]['dstq']['num_pixels']
                    == expected['depth_total'][sequence]
                )


@pytest.mark.parametrize('protocol, average', [('step', 'present'), ('video-knet', 'orig')])
def test_dvpq(generator, protocol, average):
    case = 'c11_depth_full'
    result = evaluate(generator.build(case), protocol, DEPTH)
    assert len(EXPECTED[case]['dvpq']) == 12
    for name, expected in EXPECTED[case]['dvpq'].items():
        value, k = name[len('lambda') :].split('_k')
        check_windows(result['dvpq']['lambda'][value]['k'][k], expected, average, 'DVPQ')


@pytest.mark.parametrize(
    'name, options',
    [
        ('stq_unweighted_tracked', {}),
        ('wstq', {'weighted': True}),
        ('wstq_no_tracked_mask', {'weighted': True, 'tracked': False}),
    ],
)
def test_waymo(generator, name, options):
    check_stq(
        evaluate(generator.build('c14_waymo'), 'waymo', **options), EXPECTED['c14_waymo'][name]
    )


def test_folders_give_the_same_floats_for_any_nproc(generator, tmp_path):
    case = 'c07_all9'
    generator.write(case, str(tmp_path))
    in_memory = evaluate(generator.build(case), 'step')
    for nproc in (1, 2, 5):
        assert (
            evaluate_folders(
                tmp_path / case / 'pred', tmp_path / case / 'gt', nproc=nproc, progress=False
            )
            == in_memory
        )


def test_waymo_folders(generator, tmp_path):
    case = 'c14_waymo'
    generator.write(case, str(tmp_path))
    root = tmp_path / case
    result = evaluate_folders(
        root / 'pred',
        root / 'gt',
        'waymo',
        coverage=root / 'coverage',
        tracked=root / 'tracked',
        progress=False,
    )
    assert result == evaluate(generator.build(case), 'waymo', weighted=True)


def test_depth_folders(generator, tmp_path):
    case = 'c11_depth_full'
    generator.write(case, str(tmp_path))
    result = evaluate_folders(
        tmp_path / case / 'pred', tmp_path / case / 'gt', 'video-knet', depth=DEPTH, progress=False
    )
    assert result == evaluate(generator.build(case), 'video-knet', DEPTH)
