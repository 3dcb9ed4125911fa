import numpy as np

from knet.evaluation import PROTOCOLS
from knet.label_space import STEP, WAYMO


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
