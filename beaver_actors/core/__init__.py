"""What a job queue is, and nothing else: values in, facts and answers out.

Standard library only; no clock, no disk, no chance, no Trio. Time arrives as `now_ms`, chance as a value
already drawn, and whatever they decided is written in the fact, so that replay never decides again.
"""
