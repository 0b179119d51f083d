import pytest

from bamdmux.middleware.control_faults import parse_selector
from bamdmux.modem.control.qmi import HANDLERS
from bamdmux.wire.qmux import Service
from tests.live.clients.connect_messages import Phase, connect_messages


@pytest.mark.parametrize("name", sorted({each.name for each in connect_messages()}))
def test_each_message_can_be_selected(name: str) -> None:
    assert parse_selector(name).name == name


def test_what_is_not_refused_is_served() -> None:
    served = {f"{service.name.lower()}.{name}" for service, names in HANDLERS.items() for name in names}
    asked = {each.name for each in connect_messages() if not each.is_refused and not each.is_of_at}
    assert asked <= served | {"ctl.internal_proxy_open"}  # that one is the proxy's
    assert {name.partition(".")[0] for name in asked} == {
        each.name.lower() for each in Service if each is not Service.DPM
    }


def test_a_call_is_between_a_bound_port_and_its_settings() -> None:
    names = [each.name for each in connect_messages(Phase.CONNECT)]
    assert names.index("wds.bind_data_port") < names.index("wds.start_network")
    assert names.index("wds.start_network") < names.index("wds.get_current_settings")
    assert [each.name for each in connect_messages(Phase.DISCONNECT)][-1] == "wds.stop_network"
