"""Work ahead: in order, bounded, cancelled where it is not wanted any more."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from knet.parallel import in_background, ordered_map


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


def test_background_keeps_the_order_and_is_done_at_the_end():
    done = []
    with in_background(3) as later:
        for number in range(20):
            later(done.append, number)
        assert len(done) >= 16  # at most three wait, and one is at work
    assert done == list(range(20))


def test_errors_of_the_background_end_the_block():
    done = []
    with pytest.raises(ZeroDivisionError):
        with in_background(2) as later:
            for number in range(3, -30, -1):
                later(lambda n=number: done.append(1 / n))
    assert len(done) < 12
    with pytest.raises(ZeroDivisionError), in_background(2) as later:
        later(lambda: 1 / 0)  # at the end at the latest
