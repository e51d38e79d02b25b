def f(n):
    print("n is", n)
    for i in range(2):
        print(i, end=" ")
    print()
#---
assert f(3) == 3
