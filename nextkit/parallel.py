"""Parallel: the same work on many records, in order, with a progress bar, and an end when it is interrupted."""

from concurrent.futures import ThreadPoolExecutor


def in_order(function, items, *, workers, desc, unit, executor=None):
    """The list of function(item), as `map` would give it, on threads or on any concurrent.futures executor.

    An interrupt waits for what is running, and starts nothing more.
    """
    from tqdm.auto import tqdm

    items = list(items)
    pool = executor or ThreadPoolExecutor(workers)
    futures = [pool.submit(function, item) for item in items]
    try:
        return [future.result() for future in tqdm(futures, desc=desc, unit=unit)]
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    finally:
        if executor is None:
            pool.shutdown()
