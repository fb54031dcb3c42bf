with open("statistics.py", "w") as f:
    f.write("x = 1")
