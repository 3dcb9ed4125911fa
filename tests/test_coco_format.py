"""COCO and YouTube-VIS files of frames drawn by hand, read by those who define the formats."""

import gc
import itertools
import json
import tracemalloc

import numpy as np
import pytest
from mmdet.datasets import coco_panoptic
from pycocotools import mask as rle
from pycocotools.coco import COCO

from knet.coco_format import CocoWriter, categories
from knet.errors import InputError
from knet.label_space import STEP, WAYMO
from knet.step_format import read_png

ROAD, SKY, PERSON, CAR, VOID = 0, 10, 11, 13, 255
SHAPE = (12, 20)


class Frame:
    """A frame that is drawn segment by segment, over a road that no segment says."""

    def __init__(self, shape=SHAPE):
        self.semantic, self.instance = np.full(shape, ROAD, np.uint8), np.zeros(shape, np.int32)
        self.map, self.rows = np.zeros(shape, np.int32), []

    def draw(self, place, label, score, track=0):
        self.rows.append((label, score, track))
        self.semantic[place], self.instance[place] = label, track
        self.map[place] = len(self.rows)
        return self

    def write(self, writer, number, name, file_name):
        labels, scores, ids = (np.array(column) for column in zip(*self.rows or [(0, 0.0, 0)]))
        writer.add(number, name, file_name, self.semantic, self.map, labels, scores, ids)


def street():
    """Three frames, numbers 4, 6 and 8: the car 7 everywhere, the person 2 in the second one, two
    cars without a track in the third; void and sky in the first."""
    first, second, third = Frame(), Frame(), Frame()
    first.draw(np.s_[:2], SKY, 0.5).draw(np.s_[6:9, 0:5], CAR, 0.9, 7)
    first.semantic[10:] = VOID
    second.draw(np.s_[6:9, 3:9], CAR, 0.7, 7).draw(np.s_[3:10, 12:14], PERSON, 0.6, 2)
    second.map[3, 12], second.semantic[3, 12], second.instance[3, 12] = 0, ROAD, 0
    third.draw(np.s_[7:10, 4:10], CAR, 0.8, 7)
    third.draw(np.s_[0:3, 0:3], CAR, 0.4).draw(np.s_[0:3, 3:6], CAR, 0.3)
    return [first, second, third]


def write(folder, frames, **options):
    writer = CocoWriter(folder, STEP, info=dict(description='a street'), **options)
    for index, frame in enumerate(frames):
        number = 4 + 2 * index
        name = f'000000_{number:06d}'
        frame.write(writer, number, name, f'{name}.jpg')
    return writer.close()


def load(folder, name):
    return json.loads((folder / f'{name}.json').read_text())


def by_id(png):
    """Segment ids of a panoptic PNG, as panopticapi's rgb2id reads them."""
    rgb = read_png(png)[..., ::-1].astype(np.int64)
    return rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]


def box_of(mask):
    rows, cols = np.nonzero(mask)
    return [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]


def test_panoptic_files_follow_the_rules(tmp_path):
    """Those of panopticapi's evaluation: the ids of PNG and JSON agree, with their areas."""
    frames = street()
    write(tmp_path, frames)
    content = load(tmp_path, 'coco_panoptic')
    assert [image['frame'] for image in content['images']] == [4, 6, 8]
    known = {category['id'] for category in content['categories']}
    for frame, image, entry in zip(frames, content['images'], content['annotations']):
        assert entry['image_id'] == image['id']
        assert (image['height'], image['width']) == SHAPE
        ids = by_id(tmp_path / 'coco_panoptic' / entry['file_name'])
        assert np.array_equal(ids == 0, frame.semantic == VOID)
        labels, counts = np.unique(ids[ids > 0], return_counts=True)
        segments = {segment['id']: segment for segment in entry['segments_info']}
        assert sorted(segments) == labels.tolist()
        for label, area in zip(labels.tolist(), counts.tolist()):
            segment, mask = segments[label], ids == label
            assert segment['area'] == area and segment['iscrowd'] == 0
            assert segment['category_id'] in known
            assert segment['bbox'] == box_of(mask)
            assert (frame.semantic[mask] == segment['category_id'] - 1).all()
            assert (frame.instance[mask] == segment.get('track_id', 0)).all()
    scores = [
        {s['category_id']: s['score'] for s in e['segments_info']} for e in content['annotations']
    ]
    # the road only fills what no segment has
    assert scores[0] == {SKY + 1: 0.5, CAR + 1: 0.9, ROAD + 1: 0}


