"""Hand-written families of programs, beside the assembled ones.

A family is one idea (a factorial, a fee, a running maximum) with its constants {a} {b} {k} drawn anew for each
program. Some of them hide a constant: nothing but the tests, and so the trace, tells what it should be. Ten families
are held out whole: they measure what carries over to programs of a kind never seen.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """One idea. words: descriptions; code: source with canonical names; params: name -> kind of argument."""

    name: str
    words: tuple[str, ...]
    code: str
    params: dict


def _family(name, words, params, body):
    lines = "\n".join("    " + line for line in body.split("\n"))
    return Family(name, tuple(words.split(" | ")), f"def f({', '.join(params)}):\n{lines}", params)


INTS, TWO = {"xs": "ints"}, {"n": "nat", "m": "nat"}
FAMILIES = [
    _family("score", "Return the score of the list. | Compute the score: a start amount plus a rate for each value.", INTS, "t = {a}\nfor x in xs:\n    t += x * {b}\nreturn t"),
    _family("fee", "Return the fee. | Compute the fee: a base price plus a price per unit.", {"n": "nat"}, "b = {a}\nt = n * {k}\nreturn b + t"),
    _family("limit", "Cap each value at the limit. | Replace values over the limit by the limit.", INTS, "t = []\nfor x in xs:\n    if x > {k}:\n        x = {k}\n    t.append(x)\nreturn t"),
    _family("largest", "Return the largest value. | Find the maximum of the list.", INTS, "t = xs[0]\nfor x in xs:\n    if x > t:\n        t = x\nreturn t"),
    _family("smallest", "Return the smallest value. | Find the minimum of the list.", INTS, "t = xs[0]\nfor x in xs:\n    if x < t:\n        t = x\nreturn t"),
    _family("wherelargest", "Return the index of the largest value. | Find where the largest value is.", INTS, "t = 0\nfor i in range(len(xs)):\n    if xs[i] > xs[t]:\n        t = i\nreturn t"),
    _family("wheresmallest", "Return the index of the smallest value. | Find where the smallest value is.", INTS, "t = 0\nfor i in range(len(xs)):\n    if xs[i] < xs[t]:\n        t = i\nreturn t"),
    _family("indexof", "Return the index of {n} in the list, or -1. | Find the position of {n}; -1 if missing.", {"xs": "naturals", "n": "tiny"}, "for i in range(len(xs)):\n    if xs[i] == n:\n        return i\nreturn -1"),
    _family("occurrences", "Count how often {n} occurs. | Count the values equal to {n}.", {"xs": "naturals", "n": "tiny"}, "t = 0\nfor x in xs:\n    if x == n:\n        t += 1\nreturn t"),
    _family("runmin", "List the smallest value so far after each value. | Return the running minimum.", INTS, "u = []\nt = xs[0]\nfor x in xs:\n    t = min(t, x)\n    u.append(t)\nreturn u"),
    _family("runmax", "List the largest value so far after each value. | Return the running maximum.", INTS, "u = []\nt = xs[0]\nfor x in xs:\n    t = max(t, x)\n    u.append(t)\nreturn u"),
    _family("runproduct", "Return the running product. | List the product so far after each value.", {"xs": "naturals"}, "u = []\nt = 1\nfor x in xs:\n    t *= x\n    u.append(t)\nreturn u"),
    _family("neighbourmax", "List the larger of each two neighbours. | Return the maximum of each adjacent pair.", INTS, "t = []\nfor i in range(len(xs) - 1):\n    t.append(max(xs[i], xs[i + 1]))\nreturn t"),
    _family("factorial", "Return the factorial of {n}. | Multiply the numbers from 1 up to {n}.", {"n": "tiny"}, "t = 1\nfor i in range(1, n + 1):\n    t *= i\nreturn t"),
    _family("power", "Raise {n} to the power {m}. | Multiply {n} by itself, {m} times in all.", {"n": "tiny", "m": "tiny"}, "t = 1\nfor i in range(m):\n    t *= n\nreturn t"),
    _family("sumrange", "Sum the numbers from {a} up to {n}. | Add all numbers from {a} to {n}, included.", {"n": "mid"}, "t = 0\nfor i in range({a}, n + 1):\n    t += i\nreturn t"),
    _family("summultiples", "Sum the multiples of {k} below {n}. | Add the numbers below {n} that {k} divides.", {"n": "mid"}, "t = 0\nfor i in range(n):\n    if i % {k} == 0:\n        t += i\nreturn t"),
    _family("gcd", "Return the greatest common divisor of {n} and {m}. | Find the largest number dividing both {n} and {m}.", TWO, "while m != 0:\n    n, m = (m, n % m)\nreturn n"),
    _family("digitsum", "Return the digit sum of {n}. | Add up the digits of {n}.", {"n": "big"}, "t = 0\nwhile n > 0:\n    t += n % 10\n    n //= 10\nreturn t"),
    _family("digitcount", "Return the number of digits of {n}. | Count the digits of {n}.", {"n": "big"}, "t = 0\nwhile n > 0:\n    t += 1\n    n //= 10\nreturn t"),
    _family("reversenumber", "Write the digits of {n} in reverse order. | Reverse the number {n}.", {"n": "big"}, "t = 0\nwhile n > 0:\n    t = t * 10 + n % 10\n    n //= 10\nreturn t"),
    _family("divisors", "List the divisors of {n}. | Return all numbers that divide {n}.", {"n": "mid"}, "t = []\nfor i in range(1, n + 1):\n    if n % i == 0:\n        t.append(i)\nreturn t"),
    _family("countdown", "Count down from {n} by {k} while positive. | List {n}, then {k} less each time, while positive.", {"n": "small"}, "t = []\nwhile n > 0:\n    t.append(n)\n    n -= {k}\nreturn t"),
    _family("halvings", "Count how often {n} can be halved. | Count the halvings until {n} is 1.", {"n": "mid"}, "t = 0\nwhile n > 1:\n    n //= 2\n    t += 1\nreturn t"),
    _family("growth", "Count the steps, times {k} each, for {n} to reach {m}. | How many times must {n} be multiplied by {k} to reach {m}?", {"n": "nat", "m": "mid"}, "t = 0\nwhile n < m:\n    n *= {k}\n    t += 1\nreturn t"),
    _family("reverse", "Reverse the string. | Return the text backwards.", {"s": "str"}, "t = ''\nfor c in s:\n    t = c + t\nreturn t"),
    _family("removeletter", "Remove the letter {q} from the text. | Drop every copy of {q} from the text.", {"s": "abc", "q": "letter"}, "t = ''\nfor c in s:\n    if c != q:\n        t += c\nreturn t"),
    _family("countletter", "Count the letter {q} in the text. | How often does {q} occur in the text?", {"s": "abc", "q": "letter"}, "t = 0\nfor c in s:\n    if c == q:\n        t += 1\nreturn t"),
    _family("repeatletters", "Repeat each letter {k} times. | Write each letter {k} times.", {"s": "str"}, "t = ''\nfor c in s:\n    t += c * {k}\nreturn t"),
    _family("clamp", "Clamp {n} to {a}..{top}. | Keep {n} between {a} and {top}.", {"n": "mid"}, "if n < {a}:\n    return {a}\nif n > {top}:\n    return {top}\nreturn n"),
    _family("ticket", "Return the ticket price for age {n}. | Compute the price: children pay less.", {"n": "nat"}, "if n < {k}:\n    t = {a}\nelse:\n    t = {top}\nreturn t"),
    _family("discount", "Return the cost with the bulk discount. | Compute the cost; large orders get a discount.", {"n": "nat"}, "t = n * {b}\nif n >= {k}:\n    t -= {a}\nreturn t"),
    _family("largestofthree", "Return the largest of three numbers. | Find the maximum of the three arguments.", {"n": "nat", "m": "nat", "p": "nat"}, "t = n\nif m > t:\n    t = m\nif p > t:\n    t = p\nreturn t"),
    _family("distance", "Return the distance between {n} and {m}. | Compute the absolute difference of {n} and {m}.", TWO, "if n > m:\n    return n - m\nreturn m - n"),
    _family("sign", "Return the sign of {n}. | Return 1, 0 or -1 by the sign of {n}.", {"n": "signed"}, "if n > 0:\n    return 1\nif n < 0:\n    return -1\nreturn 0"),
    _family("dot", "Return the dot product. | Sum the products of matching values.", {"xs": "trio", "zs": "trio"}, "t = 0\nfor i in range(len(xs)):\n    t += xs[i] * zs[i]\nreturn t"),
    _family("addlists", "Add the two lists value by value. | Return the sums of matching values.", {"xs": "trio", "zs": "trio"}, "t = []\nfor i in range(len(xs)):\n    t.append(xs[i] + zs[i])\nreturn t"),
    _family("everyk", "Take every value from index {one} in steps of {k}. | Starting at index {one}, keep one value in {k}.", INTS, "t = []\nfor i in range({one}, len(xs), {k}):\n    t.append(xs[i])\nreturn t"),
    _family("rising", "Is the list in rising order? | Return True if no value is below the one before.", {"xs": "naturals"}, "for i in range(len(xs) - 1):\n    if xs[i] > xs[i + 1]:\n        return False\nreturn True"),
    _family("alternating", "Add values at even indexes, subtract the others. | Return the alternating sum.", INTS, "t = 0\nfor i in range(len(xs)):\n    if i % 2 == 0:\n        t += xs[i]\n    else:\n        t -= xs[i]\nreturn t"),
    _family("reverselist", "Reverse the list. | Return the values in reverse order.", INTS, "t = []\nfor x in xs:\n    t = [x] + t\nreturn t"),
    _family("takewhile", "Take values while they are below {k}. | Keep the leading values below {k}.", INTS, "t = []\nfor x in xs:\n    if x >= {k}:\n        break\n    t.append(x)\nreturn t"),
    _family("balance", "Return the balance after {n} steps. | Compute the balance after {n} steps: it grows every step.", {"n": "tiny"}, "t = {a}\nfor i in range(n):\n    t *= {b}\nreturn t"),
    _family("drain", "Return what is left after all withdrawals. | Compute the rest after paying each bill and its charge.", {"xs": "naturals"}, "t = {top}\nfor x in xs:\n    t -= x\n    t -= {b}\nreturn t"),
    _family("lastbelow", "Return the last value below {k}, or 0. | Find the last value under {k}; 0 if none.", INTS, "t = 0\nfor x in xs:\n    if x < {k}:\n        t = x\nreturn t"),
    _family("fibonacci", "Return Fibonacci number {n}. | Start with 0 and 1 and add {n} times.", {"n": "small"}, "a = 0\nb = 1\nfor i in range(n):\n    a, b = (b, a + b)\nreturn a"),
    _family("evensquares", "Return the squares of the even numbers below {n}.", {"n": "small"}, "return [x ** 2 for x in range(n) if x % 2 == 0]"),
    _family("listmap", "List {b} times each value. | Multiply every value by {b}.", INTS, "return [x * {b} for x in xs]"),
    _family("listfilter", "Keep the values above {k}. | List the values greater than {k}.", INTS, "return [x for x in xs if x > {k}]"),
    _family("sumcall", "Sum the values and add {a}. | Return the total plus {a}.", INTS, "t = sum(xs)\nreturn t + {a}"),
    _family("spread", "Return the largest minus the smallest value.", INTS, "return max(xs) - min(xs)"),
    _family("helper", "Sum the results of adding {a} to each value.", INTS, "t = 0\nfor x in xs:\n    y = x + {a}\n    t += y\nreturn t"),
]  # fmt: skip

UNSEEN = frozenset(
    [
        "runmax",
        "digitsum",
        "dot",
        "countletter",
        "alternating",
        "lastbelow",
        "ticket",
        "countdown",
        "summultiples",
        "wheresmallest",
    ]
)
