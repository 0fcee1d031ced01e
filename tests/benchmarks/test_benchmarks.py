"""What the benchmark says is only as good as its clients and its arithmetic; the measuring itself is not for
tests, which share their machine."""

from __future__ import annotations

import socket
import threading
from xml.etree import ElementTree as ET

import pytest
from wsproto.frame_protocol import FrameProtocol, Opcode

from benchmarks.chart import Bar, Line, bars, lines
from benchmarks.figures import Figure, at_least, at_most, figure_from_json, ratios, table
from benchmarks.flame import Stacks, flame_graph
from benchmarks.load import enqueue_message
from benchmarks.measures.backlog import split
from benchmarks.peers.catalogue import SYNCED
from benchmarks.peers.results import targets
from benchmarks.redis_stream import _whole_entries
from benchmarks.websocket import WebSocket, frame


@pytest.mark.parametrize("size", [0, 5, 125, 126, 65_535, 65_536, 200_000])
def test_a_prepared_frame_says_to_others_what_it_was_made_of(size: int) -> None:
    """RFC 6455 §5.2, read by the library that the server uses."""
    message = (b"beaver" * 40_000)[:size]
    protocol = FrameProtocol(client=False, extensions=[])
    protocol.receive_bytes(frame(message))
    received = list(protocol.received_frames())
    assert {found.opcode for found in received} <= {Opcode.TEXT}
    assert "".join(str(found.payload) for found in received).encode() == message


def test_replies_are_cut_out_wherever_the_network_cuts() -> None:
    """Byte by byte, with a ping among them that is answered."""
    listener = socket.create_server(("127.0.0.1", 0))
    sent = b"\x81\x02hi" + b"\x89\x01p" + b"\x81\x7e\x00\x80" + b"x" * 128 + b"\x81\x00"
    answered = bytearray()

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        for byte in sent:
            connection.sendall(bytes([byte]))
        answered.extend(connection.recv(4096))
        connection.close()

    server = threading.Thread(target=serve)
    server.start()
    with WebSocket(f"ws://127.0.0.1:{listener.getsockname()[1]}") as client:
        assert [client.receive() for _ in range(3)] == [b"hi", b"x" * 128, b""]
    server.join()
    listener.close()
    assert answered[0] == 0x8A


def test_a_reply_of_redis_counts_only_when_it_is_whole() -> None:
    """Two entries with one field each, as XREADGROUP sends them."""
    entry = b"*2\r\n$3\r\n%s\r\n*2\r\n$3\r\njob\r\n$2\r\n{}\r\n"
    reply = b"*1\r\n*2\r\n$4\r\njobs\r\n*2\r\n" + entry % b"1-0" + entry % b"1-1"
    assert _whole_entries(reply) == [b"1-0", b"1-1"]
    assert not any(_whole_entries(reply[:length]) for length in range(len(reply)))


def test_answers_belong_to_the_snapshot_that_was_made_while_they_were_waited_for() -> None:
    """One second each; a snapshot from 200 to 300 s; too few before it would be no figure."""
    moments = list(range(1, 501))
    during, between = split(moments, [1] * 500, [(200, 300)])
    assert [len(values) for values in during] == [102]
    assert [len(values) for values in between] == [199, 199]


def test_a_target_is_judged_by_the_median_of_the_ratios_of_each_round() -> None:
    """A round in which the machine was slow counts for both sides."""
    ours, floor = [50.0, 100.0, 120.0], [50.0, 200.0, 120.0]
    assert at_least("must", "floor", ratios(ours, floor), 1).met
    assert at_most("must", "2 ms", [1.0, 2.0, 9.0], 2).met
    assert not at_most("must", "2 ms", [1.0, 2.1, 9.0], 2).met


def test_figures_survive_their_file() -> None:
    """The document is made from the file."""
    figure = Figure("a", "A", "jobs/s", (1.0, 2.0), (at_least("must", "2", 1.5, 2),), "a note")
    assert figure_from_json(figure.as_json()) == figure
    assert "**not met**" in table([figure])


def test_we_are_compared_with_the_fastest_of_each_round() -> None:
    """Two frameworks that take turns in being fast, and one that is faster because it does not sync."""

    def peer(name: str, acknowledged: str, *rates: float) -> dict[str, object]:
        visits = [{"end_to_end": rate, "batches": rate} for rate in rates]
        framework = name != "beaver"
        return {"name": name, "acknowledged": acknowledged, "framework": framework, "visits": visits}

    ours, lossy = peer("beaver", SYNCED, 100, 100, 100), peer("c", "up to 1 s lost", 50, 20, 20)
    synced = [peer("a", SYNCED, 10, 5, 20), peer("b", SYNCED, 5, 10, 10)]
    judged = [
        (row, target.kind, target.measured, target.met) for row, target in targets([ours, lossy, *synced])
    ]
    assert judged == [("end_to_end", "must", 10.0, True), ("end_to_end", "must", 5.0, False)]


def test_pictures_are_well_formed_whatever_the_names() -> None:
    """XML, with everything in it that was given."""
    bar = Bar("a < b & c", 10.0, 5.0, 2000.0, "ours")
    pictures = [
        bars("<title>", [("ours", "ours & theirs")], [bar]),
        lines("<title>", "jobs", [Line("<rate>", [1.0, 0.0, 3.0], "/s")]),
        flame_graph("<title>", Stacks({("<module> (a.py)", "run (b.py)"): 3, ("<module> (a.py)",): 1})),
    ]
    for picture in pictures:
        ET.fromstring(picture)
    assert "a &lt; b &amp; c" in pictures[0]


def test_a_batch_is_one_request() -> None:
    """What is sent is what the protocol describes."""
    assert enqueue_message("k", 3).count(b'"kind":"k"') == 3
