"""The actors: one module each, in the order messages, `run`, helpers.

An actor imports exactly the actors it sends to, so the import graph of this package is the mailbox graph.
"""