def test_mmdet_loads_the_panoptic_file(tmp_path, monkeypatch, capsys):
    frames = street()
    write(tmp_path, frames)
    monkeypatch.setattr(coco_panoptic, 'panopticapi', coco_panoptic)  # it is only asked for
    dataset = coco_panoptic.CocoPanopticDataset(
        str(tmp_path / 'coco_panoptic.json'),
        pipeline=[],
        classes=[STEP.classes[label] for label in (*STEP.thing_ids, *STEP.stuff_ids)],
        img_prefix=str(tmp_path / 'images'),
        seg_prefix=str(tmp_path / 'coco_panoptic'),
        test_mode=True,  # else it passes over images as small as these
    )
    assert len(dataset) == 3
    for index, frame in enumerate(frames):
        annotation = dataset.get_ann_info(index)
        cars = np.isin(frame.instance, (2, 7)).any() and len(annotation['labels'])
        assert cars == (1, 2, 3)[index] == len(annotation['bboxes'])
        ids = by_id(tmp_path / 'coco_panoptic' / f'000000_{4 + 2 * index:06d}.png')
        assert {mask['id'] for mask in annotation['masks']} == set(np.unique(ids)) - {0}
    assert dataset.coco.imgs[1]['segm_file'] == '000000_000004.png'


def test_objects_without_a_track_stay_apart(tmp_path):
    write(tmp_path, street())
    ids = by_id(tmp_path / 'coco_panoptic/000000_000008.png')
    assert len({ids[1, 1], ids[1, 4], ids[8, 6], ids[11, 11]}) == 4
    annotations = load(tmp_path, 'coco_instances')['annotations']
    untracked = [a for a in annotations if 'track_id' not in a]
    assert [a['bbox'] for a in untracked] == [[0, 0, 3, 3], [3, 0, 3, 3]]
    assert [a['score'] for a in untracked] == [0.4, 0.3]


def test_a_track_has_one_id_in_all_panoptic_files(tmp_path):
    write(tmp_path, street())
    cars = {
        segment['id']
        for entry in load(tmp_path, 'coco_panoptic')['annotations']
        for segment in entry['segments_info']
        if segment.get('track_id') == 7
    }
    assert len(cars) == 1


def test_pycocotools_reads_the_instances(tmp_path, capsys):
    frames = street()
    write(tmp_path, frames)
    coco = COCO(str(tmp_path / 'coco_instances.json'))
    assert {coco.cats[i]['name'] for i in coco.getCatIds()} == {'person', 'car'}
    assert coco.loadImgs(2)[0]['file_name'] == '000000_000006.jpg'
    for image, frame in enumerate(frames, 1):
        rest = np.isin(frame.semantic, STEP.thing_ids)
        for annotation in coco.loadAnns(coco.getAnnIds(image)):
            mask = coco.annToMask(annotation).astype(bool)
            assert (frame.semantic[mask] == annotation['category_id'] - 1).all()
            assert (frame.instance[mask] == annotation.get('track_id', 0)).all()
            assert annotation['area'] == mask.sum() and annotation['bbox'] == box_of(mask)
            assert rest[mask].all()
            rest &= ~mask
        assert not rest.any()
    # results in the same form can be judged by COCO's own evaluation
    assert len(coco.loadRes(coco.dataset['annotations']).anns) == 6


def test_tracks_over_the_video(tmp_path):
    frames = street()
    write(tmp_path, frames)
    content = load(tmp_path, 'youtube_vis')
    names = [f'000000_00000{number}.jpg' for number in (4, 6, 8)]
    assert content['videos'] == [dict(id=1, width=20, height=12, length=3, file_names=names)]
    person, car = content['annotations']
    assert (person['track_id'], person['category_id'], person['score']) == (2, PERSON + 1, 0.6)
    assert (person['first_frame'], person['last_frame']) == (6, 6)
    assert person['areas'] == [None, 13, None] and person['bboxes'][1] == [12, 3, 2, 7]
    assert (car['first_frame'], car['last_frame']) == (4, 8)
    assert car['score'] == pytest.approx(0.8) and car['areas'] == [15, 18, 18]
    for track in (person, car):
        assert track['iscrowd'] == 0 and (track['width'], track['height']) == SHAPE[::-1]
        for frame, mask in itertools.zip_longest(frames, track['segmentations']):
            there = frame.instance == track['track_id']
            assert (mask is None) == (not there.any())
            if mask is not None:
                assert np.array_equal(rle.decode(mask).astype(bool), there)


