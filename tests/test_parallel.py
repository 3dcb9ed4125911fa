"""Work ahead: in order, bounded, cancelled where it is not wanted any more."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from knet.parallel import ordered_map


def test_results_come_in_order_and_few_wait():
    begun = []
    with ThreadPoolExecutor(2) as pool:
        results = ordered_map(pool, lambda x: begun.append(x) or x * x, range(100), ahead=4)
        assert next(results) == 0
        assert len(begun) <= 6  # the one that was taken, those that wait
        assert list(results) == [x * x for x in range(1, 100)]


def test_the_first_error_ends_it_and_cancels_the_rest():
    begun, gate = [], threading.Event()

    def work(number):
        begun.append(number)
        if number:
            gate.wait(5)
        return 1 // number

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ZeroDivisionError):
            list(ordered_map(pool, work, range(50), ahead=20))
        gate.set()
    assert len(begun) <= 2
