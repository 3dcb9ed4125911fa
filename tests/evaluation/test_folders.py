import numpy as np
import pytest

from knet.errors import InputError
from knet.evaluation import evaluate_folders
from knet.step_format import frame_name, write_panoptic, write_png
from tests.evaluation.drawing import draw

TRUTH, GUESS = draw('AA.PP', 'AA.PP', 'xx'), draw('BB..PP', 'BB..PP')
FRAMES = [(2, 0), (2, 1), (2, 5), (10, 0)]


def write_prediction(root, sequence, frame, layout, maps=GUESS):
    stem = root / 'panoptic' / str(sequence) / frame_name(sequence, frame)
    if layout == 'rgb':
        write_panoptic(f'{stem}.png', *maps)
    else:
        write_png(f'{stem}_cat.png', maps[0].astype(np.uint16))
        write_png(f'{stem}_ins.png', maps[1].astype(np.uint16))


@pytest.fixture(params=['rgb', 'pair'])
def layout(request):
    return request.param


@pytest.fixture
def data(tmp_path, layout):
    """Root of a small data set with four frames of two sequences; results in `result`."""
    for sequence, frame in FRAMES:
        write_panoptic(
            tmp_path / 'video_sequence' / 'val' / f'{frame_name(sequence, frame)}_panoptic.png',
            *TRUTH,
        )
        write_prediction(tmp_path / 'result', sequence, frame, layout)
    (tmp_path / 'result' / 'panoptic' / '2' / 'notes.txt').write_text('other files are passed over')
    return tmp_path


def evaluate(root, result='result', gt='.', **options):
    return evaluate_folders(root / result, root / gt, progress=False, **options)


def test_frames_are_paired_by_name(data):
    result = evaluate(data)
    assert (result['num_sequences'], result['num_frames']) == (2, 4)
    assert list(result['sequences']) == ['2', '10']
    assert result['sequences']['2']['num_frames'] == 3
    assert result['stq']['AQ'] == pytest.approx(
        (1 + 2 / 4 * 2 / 6) / 2
    )  # the car whole; half of the person, of 6 pixels in all


def test_layouts_agree(tmp_path):
    results = []
    for layout in ('rgb', 'pair'):
        for sequence, frame in FRAMES:
            write_panoptic(
                tmp_path / layout / 'gt' / f'{frame_name(sequence, frame)}_panoptic.png',
                TRUTH[0],
                TRUTH[1] * 20000,
            )
            write_prediction(
                tmp_path / layout, sequence, frame, layout, (GUESS[0], GUESS[1] * 30000)
            )
        results.append(evaluate(tmp_path, layout, f'{layout}/gt'))
    assert results[0] == results[1]


def test_every_way_to_name_the_folders(data):
    expected = evaluate(data)
    assert evaluate(data, gt='video_sequence/val') == expected
    assert evaluate(data, result='result/panoptic') == expected
    (data / 'video_sequence' / 'val').rename(data / 'video_sequence' / 'train')
    assert evaluate(data, split='train') == expected
    with pytest.raises(InputError, match='val does not exist; .* holds the splits train'):
        evaluate(data)


def files_of(data, sequence, frame):
    return sorted(
        (data / 'result' / 'panoptic' / str(sequence)).glob(f'{frame_name(sequence, frame)}*.png')
    )


def refuse(data, message, nproc=1, **options):
    with pytest.raises(InputError, match=message):
        evaluate(data, nproc=nproc, **options)


def test_missing_prediction(data):
    for path in files_of(data, 2, 1):
        path.unlink()
    refuse(
        data,
        r'sequence 2, frame 1: the prediction is missing, expected .*2/000002_000001.png; 1 of 4 '
        r'frames lack it',
    )


def test_prediction_without_ground_truth(data, layout):
    write_prediction(data / 'result', 2, 3, layout)
    write_prediction(data / 'result', 3, 0, layout)
    refuse(
        data,
        r'sequence 2, frame 3: .*000002_000003.* belongs to no frame of the ground truth; 2 such '
        r'frames',
    )


def test_prediction_in_the_folder_of_another_sequence(data):
    for path in files_of(data, 10, 0):
        path.rename(data / 'result' / 'panoptic' / '2' / path.name)
    refuse(data, r'sequence 10, frame 0: .* lies in the folder of another sequence')


