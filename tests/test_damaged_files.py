"""Files whose bytes were changed are refused, or read as what they were.

MUTATIONS (default 240) is the number of damaged images, and MUTATIONS / 8 that of checkpoints.
"""

import os
import zlib

import cv2
import numpy as np
import pytest
import torch

from knet.errors import InputError
from knet.models.checkpoint import read_checkpoint
from knet.step_format import read_panoptic, read_png, read_png_size, write_panoptic, write_png

MUTATIONS = int(os.environ.get('MUTATIONS', 240))


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """The same bytes with some damage."""
    array = bytearray(data)
    place = int(rng.integers(len(array)))
    length = int(rng.choice([1, 4, 64, 4096]))
    kind = rng.integers(7)
    if kind == 0:
        array[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        array[place : place + length] = bytes(len(array[place : place + length]))
    elif kind == 2:
        array[place : place + length] = rng.bytes(len(array[place : place + length]))
    elif kind == 3:  # two blocks change their places
        other = int(rng.integers(len(array)))
        one, two = sorted((place, other))
        size = min(length, two - one, len(array) - two)
        array[one : one + size], array[two : two + size] = (
            array[two : two + size],
            array[one : one + size],
        )
    elif kind == 4:
        del array[place:]
    elif kind == 5:
        del array[place : place + length]
    else:
        array[place:place] = rng.bytes(length)
    return bytes(array)


@pytest.fixture
def images(tmp_path):
    """Files of each kind and how they are read."""
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (48, 64, 3), np.uint8), (9, 9), 3)
    write_png(tmp_path / 'image.png', picture)
    write_png(tmp_path / 'depth.png', (picture[..., 0] * 200.0).astype(np.uint16))
    classes = (picture[..., 1] // 16).astype(np.uint8)
    write_panoptic(tmp_path / 'map.png', classes, classes.astype(np.int32) * 300)
    cv2.imwrite(str(tmp_path / 'image.jpg'), picture)
    return [
        (tmp_path / 'image.png', read_png),
        (tmp_path / 'depth.png', read_png),
        (tmp_path / 'map.png', read_panoptic),
        (tmp_path / 'image.jpg', read_png),
    ]


def test_damaged_images(images, tmp_path):
    rng = np.random.default_rng(1)
    refused = 0
    for number in range(MUTATIONS):
        path, read = images[number % len(images)]
        before = np.asarray(read(path))
        damaged = tmp_path / f'damaged{path.suffix}'
        damaged.write_bytes(mutate(path.read_bytes(), rng))
        try:
            after = np.asarray(read(damaged))
        except InputError:
            refused += 1
            continue
        if path.suffix == '.png':  # a JPEG has no checksums
            assert np.array_equal(before, after), f'{path.name}, number {number}'
    assert refused > MUTATIONS / 2


def test_damaged_checkpoints(tmp_path):
    rng = np.random.default_rng(2)
    torch.manual_seed(0)
    content = dict(state_dict={f'layer{i}.weight': torch.randn(40, 50) for i in range(4)})
    torch.save(content, tmp_path / 'good.pth')
    data = (tmp_path / 'good.pth').read_bytes()
    refused = 0
    for number in range(MUTATIONS // 8):
        (tmp_path / 'damaged.pth').write_bytes(mutate(data, rng))
        try:
            after = read_checkpoint(tmp_path / 'damaged.pth')
        except InputError:
            refused += 1
            continue
        for name, value in content['state_dict'].items():
            assert torch.equal(after['state_dict'][name], value), f'number {number}'
    assert refused > MUTATIONS / 16


def test_hash_in_a_published_name(tmp_path):
    torch.save(dict(state_dict=dict(weight=torch.zeros(3))), tmp_path / 'model.pth')
    for name, good in (('model-0123abcd.pth', False), ('model-20240131.pth', True)):
        (tmp_path / 'model.pth').replace(tmp_path / name)
        if good:
            assert read_checkpoint(tmp_path / name)['state_dict']['weight'].tolist() == [0, 0, 0]
        else:
            with pytest.raises(InputError, match='not what its name says'):
                read_checkpoint(tmp_path / name)
        (tmp_path / name).replace(tmp_path / 'model.pth')


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, 'big') + kind + data + zlib.crc32(kind + data).to_bytes(4, 'big')


def test_what_is_called_an_image_and_is_none(images, tmp_path):
    png, jpeg = images[0][0].read_bytes(), images[3][0].read_bytes()
    head = (60000).to_bytes(4, 'big') * 2 + bytes([8, 2, 0, 0, 0])
    lying = png[:8] + chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(bytes(9))) + png[-12:]
    animated = png[:33] + chunk(b'acTL', bytes(8)) + png[33:]
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'folder.png').mkdir()
    for name, data, message in (
        ('pipe.png', None, 'not a file'),
        ('folder.png', None, 'not a file'),
        ('empty.png', b'', 'empty'),
        ('lying.png', lying, '60000 x 60000'),
        ('jpeg.png', jpeg, 'no PNG'),
        ('tiff.png', b'II*\0' + bytes(100), 'no PNG'),
        ('png.jpg', png, 'no JPEG'),
        ('animated.png', animated, 'animation'),
    ):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=message):
            read_png(tmp_path / name)
    with pytest.raises(InputError, match='not a file'):
        read_png_size(tmp_path / 'pipe.png')
    for name, data in (('tail.jpg', jpeg + bytes(500)), ('tail.png', png + bytes(500))):
        (tmp_path / name).write_bytes(data)
        assert read_png(tmp_path / name).shape == (48, 64, 3)
