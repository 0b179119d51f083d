"""Coverage-guided fuzzing of everything that reads what somebody else wrote.

    host_receive   a hostile modem: lines, descriptors, positions, frames      -> HostDriver
    modem_uplink   a hostile host: lines, tails, descriptors, frames           -> Modem
    pipes          both ends of a pipe, resets at any moment, scribbled memory -> PipeOwner, PipePeer
    handover       messages and descriptors on the socket of split mode        -> live/split
    codecs         bytes                                                       -> wire
    qmux           bytes of a QMI control port                                 -> wire/qmux, wire/qmi
    control        lines on the control socket                                 -> live/control

A target is a function of bytes that returns, or raises because something that must always be true is not. It
needs nothing but bamdmux, so tests replay its corpus (tests/data/fuzz) without a fuzzer. Under atheris it is
run by `python -m fuzz`; docs/fuzzing.md says how.
"""
