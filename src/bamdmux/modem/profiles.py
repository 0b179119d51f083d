"""The firmwares that can be played: a profile is data, one TOML file each.

A profile says what differs from firmware to firmware: which channels it announces, how fast it reacts, what
it says of itself, which ways of binding a client to a channel it knows. Its ``report`` names the public
report that it stands for. The file's name is the profile's name, and every key of it is required: a typing
error in a profile should be found when it is loaded, not as a link that is odd.
"""

import tomllib
from dataclasses import dataclass, replace
from enum import Enum, unique
from importlib import resources
from typing import Any, Final

from bamdmux.errors import UsageError
from bamdmux.timing import MILLISECOND, Duration
from bamdmux.wire.dmux import CHANNEL_COUNT, MAX_PACKET_BYTES
from bamdmux.wire.qmi.values import QmiError

DEFAULT_PROFILE: Final = "msm8916"
MAX_DELAY_MS: Final = (
    10_000  # the host gives up after 2 s; a profile of a modem that is far too slow is legal
)

_KEYS: Final = (
    *("description", "report", "channels", "announce", "mtu", "dual_stack"),
    *("timing", "identity", "qmi"),
)
_TIMING_KEYS: Final = ("ack_delay", "rise_delay", "collapse_delay", "inactivity", "registration")
_IDENTITY_KEYS: Final = ("manufacturer", "model", "revision", "hardware_revision", "imei")
_QMI_KEYS: Final = ("bind_data_port", "bind_mux_data_port", "data_format_without_endpoint")

_QMI_ERRORS: Final = frozenset(QmiError)

MIN_MTU: Final = 68  # RFC 791: what every IPv4 host takes; the least that a TUN accepts


@unique
class Announce(Enum):
    """When a modem sends OPEN for a channel; the value is what stands in the file."""

    AT_BOOT = "at boot"  # for all of them, as soon as it has power
    WHEN_OPENED = "when opened"  # as its answer to the host's own OPEN
    AFTER_OPEN_PORT = "after open port"  # once a client has opened the channel's port, by DPM


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a modem says of itself; ``imei`` are 15 digits, the last one the check digit."""

    manufacturer: str
    model: str
    revision: str
    hardware_revision: str
    imei: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one firmware is like.

    Args:
        report: the public report that this profile stands for.
        channels: what it announces, in this order; see `announce`.
        ack_delay_ns: from a change of the host's vote to our ack.
        rise_delay_ns: from that ack, or from our own wish, until MODEM_POWER rises.
        collapse_delay_ns: from the end of the last reason to stay up until MODEM_POWER falls.
        inactivity_ns: how long after its last downlink frame the modem itself wants power.
        registration_ns: from the moment when nothing stands in its way until it is registered.
        announce: when it announces them.
        mtu: the longest packet that its bearers take, in bytes.
        dual_stack: whether the network lets a channel have both versions of IP.
        bind_data_port: the QMI error that WDS Bind Data Port is answered with; 0 where it works.
        bind_mux_data_port: likewise for WDS Bind Mux Data Port.
        data_format_without_endpoint: likewise for WDA requests that name no endpoint.
    """

    name: str
    description: str
    report: str
    channels: tuple[int, ...]
    ack_delay_ns: Duration
    rise_delay_ns: Duration
    collapse_delay_ns: Duration
    inactivity_ns: Duration
    registration_ns: Duration
    announce: Announce
    mtu: int
    dual_stack: bool
    identity: Identity
    bind_data_port: int
    bind_mux_data_port: int
    data_format_without_endpoint: int


def profile_names() -> list[str]:
    """The profiles that there are, in alphabetical order."""
    files = resources.files("bamdmux.modem").joinpath("profiles").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_profile(name: str = DEFAULT_PROFILE) -> Profile:
    """Read a profile by its name.

    Raises:
        UsageError: there is none of this name, or its file is wrong.
    """
    return parse_profile(name, profile_text(name))


def profile_text(name: str) -> str:
    """The file of a profile, as it is; raises UsageError if there is none of this name."""
    names = profile_names()
    if name not in names:
        raise UsageError(f"profile {name!r} is unknown; there is {', '.join(names)}")
    file = resources.files("bamdmux.modem").joinpath("profiles", f"{name}.toml")
    return file.read_text(encoding="utf-8")


