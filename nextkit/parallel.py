"""Parallel: the same work on many records, in order, with a progress bar, and an end when it is interrupted.

with processes(8) as pool:
    verdicts = judge_all(tasks, samples, pool)
"""

import os
import signal
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context


def in_order(function, items, *, workers, desc, unit, executor=None):
    """The list of function(item), as `map` would give it, on threads or on any concurrent.futures executor.

    An interrupt waits for what is running, and starts nothing more.
    """
    from tqdm.auto import tqdm

    pool = executor or ThreadPoolExecutor(workers)
    futures = []
    try:
        for item in items:  # within the try: an interrupt may come before the last
            futures.append(pool.submit(function, item))
        return [future.result() for future in tqdm(futures, desc=desc, unit=unit)]
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    finally:
        if executor is None:
            pool.shutdown()


def cores():
    """How many processors this process may use: a queue, or `taskset`, may grant it fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_either(executor, sandbox):
    """Raises ValueError where both are given."""
    if executor is not None and sandbox is not None:
        raise ValueError("sandbox= does not travel to an executor's workers, which start one each: give one of the two")


def processes(count):
    """A pool of so many processes, to give as executor; use it as a context manager, which waits for what is running.

    They start afresh, since a copy of a process that has threads may hang; and they ignore an interrupt, which a
    notebook sends to all of its processes: it ends the work, not the pool.
    """
    ignore = dict(initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN))
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), **ignore)
