"""Start and stop the servers that stand in for the clouds.

Nothing here needs pytest: the demo and the benchmarks use these modules too.
"""
