"""The parts of `benchmarks/torture.py`: what is done to a run, and what must hold afterwards."""