def test_class_of_a_track_is_that_of_most_of_its_pixels(tmp_path):
    """Two small frames as a person, one large one as a car."""
    frames = [Frame().draw(np.s_[0:2, 0:2], PERSON, 0.5, 1) for _ in range(2)]
    frames.append(Frame().draw(np.s_[0:6, 0:6], CAR, 0.5, 1))
    write(tmp_path, frames)
    (track,) = load(tmp_path, 'youtube_vis')['annotations']
    assert track['category_id'] == CAR + 1
    assert [a['category_id'] for a in load(tmp_path, 'coco_instances')['annotations']] == [
        PERSON + 1,
        PERSON + 1,
        CAR + 1,
    ]


def test_images_have_no_tracks(tmp_path):
    files = write(tmp_path, street(), has_tracks=False)
    assert [file.name for file in files] == ['coco_panoptic.json', 'coco_instances.json']
    assert 'track_id' not in (tmp_path / 'coco_instances.json').read_text()
    assert not (tmp_path / 'youtube_vis.json').exists()


def test_frames_without_any_object_or_segment(tmp_path):
    empty = Frame()
    empty.semantic[:] = VOID
    write(tmp_path, [empty, Frame()])
    panoptic = load(tmp_path, 'coco_panoptic')['annotations']
    assert [len(entry['segments_info']) for entry in panoptic] == [0, 1]
    assert load(tmp_path, 'coco_instances')['annotations'] == []
    assert load(tmp_path, 'youtube_vis')['annotations'] == []
    assert len(load(tmp_path, 'coco_instances')['images']) == 2


def test_categories_are_the_classes_but_what_says_nothing():
    listed = categories(STEP)
    assert [entry['id'] for entry in listed] == list(range(1, 20))
    assert listed[13] == dict(
        id=14, name='car', supercategory='thing', isthing=1, color=[0, 0, 142]
    )
    assert [entry['name'] for entry in categories(STEP, things_only=True)] == ['person', 'car']
    assert 'unknown' not in {entry['name'] for entry in categories(WAYMO)}


def test_masks_of_all_shapes_come_back(tmp_path, capsys):
    """Noise, whole frames, single pixels at the corners."""
    rng = np.random.default_rng(0)
    noise, full, corners = Frame(), Frame(), Frame()
    for track in (1, 2, 3):
        noise.draw(rng.random(SHAPE) < 0.3, CAR, 0.5, track)
    full.draw(np.s_[:, :], CAR, 0.5, 1)
    for track, place in enumerate(((0, 0), (-1, -1), (0, -1), (-1, 0)), 1):
        corners.draw(place, PERSON, 0.5, track)
    frames = [noise, full, corners]
    write(tmp_path, frames)
    coco = COCO(str(tmp_path / 'coco_instances.json'))
    assert len(coco.anns) == 8
    for annotation in coco.anns.values():
        there = frames[annotation['image_id'] - 1].instance == annotation['track_id']
        assert np.array_equal(coco.annToMask(annotation).astype(bool), there)
        assert (
            annotation['segmentation']['counts']
            == rle.encode(np.asfortranarray(there, np.uint8))['counts'].decode()
        )


def test_giving_up_leaves_no_json_and_no_database(tmp_path):
    writer = CocoWriter(tmp_path, STEP)
    street()[0].write(writer, 0, 'a', 'a.jpg')
    writer.discard()
    assert [path.name for path in tmp_path.iterdir()] == ['coco_panoptic']
    assert CocoWriter(tmp_path / 'none', STEP).close() == []
    assert not list((tmp_path / 'none').iterdir())


def test_what_cannot_be_written(tmp_path):
    writer = CocoWriter(tmp_path, STEP)
    with pytest.raises(InputError, match='track id 65536 does not fit'):
        Frame().draw(np.s_[0:2], CAR, 0.5, 65536).write(writer, 0, 'a', 'a.jpg')
    writer.discard()
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='cannot write to .*file'):
        CocoWriter(tmp_path / 'file', STEP)


def test_memory_does_not_grow_with_the_video(tmp_path):
    """What Python and NumPy hold at most, over 20 and over 150 frames of 20 tracks."""

    def peak(folder, length):
        frame = Frame()
        for track in range(1, 21):
            frame.draw(np.s_[:, track - 1], CAR, 0.5, track)
        writer = CocoWriter(folder, STEP)
        gc.freeze()  # what is there already is not looked through again and again
        tracemalloc.start()
        for number in range(length):
            frame.write(writer, number, f'{number:06d}', f'{number}.jpg')
            if number % 10 == 0:
                gc.collect()  # so that free lists do not count
        writer.close()
        _, largest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        gc.unfreeze()
        return largest

    write(tmp_path / 'warm', street())
    few, many = peak(tmp_path / 'few', 20), peak(tmp_path / 'many', 150)
    assert many < few + 80_000
    assert len(load(tmp_path / 'many', 'youtube_vis')['annotations']) == 20
