class Node:
    __slots__ = ("val", "next")

    def __init__(self, val, next=None):
        self.val = val
        self.next = next


def reverse(values):
    head = None
    for v in values:
        head = Node(v, head)
    head.next.val = 9
    out = []
    while head:
        out.append(head.val)
        head = head.next
    return out
#---
assert reverse([1, 2, 3]) == [3, 2, 1]
