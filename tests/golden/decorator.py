def logged(function):
    calls = []

    def wrapper(*args, **kw):
        calls.append(args)
        return function(*args, **kw) + len(calls)
    return wrapper


@logged
def add(a, b=1):
    return a + b
#---
assert add(1, b=2) == 3
