"""One module for each peer, as its own documentation would have it: the job, the worker's application, and a
`Producer`, which a client process drives. They run in an environment that has the peers and not ours, get the
broker's address as `BENCH_URL`, and know nothing of each other."""
