"""Side by side with peers, in one run: `python -m benchmarks`, or `make bench`.

A scenario prepares servers and data, then measures its sides in turn (A B A B …) in one process after the other.
`targets` holds what shall be reached, `report` shows it.  README.md tells what exactly is counted.
"""
