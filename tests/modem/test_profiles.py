import pytest

from bamdmux.errors import UsageError
from bamdmux.modem.profiles import (
    Announce,
    Identity,
    Profile,
    check_digit,
    load_profile,
    parse_profile,
    profile_names,
    profile_text,
    with_channels,
    with_mtu,
    with_registration,
)
from bamdmux.timing import MILLISECOND

TEXT = """
description = "a modem"
report = "somebody said so"
channels = [0, 2]
announce = "when opened"
mtu = 1428
dual_stack = false
[timing]
ack_delay = 0.5
rise_delay = 1
collapse_delay = 2.5
inactivity = 100
registration = 300
[identity]
manufacturer = "Somebody"
model = "Something"
revision = "1.2"
hardware_revision = "A"
imei = "867549030123457"
[qmi]
bind_data_port = 25
bind_mux_data_port = 0
data_format_without_endpoint = 48
"""


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_profile("odd", text)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_msm8916_has_eight_channels_and_the_pace_of_the_traces() -> None:
    profile = load_profile("msm8916")
    assert profile.channels == (0, 1, 2, 3, 4, 5, 6, 7)
    assert profile.ack_delay_ns == 500_000
    assert profile.rise_delay_ns == 1_500_000
    assert profile.collapse_delay_ns == 2_500_000
    assert profile.inactivity_ns == 100_000_000


def test_msm8916_is_the_default() -> None:
    assert load_profile() == load_profile("msm8916")


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_loads_and_names_its_report(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.report


# What each is there for: the keys in which it differs from msm8916, names apart.
DIFFERENCES = {
    "msm8916": {},
    "msm8974": {},
    "msm8909": {"bind_data_port": 25, "bind_mux_data_port": 0},
    "msm8937": {"channels": (0,), "bind_mux_data_port": 0},
    "mdm9607": {"channels": (0,), "announce": Announce.WHEN_OPENED, "bind_mux_data_port": 0},
    "shikra": {
        "channels": (0,),
        "announce": Announce.AFTER_OPEN_PORT,
        "bind_data_port": 25,
        "bind_mux_data_port": 0,
        "data_format_without_endpoint": 48,
    },
    "dual-stack-refuser": {"dual_stack": False},
    "small-mtu": {"mtu": 1428},
}
IN_WORDS = ("name", "description", "report", "identity")


def test_there_is_a_profile_for_each_report_and_no_other() -> None:
    assert profile_names() == sorted(DIFFERENCES)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_profile_differs_from_msm8916_where_its_report_does(name: str) -> None:
    usual, profile = load_profile(), load_profile(name)
    keys = [key for key in Profile.__slots__ if key not in IN_WORDS]
    differences = {key: getattr(profile, key) for key in keys if getattr(profile, key) != getattr(usual, key)}
    assert differences == DIFFERENCES[name]


def test_the_file_of_a_profile_can_be_had_as_it_is() -> None:
    assert parse_profile("shikra", profile_text("shikra")) == load_profile("shikra")


def test_an_unknown_profile_is_refused_in_one_line_that_names_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"^profile 'msm9999' is unknown; there is .*msm8916"):
        load_profile("msm9999")


def test_a_path_is_no_profile_name() -> None:
    with pytest.raises(UsageError, match="is unknown"):
        load_profile("../profiles/msm8916")


def test_milliseconds_become_nanoseconds() -> None:
    assert parse_profile("small", TEXT) == Profile(
        name="small",
        description="a modem",
        report="somebody said so",
        channels=(0, 2),
        ack_delay_ns=500_000,
        rise_delay_ns=1_000_000,
        collapse_delay_ns=2_500_000,
        inactivity_ns=100_000_000,
        registration_ns=300_000_000,
        announce=Announce.WHEN_OPENED,
        mtu=1428,
        dual_stack=False,
        identity=Identity(
            manufacturer="Somebody",
            model="Something",
            revision="1.2",
            hardware_revision="A",
            imei="867549030123457",
        ),
        bind_data_port=25,
        bind_mux_data_port=0,
        data_format_without_endpoint=48,
    )


def test_what_is_not_toml_is_refused() -> None:
    assert refused("channels = [").startswith("odd.toml: ")


def test_an_unknown_key_is_refused() -> None:
    assert refused("channel = [0]\n" + TEXT) == (
        "odd.toml: channel is no key; there is description, report, channels, announce, mtu, dual_stack, "
        "timing, identity, qmi"
    )


def test_an_unknown_timing_key_is_refused() -> None:
    assert "timing.ack_time is no key; there is ack_delay" in refused(
        TEXT.replace("[timing]", "[timing]\nack_time = 1")
    )


