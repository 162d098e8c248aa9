"""The real command under random faults and kills: `python -m tests.soak --seconds 60 --seed 7`."""
