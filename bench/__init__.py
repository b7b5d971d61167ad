"""Benchmarks: they inform, they never gate. `make bench`; docs/explanation/performance.md shows what was seen."""
