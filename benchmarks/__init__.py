"""The committed benchmark: `make bench`, or `python -m benchmarks --quick`.

Real servers in processes of their own, on temporary directories, with every acknowledgement synced; clients
in another process. Machines differ and are noisy, so what the disk and the WebSocket library can do is
measured in the same run: read the ratios.
"""