def test_prediction_twice(data, layout):
    write_prediction(data / 'result', 2, 0, 'pair' if layout == 'rgb' else 'rgb')
    refuse(data, 'sequence 2, frame 0: there are two predictions')


def test_prediction_in_two_folders(data):
    (data / 'result' / 'panoptic' / '000010').mkdir()
    for path in files_of(data, 10, 0):
        (data / 'result' / 'panoptic' / '000010' / path.name).write_bytes(path.read_bytes())
    refuse(data, 'sequence 10, frame 0: there are two files')


@pytest.mark.parametrize('layout', ['pair'], indirect=True)
def test_half_a_pair(data):
    files_of(data, 2, 5)[1].unlink()
    refuse(data, 'sequence 2, frame 5: .*_cat.png has no partner')


@pytest.mark.parametrize('nproc', [1, 2])
def test_wrong_size(data, layout, nproc):
    write_prediction(data / 'result', 2, 5, layout, (GUESS[0][:4], GUESS[1][:4]))
    refuse(
        data,
        r'sequence 2, frame 5: the prediction has shape \(4, 8\), the ground truth \(8, 8\)',
        nproc,
    )


@pytest.mark.parametrize('nproc', [1, 2])
def test_unreadable(data, nproc):
    path = files_of(data, 2, 5)[0]
    for content in (b'', b'not an image', path.read_bytes()[:-20]):
        path.write_bytes(content)
        refuse(data, 'sequence 2, frame 5: .* is not a readable image', nproc)


def test_wrong_type(data):
    for path in files_of(data, 2, 5):
        write_png(path, np.zeros((8, 8), np.uint8))
    refuse(data, 'sequence 2, frame 5: .* is uint8 of shape .*, not ')


def test_class_out_of_range(data, layout):
    write_prediction(data / 'result', 2, 5, layout, (GUESS[0] + np.uint8(100), GUESS[1]))
    refuse(
        data,
        'sequence 2, frame 5: the prediction holds class 100, 111, 113; protocol step has classes '
        '0..18 and 255 = void',
    )


@pytest.mark.parametrize('layout', ['pair'], indirect=True)
def test_class_that_does_not_fit_8_bits(data):
    write_prediction(data / 'result', 2, 5, 'pair', (GUESS[0].astype(np.uint16) + 256, GUESS[1]))
    refuse(data, 'sequence 2, frame 5: .*_cat.png holds class 269, which is out of range')


def test_ground_truth_class_out_of_range(data):
    write_panoptic(
        data / 'video_sequence' / 'val' / '000010_000000_panoptic.png',
        TRUTH[0] + np.uint8(20),
        TRUTH[1],
    )
    refuse(data, 'sequence 10, frame 0: the ground truth holds class 20, 31, 33')


def test_missing_maps(data):
    (data / 'coverage' / '2').mkdir(parents=True)
    refuse(data, 'sequence 2, frame 0: the coverage map is missing', coverage=data / 'coverage')
    refuse(data, 'nowhere is not a folder; expected the tracked mask', tracked=data / 'nowhere')
    refuse(data, r'sequence 2, frame 0: .*000002_000000_depth.png is missing', depth=True)
    for sequence, frame in FRAMES:
        path = data / f'video_sequence/val/{sequence:06d}_{frame:06d}_depth.png'
        write_png(path, np.ones((8, 8), np.uint16))
    refuse(
        data, r'depth is not a folder; .*/2/000002_00000.\.png; without --depth none', depth=True
    )


@pytest.mark.parametrize(
    'arguments, message',
    [
        ({'gt': 'nowhere'}, 'nowhere is not a folder'),
        ({'gt': 'result'}, 'holds no ground truth'),
        ({'result': 'nowhere'}, 'nowhere does not exist; expected the folder that tools/test.py'),
        ({'result': 'video_sequence'}, 'holds no predictions; expected files like panoptic/'),
        ({'result': '.'}, 'no predictions; .*; that is ground truth, are RESULT and GT swapped'),
        ({'nproc': 0}, 'must be at least 1'),
    ],
)
def test_wrong_arguments(data, arguments, message):
    with pytest.raises(InputError, match=message):
        evaluate(data, **arguments)
