"""Control ports, where clients expect them: nodes in /dev, what sysfs says, and libqmi's proxy socket.

    client | /dev/wwan0qmi0, /dev/wwan0at0 (PTYs) | node ---------.
                                                                   board --- control plane
    client | abstract socket @qmi-proxy | proxy, its connections --'

It carries bytes. What they mean is known to the control plane (`bamdmux.modem.control`), and nowhere here but
in `proxy`: the message with which a client of libqmi's proxy names its device is that proxy's, not the
modem's.
"""
