"""What a label space takes, and how it says what does not fit together."""

import numpy as np
import pytest

from knet.label_space import LabelSpace

PALETTE = ((0, 0, 255), (255, 0, 0))


def test_lists_and_arrays_are_taken_for_tuples():
    space = LabelSpace(['sky', 'ship'], [1], np.array(PALETTE, np.uint8))
    assert space == LabelSpace(('sky', 'ship'), (1,), PALETTE)
    assert space.stuff_ids == (0,) and space.model_to_train[:3].tolist() == [1, 0, 255]


@pytest.mark.parametrize(
    'arguments, words',
    [
        ((('sky', 'ship'), 1, PALETTE), r'thing_ids must be a tuple, got 1 .*\(3,\)'),
        (('ship', (), PALETTE[:1]), "classes must be a tuple, got 'ship'"),
        ((('sky', 'ship'), (2,), PALETTE), r'thing ids must rise, lie in 0\.\.1'),
        ((('sky', 'ship'), ('ship',), PALETTE), 'thing_ids cannot be'),
        ((('sky', 'sky'), (1,), PALETTE), '1 to 255 different names'),
        (((), (), ()), '1 to 255 different names'),
        ((('sky',), (), PALETTE), 'a colour for each class: 1 classes, 2 colours'),
        ((('sky', 'ship'), (1,), ((0, 0, 1.0), (1.0, 0, 0))), 'palette cannot be'),
        ((('sky', 'ship'), (1,), ((0, 0), (1, 0))), r'colour .* is \(R, G, B\)'),
        ((('sky', 'ship'), (1,), ((0, 0, 256), (1, 0, 0))), r'colour .* is \(R, G, B\)'),
    ],
)
def test_what_does_not_fit_together_is_said(arguments, words):
    with pytest.raises(ValueError, match=words):
        LabelSpace(*arguments)
