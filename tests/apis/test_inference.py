"""Segmentation of images and videos from Python: sources, sizes, kinds of images."""

import cv2
import numpy as np
import pytest
import torch

from knet.apis import (
    VideoSource,
    init_model,
    prepare_frame,
    segment_frames,
    segment_image,
    segment_video,
)
from knet.apis.inference import find_device
from knet.errors import InputError
from knet.step_format import write_png
from knet.visualization import VideoWriter

SIZE = (48, 64)


@pytest.fixture(scope='module')
def model(tiny_config):
    return init_model(tiny_config, device='cpu')


def images(count, size=SIZE):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]


def same(one, two):
    return all(
        np.array_equal(getattr(one, name), getattr(two, name)) for name in ('semantic', 'instance')
    )


def test_three_lines(model, tmp_path):
    write_png(tmp_path / 'street.png', images(1)[0])
    result = segment_image(model, tmp_path / 'street.png')
    assert result.semantic.shape == SIZE and result.semantic.dtype == np.uint8
    assert set(np.unique(result.semantic)) <= set(range(19))
    assert same(result, segment_image(model, images(1)[0]))


def test_sources_of_a_video_agree(model, tmp_path):
    frames = images(3)
    for number, image in enumerate(frames):
        write_png(tmp_path / 'folder' / f'{number:03d}.png', image)
    (tmp_path / 'folder' / 'notes.txt').touch()
    files = sorted((tmp_path / 'folder').glob('*.png'))
    expected = list(segment_video(model, iter(frames)))
    for source in (tmp_path / 'folder', str(tmp_path / 'folder'), files, frames):
        results = list(segment_video(model, source))
        assert len(results) == 3 and all(map(same, results, expected))


@pytest.mark.parametrize('size', [(48, 64), (64, 36)])
def test_video_file(model, tmp_path, size):
    writer = VideoWriter(tmp_path / 'drive.mp4', fps=10)
    for image in images(5, size):
        writer.add(image)
    writer.close()
    assert [result.semantic.shape for result in segment_video(model, tmp_path / 'drive.mp4')] == [
        size
    ] * 5


def test_frame_by_frame_is_what_segment_video_does(model):
    frames, state, results = images(4), model.new_state(), []
    for image in frames:
        result, state = model.step(prepare_frame(model, image), state)
        results.append(result)
    assert all(map(same, results, segment_video(model, frames))) and state.tracks.frame == 4


@pytest.mark.parametrize('size', [(31, 45), (1, 1), (70, 33)])
def test_odd_sizes(model, size):
    assert segment_image(model, images(1, size)[0]).instance.shape == size


def test_grey_transparent_and_16_bit_images(model, tmp_path):
    colour = images(1)[0]
    grey = colour[..., 0]
    expected = segment_image(model, np.dstack([grey] * 3))
    assert same(segment_image(model, grey), expected)
    assert same(segment_image(model, grey.astype(np.uint16) * 257), expected)
    alpha = np.dstack([colour, np.full(SIZE, 7, np.uint8)])
    assert same(segment_image(model, alpha), segment_image(model, colour))
    for name, image in (('grey', grey), ('deep', grey.astype(np.uint16) * 257)):
        write_png(tmp_path / f'{name}.png', image)
        assert same(segment_image(model, tmp_path / f'{name}.png'), expected)


def test_turned_photographs_are_upright(model, tmp_path):
    """A JPEG with EXIF orientation 6, as phones write them: to be turned by 90 degrees."""
    ok, data = cv2.imencode('.jpg', images(1)[0])
    exif = b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'
    content = data.tobytes()
    segment = b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif
    (tmp_path / 'phone.jpg').write_bytes(content[:2] + segment + content[2:])
    assert ok and segment_image(model, tmp_path / 'phone.jpg').semantic.shape == SIZE[::-1]


