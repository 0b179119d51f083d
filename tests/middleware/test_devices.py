"""Interfaces that have no space at times."""

import random

import pytest

from bamdmux.middleware.catalog import FAULTS
from bamdmux.middleware.devices import FULL_PACKETS
from bamdmux.middleware.faults import Middleware, wrapped
from bamdmux.netdevice import NetDevice, QueueDevice

PACKET = memoryview(bytes(4) + b"packet")


@pytest.mark.parametrize(("name", "seam"), [("tun-full", "interfaces"), ("network-full", "network")])
def test_a_full_device_refuses_for_a_while_and_is_read_all_the_same(name: str, seam: str) -> None:
    middleware = Middleware(later=lambda *_: None, restart_modem=lambda _: None, restart_host=lambda _: None)
    middleware.install(FAULTS[name], random.Random(1), 0.02)
    queue = QueueDevice([b"to be sent"])
    inner: NetDevice = queue
    device = wrapped(inner, getattr(middleware, seam))
    answers = [device.write(PACKET) for _ in range(2000)]
    runs = "".join(".x"[not is_taken] for is_taken in answers).split(".")
    assert 1 < max(map(len, runs)) <= 2 * FULL_PACKETS
    assert answers.count(True) == len(queue.delivered) > 500
    assert device.read_into(memoryview(bytearray(64))) == 14
    middleware.stop()
    assert all(device.write(PACKET) for _ in range(100))