def test_a_missing_key_is_refused() -> None:
    assert refused(TEXT.replace("report", "# report")) == "odd.toml: report is missing"


def test_a_missing_timing_key_is_refused() -> None:
    assert refused(TEXT.replace("inactivity", "# ")) == "odd.toml: timing.inactivity is missing"


def test_a_text_that_is_a_number_is_refused() -> None:
    assert refused(TEXT.replace('"a modem"', "8916")) == "odd.toml: description 8916 is not a text"


def test_a_timing_that_is_no_table_is_refused() -> None:
    text = "timing = 3\n" + TEXT[: TEXT.index("[timing]")] + TEXT[TEXT.index("[identity]") :]
    assert refused(text) == "odd.toml: timing 3 is not a table"


@pytest.mark.parametrize(
    ("channels", "complaint"),
    [
        ("0", "channels 0 is not a list of channels"),
        ("[]", "channels [] is not a list of channels"),
        ("[8]", "channels: 8 is not within 0 to 7"),
        ("[-1]", "channels: -1 is not within 0 to 7"),
        ("[true]", "channels: True is not within 0 to 7"),
        ("[1, 0, 1]", "channels: 1 is there twice"),
    ],
)
def test_channels_that_are_none_are_refused(channels: str, complaint: str) -> None:
    assert refused(TEXT.replace("[0, 2]", channels)) == f"odd.toml: {complaint}"


@pytest.mark.parametrize("delay", ["-1", "10001", "nan", "inf", "true", '"1"'])
def test_delays_out_of_bounds_are_refused(delay: str) -> None:
    message = refused(TEXT.replace("rise_delay = 1", f"rise_delay = {delay}"))
    assert message.startswith("odd.toml: timing.rise_delay ")
    assert message.endswith("is not within 0 to 10000")


def test_a_profile_can_be_cut_to_its_first_channels() -> None:
    assert with_channels(load_profile("msm8916"), 3).channels == (0, 1, 2)


@pytest.mark.parametrize("count", [0, 9])
def test_it_cannot_be_cut_to_more_channels_than_there_are_or_none(count: int) -> None:
    with pytest.raises(UsageError, match=f"^channel count {count} is not within 1 to 8$"):
        with_channels(load_profile("msm8916"), count)


@pytest.mark.parametrize("mtu", ["67", "2041", "true", "1500.0"])
def test_an_mtu_that_nobody_has_is_refused(mtu: str) -> None:
    message = refused(TEXT.replace("mtu = 1428", f"mtu = {mtu}"))
    assert message.endswith("is not within 68 to 2040")


def test_a_profile_can_have_the_mtu_of_another_network() -> None:
    assert with_mtu(load_profile(), 2040).mtu == 2040
    with pytest.raises(UsageError, match=r"^mtu 9000 is not within 68 to 2040$"):
        with_mtu(load_profile(), 9000)


def test_a_profile_can_have_a_network_that_takes_its_time() -> None:
    assert with_registration(load_profile(), 1500.0).registration_ns == 1500 * MILLISECOND
    with pytest.raises(UsageError, match=r"timing.registration 10001.0 is not within 0 to 10000"):
        with_registration(load_profile(), 10001.0)


@pytest.mark.parametrize("announce", ['"never"', "true", '"At boot"'])
def test_a_way_of_announcing_that_is_none_is_refused(announce: str) -> None:
    message = refused(TEXT.replace('"when opened"', announce))
    assert message.endswith("is not one of at boot, when opened, after open port")


@pytest.mark.parametrize("value", ["1", '"yes"'])
def test_what_is_neither_true_nor_false_is_refused(value: str) -> None:
    message = refused(TEXT.replace("dual_stack = false", f"dual_stack = {value}"))
    assert message.endswith("is not true or false")


@pytest.mark.parametrize("imei", ["86754903012345", "867549030123458", "86754903012345x", "٨67549030123457"])
def test_an_imei_that_nobody_has_is_refused(imei: str) -> None:
    message = refused(TEXT.replace("867549030123457", imei))
    assert message.endswith("is not 14 digits and their check digit")


@pytest.mark.parametrize("error", ["-1", "9999", "65536", "false", '"refused"'])
def test_what_is_no_qmi_error_is_refused(error: str) -> None:
    message = refused(TEXT.replace("bind_data_port = 25", f"bind_data_port = {error}"))
    assert message.endswith("is not a QMI error number, or 0 for none")


def test_the_check_digit_is_that_of_the_standard() -> None:
    assert (
        check_digit("49015420323751") == "8"
    )  # 3GPP TS 23.003 annex B has no example; this one is well known