@pytest.mark.parametrize(
    'source, message',
    [
        ('nothing.mp4', 'nothing.mp4 does not exist'),
        ('empty', 'empty holds no images'),
        ('text.mp4', 'video .*text.mp4 cannot be opened'),
        (
            [*images(2), np.zeros((4, 4, 3), np.uint8)],
            r'frame 2 has the size \(4, 4\), the first frame \(48, 64\)',
        ),
        (
            [images(1)[0], np.zeros((4, 4, 3), np.float32)],
            r'frame 1 has type float32 and shape \(4, 4, 3\)',
        ),
        ([images(1)[0], np.zeros((0, 4, 3), np.uint8)], 'frame 1 has type uint8 and shape'),
        (['missing.png'], 'frame 0: cannot read missing.png'),
        ([None], 'frame 0 is of type NoneType'),
        (np.zeros((8, 8, 3), np.uint8), 'a source of type ndarray is no video'),
        (None, 'a source of type NoneType is no video'),
    ],
)
def test_what_cannot_be_segmented(model, tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.mp4').write_text('hello')
    with pytest.raises(InputError, match=message):
        list(segment_video(model, source))


def test_video_that_breaks_off(model, tmp_path):
    """The index names more frames than there are: what can be decoded comes, with a warning."""
    writer = VideoWriter(tmp_path / 'whole.mp4', fps=10)
    for image in images(40):
        writer.add(image)
    writer.close()
    content = (tmp_path / 'whole.mp4').read_bytes()
    # the index lies behind the frames; they are overwritten from the first third on
    start = content.index(b'mdat') + len(content) // 3
    end = content.index(b'moov') - 8
    (tmp_path / 'cut.mp4').write_bytes(content[:start] + bytes(end - start) + content[end:])
    with pytest.warns(UserWarning, match=r'cut.mp4 ended after \d+ frames; .* expect about 40'):
        assert 0 < len(list(segment_video(model, tmp_path / 'cut.mp4'))) < 40


def test_hidden_files_beside_the_images(model, tmp_path):
    write_png(tmp_path / '0.png', images(1)[0])
    (tmp_path / '._0.png').write_bytes(b'resource fork')
    assert len(list(segment_video(model, tmp_path))) == 1


def test_a_part_of_a_video(model):
    frames = images(6)
    results = list(segment_video(model, VideoSource(frames, start=1, end=6, stride=2)))
    assert len(results) == 3 and all(map(same, results, segment_video(model, frames[1::2])))


def test_frames_come_with_their_results(model):
    frames = images(3)
    pairs = list(segment_frames(model, VideoSource(frames, resize='32x16')))
    assert [frame.number for frame, _ in pairs] == [0, 1, 2]
    assert all(frame.image.shape == (16, 32, 3) for frame, _ in pairs)
    assert all(result.semantic.shape == (16, 32) for _, result in pairs)


@pytest.mark.parametrize(
    'error',
    [
        torch.OutOfMemoryError('CUDA out of memory'),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate"),
    ],
)
def test_a_frame_that_is_too_large_for_the_memory(model, monkeypatch, error):
    def step(frames, state):
        raise error

    monkeypatch.setattr(model, 'step_clip', step)
    message = r'frame 0 of 64x48 pixels needs more memory than there is; .*--resize 32'
    with pytest.raises(InputError, match=message):
        list(segment_video(model, images(1)))
    error.args = ('another fault',)
    if not isinstance(error, torch.OutOfMemoryError):
        with pytest.raises(RuntimeError, match='another fault'):
            list(segment_video(model, images(1)))


@pytest.mark.parametrize('device', ['gpu', 'cuda:99', 'cpu:x'])
def test_devices_that_are_not_there(device):
    with pytest.raises(InputError, match=f"device '{device}' cannot be used"):
        find_device(device)
    assert find_device('cpu') == torch.device('cpu')


def test_half_precision_of_the_network(model, tiny_config):
    """bfloat16 inside, float32 after it, and nearly the same numbers; the layout of the weights is
    what makes it fast."""
    half = init_model(tiny_config, device='cpu', precision='bf16')
    half.load_state_dict(model.state_dict())
    frame = prepare_frame(model, images(1)[0])
    inside = []
    half.neck.register_forward_hook(lambda *args: inside.append(args[2][0].dtype))
    with torch.no_grad():
        ((exact,), (found,)) = (m.predict([frame], m.new_state()) for m in (model, half))
    assert inside == [torch.bfloat16]
    conv = next(m for m in half.backbone.modules() if isinstance(m, torch.nn.Conv2d))
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    for name in ('classes', 'masks'):
        one, other = exact.stage.predictions[name], found.stage.predictions[name]
        assert one.dtype == other.dtype == torch.float32 and not torch.equal(one, other)
        assert (one - other).abs().mean() < 0.1 * one.std()
    results = list(segment_video(half, images(2)))
    assert len(results) == 2 and results[0].semantic.shape == SIZE


@pytest.mark.parametrize(
    'precision, words', [('fp16', 'fp16 needs a GPU'), ('int8', 'must be one of fp32, bf16, fp16')]
)
def test_precision_that_is_not_there(tiny_config, precision, words):
    with pytest.raises(InputError, match=words):
        init_model(tiny_config, device='cpu', precision=precision)
