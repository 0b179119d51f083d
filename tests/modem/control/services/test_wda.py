import pytest

from bamdmux.wire.qmi.values import AggregationProtocol, EndpointType, LinkLayerProtocol, QmiError
from bamdmux.wire.qmux import Service
from tests.modem.control.call_rig import Rig

RAW_IP = {
    "qos_format": 0,
    "link_layer_protocol": LinkLayerProtocol.RAW_IP,
    "uplink_data_aggregation_protocol": AggregationProtocol.DISABLED,
    "downlink_data_aggregation_protocol": AggregationProtocol.DISABLED,
}
ENDPOINT = {"endpoint_type": EndpointType.BAM_DMUX, "interface_number": 0}


def test_packets_are_raw_ip_one_a_frame() -> None:
    assert Rig().client(Service.WDA).ask("get_data_format").values == RAW_IP


@pytest.mark.parametrize(
    "wish",
    [
        {"link_layer_protocol": LinkLayerProtocol.ETHERNET},
        {
            "uplink_data_aggregation_protocol": AggregationProtocol.QMAP,
            "downlink_data_aggregation_protocol": AggregationProtocol.QMAP,
            "downlink_data_aggregation_max_size": 4096,
        },
        {"qos_format": 1},
    ],
)
def test_whatever_is_asked_for_it_stays_what_the_link_does(wish: dict[str, int]) -> None:
    rig = Rig()
    client = rig.client(Service.WDA)
    assert client.ask("set_data_format", **wish).values == RAW_IP
    assert client.ask("get_data_format").values == RAW_IP
    rig.client().start()
    assert rig.passing([0]) == {(0, 4)}  # the rig's frames hold raw IP


@pytest.mark.parametrize("name", ["get_data_format", "set_data_format"])
def test_shikra_wants_to_be_told_the_endpoint(name: str) -> None:
    client = Rig("shikra").client(Service.WDA)
    assert client.ask(name).error == QmiError.INVALID_ARGUMENT
    assert client.ask(name, endpoint_info=ENDPOINT).values == RAW_IP


@pytest.mark.parametrize("profile", ["msm8916", "shikra"])
@pytest.mark.parametrize("change", [{"endpoint_type": EndpointType.EMBEDDED}, {"interface_number": 8}])
def test_an_endpoint_that_is_no_channel_is_refused(profile: str, change: dict[str, int]) -> None:
    answer = Rig(profile).client(Service.WDA).ask("get_data_format", endpoint_info={**ENDPOINT, **change})
    assert answer.error == QmiError.INVALID_ARGUMENT
