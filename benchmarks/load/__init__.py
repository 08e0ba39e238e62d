"""200 uploads and 1,000 reads at once, for minutes: `python -m benchmarks.load`.

`plan` says who does what, `crowd` is the process with all the clients (`uploader`, `reader` over `wire`), `memory`
follows the server's, `judge` says what is wrong with what was seen, `picture` what is drawn of it, and `plot` how.
"""
