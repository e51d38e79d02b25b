"""Parsing: in threads."""

import ast
import time
from concurrent.futures import ThreadPoolExecutor

from nextkit.parsing import parse


def test_no_two_threads_parse_at_once(monkeypatch):
    inside, most = [], []

    def watched(source, *how):
        inside.append(source)
        most.append(len(inside))
        time.sleep(0.01)
        inside.pop()
        return original(source, *how)

    original = ast.parse
    monkeypatch.setattr(ast, "parse", watched)
    with ThreadPoolExecutor(2) as pool:
        trees = list(pool.map(parse, ["x = 1"] * 8))
    assert {ast.unparse(tree) for tree in trees} == {"x = 1"} and max(most) == 1
