def order(words):
    key = lambda w: (len(w), w)
    longest = max(words, key=key)
    words.sort(key=key, reverse=True)
    return longest, words[-1]
#---
assert order(["bb", "a", "ccc"]) == ("ccc", "bb")
