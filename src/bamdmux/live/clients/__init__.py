"""Programs that manage modems, run beside the command of `bamdmux run`: a private D-Bus and what lives on it.

    managers.py        which there are, and what to run so that one is there
    keeper.py          the process that starts all of this inside the command's namespaces, and tends it
    bus.py             the D-Bus daemon
    authority.py       the object that says yes where polkit would ask
    devices.py         what sysfs shows of the modem, and that it has changed: what udev would tell
    programs.py        what may not be installed
    modem_manager.py   ModemManager: how it is started, and what it is told
    ofono.py           oFono: likewise, and how it is started again
    connect.py         `bamdmux connect`: a data call by D-Bus, then the interface by netlink
    *_calls.py         the data call: how each of them is asked for it

They run with the command and end with it: the PID namespace is killed as a whole.
"""
