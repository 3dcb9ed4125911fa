import json

import numpy as np
import pytest

from knet.errors import InputError
from knet.evaluation import PROTOCOLS, Protocol, VideoPanopticEvaluator
from knet.evaluation.protocol import get_protocol
from knet.label_space import STEP, WAYMO, LabelSpace


def test_step():
    table = PROTOCOLS['step'].class_table()
    assert table[:20].tolist() == list(range(20))
    assert table[255] == 19
    assert set(table[20:255].tolist()) == {-1}
    assert (PROTOCOLS['step'].size, PROTOCOLS['step'].void_class) == (20, 19)
    assert PROTOCOLS['step'].tube_ids == (11, 13)
    assert PROTOCOLS['video-knet'].tube_ids == tuple(range(11, 19))


def test_waymo():
    protocol = PROTOCOLS['waymo']
    table = protocol.class_table()
    assert table[:29].tolist() == list(range(29))
    assert table[255] == 0
    assert set(table[29:255].tolist()) == {-1}
    assert (protocol.size, protocol.void_class) == (29, 0)
    assert protocol.tube_ids == (2, 3, 4, 5, 8, 9, 10, 11)


def test_waymo_label_space_has_no_model_id_for_class_0():
    assert WAYMO.num_classes == 29
    assert len(WAYMO.thing_ids) + len(WAYMO.stuff_ids) == 28
    assert WAYMO.classes[20] == 'road'
    assert np.array_equal(WAYMO.train_to_model[WAYMO.model_to_train[:28]], np.arange(28))
    assert set(WAYMO.model_to_train[28:].tolist()) == {255}
    assert WAYMO.train_to_model[0] == WAYMO.train_to_model[255] == 255
    assert len(STEP.thing_ids) + len(STEP.stuff_ids) == 19


def test_description_round_trip():
    """Rules of one's own travel as JSON, published ones by name; a damaged description is said."""
    space = LabelSpace(('sea', 'ship'), (1,), ((1, 2, 3), (4, 5, 6)))
    own = Protocol('harbour', space, tube_ids=(1,))
    text = json.dumps(own.describe())
    assert json.loads(text) == own.describe() and get_protocol(json.loads(text)) == own
    assert PROTOCOLS['video-knet'].describe() == 'video-knet'
    for change in (dict(label_space=3), dict(other=1), dict(tube_ids=[7]), dict(tube_ids=['a'])):
        with pytest.raises(InputError, match='describes no protocol'):
            get_protocol({**own.describe(), **change})
    for damaged, words in (({}, 'no protocol'), (['step'], 'unknown'), (None, 'unknown')):
        with pytest.raises(InputError, match=words):
            get_protocol(damaged)


@pytest.mark.parametrize('things', [(), (0, 1)])
def test_things_alone_and_stuff_alone(things):
    space = LabelSpace(('a', 'b'), things, ((1, 2, 3), (4, 5, 6)))
    evaluator = VideoPanopticEvaluator(Protocol('own', space, tube_ids=things))
    maps = np.arange(16).reshape(4, 4) // 8
    evaluator.add_frame(0, 0, maps, (maps + 1) * bool(things), maps, (maps + 1) * bool(things))
    result = evaluator.result()
    assert result['vpq']['k']['1']['VPQ'] == 1 and result['stq']['SQ'] == 1
    missing = 'VPQ_stuff' if things else 'VPQ_thing'
    assert result['vpq']['k']['1'][missing] is None