def parse_profile(name: str, text: str) -> Profile:
    """Read a profile from the text of its file.

    Raises:
        UsageError: the text is not TOML, or not a profile; the message names file, key and bound.
    """
    try:
        table = tomllib.loads(text)
        _check_keys(table, "", _KEYS)
        timing = _typed(table, "timing", dict, "a table")
        _check_keys(timing, "timing.", _TIMING_KEYS)
        qmi = _typed(table, "qmi", dict, "a table")
        _check_keys(qmi, "qmi.", _QMI_KEYS)
        return Profile(
            name=name,
            description=_typed(table, "description", str, "a text"),
            report=_typed(table, "report", str, "a text"),
            channels=_channels(table["channels"]),
            ack_delay_ns=_delay(timing, "ack_delay"),
            rise_delay_ns=_delay(timing, "rise_delay"),
            collapse_delay_ns=_delay(timing, "collapse_delay"),
            inactivity_ns=_delay(timing, "inactivity"),
            registration_ns=_delay(timing, "registration"),
            announce=_announce(table["announce"]),
            mtu=_mtu(table["mtu"]),
            dual_stack=_typed(table, "dual_stack", bool, "true or false"),
            identity=_identity(table),
            bind_data_port=_qmi_error(qmi, "bind_data_port"),
            bind_mux_data_port=_qmi_error(qmi, "bind_mux_data_port"),
            data_format_without_endpoint=_qmi_error(qmi, "data_format_without_endpoint"),
        )
    except (tomllib.TOMLDecodeError, UsageError) as error:
        raise UsageError(f"{name}.toml: {error}") from error


def with_channels(profile: Profile, count: int) -> Profile:
    """The same firmware with only the first ``count`` of its channels.

    Raises:
        UsageError: it has fewer, or ``count`` is not even one.
    """
    if not 1 <= count <= len(profile.channels):
        raise UsageError(f"channel count {count} is not within 1 to {len(profile.channels)}")
    return replace(profile, channels=profile.channels[:count])


def with_mtu(profile: Profile, mtu: int) -> Profile:
    """The same firmware in a network with another MTU.

    Raises:
        UsageError: nobody has such an MTU.
    """
    return replace(profile, mtu=_mtu(mtu))


def with_registration(profile: Profile, milliseconds: float) -> Profile:
    """The same firmware where registering takes another time.

    Raises:
        UsageError: it takes no such time.
    """
    return replace(profile, registration_ns=_delay({"registration": milliseconds}, "registration"))


def _check_keys(table: dict[str, Any], prefix: str, expected: tuple[str, ...]) -> None:
    for key in table:
        if key not in expected:
            raise UsageError(f"{prefix}{key} is no key; there is {', '.join(expected)}")
    for key in expected:
        if key not in table:
            raise UsageError(f"{prefix}{key} is missing")


def _typed(table: dict[str, Any], key: str, kind: type, kind_name: str) -> Any:
    if not isinstance(table[key], kind):
        raise UsageError(f"{key} {table[key]!r} is not {kind_name}")
    return table[key]


def _channels(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not value:
        raise UsageError(f"channels {value!r} is not a list of channels")
    for index, channel in enumerate(value):
        if type(channel) is not int or not 0 <= channel < CHANNEL_COUNT:  # true and false are ints in Python
            raise UsageError(f"channels: {channel!r} is not within 0 to {CHANNEL_COUNT - 1}")
        if channel in value[:index]:
            raise UsageError(f"channels: {channel} is there twice")
    return tuple(value)


def _announce(value: object) -> Announce:
    for announce in Announce:
        if value == announce.value:
            return announce
    raise UsageError(f"announce {value!r} is not one of {', '.join(each.value for each in Announce)}")


def _mtu(value: object) -> int:
    if type(value) is not int or not MIN_MTU <= value <= MAX_PACKET_BYTES:
        raise UsageError(f"mtu {value!r} is not within {MIN_MTU} to {MAX_PACKET_BYTES}")
    return value


def _identity(table: dict[str, Any]) -> Identity:
    identity = _typed(table, "identity", dict, "a table")
    _check_keys(identity, "identity.", _IDENTITY_KEYS)
    for key in _IDENTITY_KEYS:
        _typed(identity, key, str, "a text")
    imei = identity["imei"]
    if len(imei) != 15 or not imei.isascii() or not imei.isdigit() or check_digit(imei[:14]) != imei[14]:
        raise UsageError(f"identity.imei {imei!r} is not 14 digits and their check digit")
    return Identity(**identity)


def check_digit(digits: str) -> str:
    """The digit that follows these in an IMEI or ICCID: Luhn's, 3GPP TS 23.003 annex B."""
    doubled = [int(digit) * (2 if index % 2 == 0 else 1) for index, digit in enumerate(reversed(digits))]
    return str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def _qmi_error(qmi: dict[str, Any], key: str) -> int:
    value = qmi[key]
    if type(value) is not int or value not in _QMI_ERRORS:
        raise UsageError(f"qmi.{key} {value!r} is not a QMI error number, or 0 for none")
    return value


def _delay(timing: dict[str, Any], key: str) -> Duration:
    value = timing[key]
    # The comparison also refuses nan, which TOML knows.
    if type(value) not in (int, float) or not 0 <= value <= MAX_DELAY_MS:
        raise UsageError(f"timing.{key} {value!r} is not within 0 to {MAX_DELAY_MS}")
    nanoseconds: Duration = round(value * MILLISECOND)
    return nanoseconds
