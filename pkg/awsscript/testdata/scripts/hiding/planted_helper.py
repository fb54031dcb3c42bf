import statistics
x = await statistics.mean([1, 2, 3])
