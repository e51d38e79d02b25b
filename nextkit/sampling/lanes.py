"""Lanes: groups of prompts decoded side by side on a CPU, each on a core of its own.

The steps of a small network are too short to be split: two cores together decode one group hardly faster than one does.
So each core gets a group, and all read the same weights. On two cores that was 1.3 times as fast with 3 million
parameters, 1.4 times with 19 million, and no faster with 62 million.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

SMALL = 50_000_000  # parameters
_in_use = threading.Lock()  # how many cores torch takes is one setting for all threads


def is_small(model):
    """Whether the steps of a model, on the device where it is, are too short to be split among cores."""
    return model.device.type == "cpu" and model.num_parameters() <= SMALL


@contextmanager
def side_by_side(model, groups):
    """A pair: a function like `map`, and an Event that is set when what is not yet mapped will not be waited for.

    In a small model the function works at several of so many groups at once; a larger one takes them one by one, with
    all cores, and so does one beside which lanes are in use.
    """
    import torch

    cores, given_up = torch.get_num_threads(), threading.Event()
    if min(cores, groups) < 2 or not is_small(model) or not _in_use.acquire(blocking=False):
        yield map, given_up
        return
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(min(cores, groups), initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool.map, given_up
    finally:
        given_up.set()
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(cores)
        _in_use.release()
