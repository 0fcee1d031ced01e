"""The journal on files: synchronous, without Trio; it makes facts durable and brings them back.

`recovery.open_journal` gives a state and a `journal.FileJournal`; everything reaches the disk through
`disk.Disk`. The bytes are `codec`'s, and what lies where is in `docs/wal-format.md`.
"""
