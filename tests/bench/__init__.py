"""Measurements that print and never judge; run one by `python -m tests.bench.NAME`."""
