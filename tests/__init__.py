"""The tests, and the fake site they run against."""
