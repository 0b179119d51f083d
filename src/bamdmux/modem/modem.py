"""The modem: the far side of the link, as firmware plays it.

    line_changed    host's vote, host's ack    -> power.py      when there is power
    doorbell_rang   TX: frames of the host     -> uplink.py     -> the network, a channel's state
                    RX: buffers of the host    -> downlink.py   what waited for them goes out
    receive_from_network                       -> downlink.py   packets for the host

It boots, announces its channels with OPEN as soon as the host has acked its power, and from then on does only
what it is asked: an idle modem sleeps. Firmware that announces later boots without power: it waits for the
host's own OPEN, or for `announce`. A crash takes everything but the counters; boot it again.

The parts do not know one another: they return values, and the modem decides. It reads no clock, opens no
file; what the host does, whatever it is, is counted and never raises.
"""

from typing import Final

from bamdmux.actions import Action, Line, Pipe, RingDoorbell, Serve
from bamdmux.bam.pipe import PipePeer
from bamdmux.modem.downlink import Downlink
from bamdmux.modem.network import PacketDataNetwork, router_advertisement
from bamdmux.modem.power import ModemPower, PowerState
from bamdmux.modem.profiles import Announce, Profile
from bamdmux.modem.uplink import Uplink
from bamdmux.netdevice import NetDevice
from bamdmux.timing import SECOND, Duration, Instant, earliest
from bamdmux.wire.dmux import CHANNEL_COUNT, Command

LOOK_AGAIN: Final[Duration] = 1 * SECOND  # without a buffer for so long: was a doorbell lost?
RECEIVE_BUDGET: Final = 32  # packets read from the network in one go, so that the other inputs get their turn


