"""Comparing: plain data crosses unchanged, and what is not the expected value never matches."""

import collections
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nextkit.comparing import close, decode, encode, matches, show

atoms = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.binary(max_size=5)
)
hashable = st.recursive(atoms, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
plain = st.recursive(
    atoms | st.sets(hashable, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hashable, inner, max_size=3) | st.tuples(inner),
    max_leaves=10,
)
nonsense = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["int", "list", "dict"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=8,
)


def through(value):
    """What arrives of a value on the other side of the pipe."""
    return json.loads(json.dumps(encode(value)))


@given(plain)
def test_plain_data_arrives_as_it_was(value):
    arrived = decode(through(value))
    assert arrived == value and type(arrived) is type(value)


@given(plain)
def test_a_value_matches_itself(value):
    assert matches(through(value), value)


@example(["dict", [[["int", "0x1"]]]], {1: 2}, "equal", 0.0)
@example(["dict", [{"a": 1, "b": 2}]], {1: 2}, "exact", 1e-6)
@given(nonsense, plain, st.sampled_from(["exact", "equal", "root"]), st.sampled_from([0.0, 1e-6]))
def test_nonsense_is_answered_by_true_or_false(code, expected, oracle, tolerance):
    assert matches(code, expected, oracle=oracle, tolerance=tolerance, arguments=([1, 2],)) in (True, False)
    assert isinstance(show(code), str)


@pytest.mark.parametrize("one, other", [(1, True), (1, 1.0), (0.0, False), ([1], (1,)), ([1.0], [1]), ({1}, {True}),
    ({1: 2}, {True: 2}), ("1", 1), (b"a", "a"), ({1}, frozenset({1})), ([], ()), ("", None)])  # fmt: skip
def test_exact_tells_types_apart_at_every_level(one, other):
    assert not matches(through(one), other) and not matches(through(other), one)


def test_equal_is_pythons_equality():
    assert matches(through([240.0, True]), [240, 1], oracle="equal") and not matches(through((1,)), [1], oracle="equal")


def test_the_order_of_sets_and_dicts_does_not_matter():
    assert matches(through({"b": 1, "a": {3, 2}}), {"a": {2, 3}, "b": 1})


def test_counters_and_other_dicts_of_the_library_are_dicts():
    assert matches(through(collections.Counter("aab")), {"a": 2, "b": 1})


def test_minus_zero_is_zero():
    assert matches(through(-0.0), 0.0)


@pytest.mark.parametrize("value", [float("inf"), [1e308 * 10], -float("inf")])
def test_infinity_is_a_value(value):
    assert matches(through(value), value)


@pytest.mark.parametrize("got", [[0.3000001], [[1, 0.29999999]], {"a": 0.3 + 1e-9}])
def test_a_tolerance_reaches_every_level(got):
    expected = json.loads(json.dumps(got), parse_float=lambda text: 0.3)
    assert matches(through(got), expected, tolerance=1e-6) and not matches(through(got), expected)


@pytest.mark.parametrize("got, expected", [((1.0,), [1.0]), (1, 1.0), ([0.3], [0.3, 0.3]), ("a", "b"), (2, 3)])
def test_a_tolerance_forgives_nothing_but_small_differences_of_floats(got, expected):
    assert not matches(through(got), expected, tolerance=0.5)


def test_any_root_will_do_for_the_root_oracle():
    how = dict(oracle="root", tolerance=1e-4, arguments=([-6, 1, 1],))  # (x - 2)(x + 3)
    assert matches(through(2.0), -3.0, **how) and matches(through(-3.0), -3.0, **how)
    assert not matches(through(2.1), -3.0, **how)


@pytest.mark.parametrize("value", [object(), lambda: 1, (x for x in "a"), [object()]])
def test_what_is_not_plain_data_matches_nothing(value):
    assert not any(
        matches(through(value), value, oracle=oracle, tolerance=1.0, arguments=([1],)) for oracle in ("exact", "root")
    )


def test_a_value_nested_without_end_is_opaque():
    value = []
    value.append(value)
    assert not matches(through(value), [[]])


@given(plain)
def test_a_value_is_shown_as_the_literal_that_reads_back(value):
    if "nan" not in repr(value) and "inf" not in repr(value):
        shown = show(encode(value), limit=10**6)
        assert eval(shown) == value and encode(eval(shown)) == encode(value)


def test_a_long_value_is_shown_by_its_beginning():
    assert show(encode(list(range(10**5))), limit=20) == "[0, 1, 2, 3, 4, 5..."


@pytest.mark.parametrize("oracle, tolerance", [("exact", 0.1), ("equal", 0.0)])
def test_a_value_of_another_size_is_never_built(monkeypatch, oracle, tolerance):
    collision = ["set", [["int", hex(number * (2**61 - 1))] for number in range(9)]]  # of these, thousands take minutes
    monkeypatch.setattr("nextkit.comparing.decode", None)
    assert not matches(collision, {1, 2}, oracle=oracle, tolerance=tolerance)


def test_a_root_is_a_number_and_not_its_text():
    how = dict(oracle="root", tolerance=1e-4, arguments=([-1, 1],))
    assert matches(encode(1.0), 0.0, **how) and not matches(encode("1.0"), 0.0, **how)


@pytest.mark.parametrize("value", [5.0, -float("inf"), 1e308])
def test_only_infinity_is_near_infinity(value):
    assert not close(value, float("inf"), 1e-6) and close(float("inf"), float("inf"), 1e-6)