class Modem:
    """The far side as one machine.

    Args:
        profile: which firmware it plays.
        tx: its end of the pipe from the host.
        rx: its end of the pipe to the host.
        network: the world behind it.
        packet_data_network: its bearers; given when they outlive it, as from one host to the next.
    """

    def __init__(
        self,
        profile: Profile,
        tx: PipePeer,
        rx: PipePeer,
        network: NetDevice,
        packet_data_network: PacketDataNetwork | None = None,
    ) -> None:
        self.profile = profile
        self.packet_data_network = packet_data_network or PacketDataNetwork(profile.channels, mtu=profile.mtu)
        self._tx = tx
        self._rx = rx
        self._network = network
        self._outbox: list[Action] = []
        self._power = ModemPower(profile, self._outbox)
        self._uplink = Uplink(tx, self.packet_data_network, self._outbox)
        self._downlink = Downlink(rx, self.packet_data_network, self._outbox)
        self._owed: list[tuple[int, Command]] = []  # what the host is yet to be told, one for each channel
        self._look_again_at: Instant | None = None  # while we are without buffers

    @property
    def power_state(self) -> PowerState:
        return self._power.state

    @property
    def is_booted(self) -> bool:
        return self._power.is_booted

    def adopt(self, *, power_level: bool, ack_level: bool, vote_edges: int, host_ack_edges: int) -> None:
        """Begin on memory that has been in use; before `boot`.

        Not needed on fresh memory, nor to boot again after a crash.

        Args:
            power_level: of MODEM_POWER, as an earlier modem left it.
            ack_level: of MODEM_ACK, likewise.
            vote_edges: the count of HOST_VOTE as it stands.
            host_ack_edges: the count of HOST_ACK as it stands.
        """
        self._power.adopt(
            power_level=power_level,
            ack_level=ack_level,
            vote_edges=vote_edges,
            host_ack_edges=host_ack_edges,
        )

    def boot(self, now: Instant) -> None:
        """Start. Power comes at once if there are channels to announce."""
        self._power.boot(now)
        if self.profile.announce is Announce.AT_BOOT:
            self._owe(*self.profile.channels)
        self._hold(now)

    def announce(self, channel: int, now: Instant) -> None:
        """Open a channel at the host: a client has opened its data port."""
        self._tell(channel, Command.OPEN, now)

    def withdraw(self, channel: int, now: Instant) -> None:
        """Close it again."""
        self._tell(channel, Command.CLOSE, now)

    def _tell(self, channel: int, command: Command, now: Instant) -> None:
        if not self.is_booted:
            return  # what was opened at a modem that has died is closed
        self._owe(channel, command=command)
        if self._power.is_up:
            self._send_pending(now)
        else:
            self._hold(now)

    def crash(self, now: Instant) -> None:
        """Fall dead: MODEM_POWER goes, and all that was known, but for the counters."""
        self._power.crash(now)
        self._uplink.reset()
        self._downlink.reset()
        self._owed.clear()
        self._look_again_at = None

    def line_changed(self, line: Line, edge_count: int, now: Instant) -> None:
        """The host has changed one of its two lines."""
        if line is Line.HOST_VOTE:
            self._power.vote_changed(edge_count, now)
            return
        assert line is Line.HOST_ACK, f"{line} is ours"
        if self._power.host_acked(edge_count, now):
            self._come_up(now)

    def serve(self, pipe: Pipe, now: Instant) -> None:
        """As `doorbell_rang`, by somebody who then looks what has come of it, and wants no doorbell."""
        self.doorbell_rang(pipe, now, is_awaited=True)

    def doorbell_rang(self, pipe: Pipe, now: Instant, *, is_awaited: bool = False) -> None:
        """The host has queued frames (TX) or buffers (RX)."""
        if not self._power.is_up:
            return  # without power nobody looks at the rings; `_come_up` will
        if pipe is Pipe.TX:
            self._take_frames(is_awaited=is_awaited)
        if pipe is Pipe.RX or self._owed or self._downlink.pending_count:
            self._send_pending(now)

    @property
    def wants_network_packets(self) -> bool:
        """Whether `receive_from_network` is worth calling when a packet waits in the network."""
        return self._power.is_asleep or self.can_send

    @property
    def can_send(self) -> bool:
        """Whether a packet of the network's would go to the host at once."""
        return self._power.is_up and self._downlink.has_buffer()

    @property
    def has_buffers_to_spare(self) -> bool:
        """Whether it makes no difference when buffers come back."""
        return self._power.is_up and self._look_again_at is None and self._downlink.has_buffers_to_spare

    def receive_from_network(
        self, now: Instant, budget: int = RECEIVE_BUDGET, next_door: Serve | None = None
    ) -> int:
        """A packet waits in the network: send it to the host, or ask for the power that it takes.

        Args:
            next_door: the host's `serve`, where it is a call away: it takes what we send at once, and the
                buffers are used again and again.

        Returns:
            How many packets were read. As many as ``budget``: there may be more.
        """
        if not self._power.is_up:
            self._power.wish(now)
            return 0
        if self._downlink.pending_count:
            self._send_pending(now)  # it goes before
        downlink, total, has_sent = self._downlink, 0, False
        while True:
            read, sent = downlink.fill_from(
                self._network, self._uplink.host_open, budget - total, rings=next_door is None
            )
            total += read
            has_sent |= sent > 0
            if not sent or next_door is None:
                break
            next_door(Pipe.RX, now)
            if not downlink.ran_out or total >= budget:
                break
        if has_sent:
            self._power.sent(now)
            self._look_again_at = None
            self._watch(now)
        return total

    @property
    def deadline(self) -> Instant | None:
        return earliest(self._power.deadline, self._look_again_at)

    def handle_timeout(self, now: Instant) -> None:
        self._power.handle_timeout(now)
        if self._look_again_at is not None and now >= self._look_again_at:
            self._look_again(now)

    def _look_again(self, now: Instant) -> None:
        """There was no buffer for long: perhaps a doorbell was lost, theirs or ours."""
        self._look_again_at = None
        if self._power.is_up:
            self._take_frames()
            if not self._send_pending(now) and not self._downlink.has_buffer():
                self._outbox.append(RingDoorbell(Pipe.RX))

    @property
    def has_actions(self) -> bool:
        """Whether `take_actions` is worth calling."""
        return bool(self._outbox)

    def take_actions(self) -> list[Action]:
        actions = self._outbox[:]
        self._outbox.clear()  # the parts share this list
        return actions

    def status(self, now: Instant) -> dict[str, object]:
        """Everything worth knowing, for JSON."""
        power, uplink, downlink = self._power, self._uplink, self._downlink
        return {
            "profile": self.profile.name,
            "booted": power.is_booted,
            "power": {
                "state": power.state.value,
                "host_votes": power.vote.is_on,
                "vote_edge_count": power.vote.edge_count,
                "vote_acks_sent": power.vote.ack_count,
                "host_acks_seen": power.host_ack_count,
                "ack_timeouts": power.ack_timeout_count,
                "rises": power.rise_count,
                "time_up_ns": power.time_up(now),
            },
            "channels": [self._channel_status(channel) for channel in range(CHANNEL_COUNT)],
            "frames_received": uplink.frame_count,
            "frames_sent": downlink.frame_count,
            "frames_pending": downlink.pending_count,
            "uplink_strays": uplink.strays.as_dict(),
            "downlink_strays": downlink.strays.as_dict(),
            "bad_descriptors": {"tx": self._tx.bad_descriptor_count, "rx": self._rx.bad_descriptor_count},
            "bad_tails": {"tx": self._tx.bad_tail_count, "rx": self._rx.bad_tail_count},
        }

    def _channel_status(self, channel: int) -> dict[str, object]:
        status: dict[str, object] = {"channel": channel, "host_open": self._uplink.host_open[channel]}
        bearer = self.packet_data_network.bearers[channel]
        if bearer is None:
            return {**status, "bearer": None}
        return {
            **status,
            "bearer": {
                "is_up": bearer.is_up,
                "versions": bearer.versions,
                "mtu": bearer.mtu,
                "address4": f"{bearer.address4}/{bearer.prefix4_length}",
                "gateway4": str(bearer.gateway4),
                "prefix6": str(bearer.prefix6),
                "gateway6": str(bearer.gateway6),
            },
            "uplink": bearer.uplink.as_dict(),
            "downlink": bearer.downlink.as_dict(),
        }

    def _come_up(self, now: Instant) -> None:
        """The host has acked our power, and so has queued its buffers."""
        self._queue_owed()
        self._take_frames()
        self._send_pending(now)

    def _take_frames(self, *, is_awaited: bool = False) -> None:
        for bearer, solicitor in self._uplink.drain_to(self._network, rings=not is_awaited):
            self._downlink.queue_packet(bearer, router_advertisement(bearer, solicitor))
        if not self._uplink.has_opened:
            return
        opened = self._uplink.take_opened()
        if self.profile.announce is Announce.WHEN_OPENED:
            self._owe(*(channel for channel in opened if channel in self.profile.channels))

    def _owe(self, *channels: int, command: Command = Command.OPEN) -> None:
        """Have something to tell the host of these channels, in place of what it was to be told of them."""
        kept = [(channel, owed) for channel, owed in self._owed if channel not in channels]
        self._owed = kept + [(channel, command) for channel in channels]

    def _queue_owed(self) -> None:
        """Put what the host is to be told behind what waits already, as far as there is space."""
        while self._owed and self._downlink.has_space:
            channel, command = self._owed.pop(0)
            self._downlink.queue_command(command, channel)

    def _send_pending(self, now: Instant) -> int:
        """Send what waits, as far as there are buffers; how many frames that were."""
        self._queue_owed()
        sent = self._downlink.flush(self._uplink.host_open)
        if sent:
            self._power.sent(now)
            self._look_again_at = None
        self._hold(now)
        return sent

    def _hold(self, now: Instant) -> None:
        """Keep the power for what has yet to be sent."""
        self._power.hold(bool(self._owed) or self._downlink.pending_count > 0, now)
        self._watch(now)

    def _watch(self, now: Instant) -> None:
        """Without buffers we wait for the host, and look again after a while."""
        if not self._power.is_up or self._downlink.has_buffer():
            self._look_again_at = None
        elif self._look_again_at is None:
            self._look_again_at = now + LOOK_AGAIN
