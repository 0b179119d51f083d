"""A PTY as a control port: bytes as they are, from the master's end alone.

On the master, tcsetattr() and TCSAFLUSH act on the clients' end (tty_mode_ioctl() in
drivers/tty/tty_ioctl.c), and TCOFLUSH drops what is on its way there: so what clients leave behind can be
mended without opening their end, which would be seen as one more client.
"""

import fcntl
import select
import struct
import termios
from typing import Final

# include/uapi/asm-generic/ioctls.h
_TIOCGPTN: Final = 0x80045430
_TIOCSPTLCK: Final = 0x40045431
_CONTROL_COUNT: Final = 32  # NCCS of libc


def unlock(master: int) -> int:
    """Let the other end of a new PTY be opened; its number in its devpts."""
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    number: int = struct.unpack("i", fcntl.ioctl(master, _TIOCGPTN, bytes(4)))[0]
    return number


def make_raw(master: int, when: int = termios.TCSANOW) -> None:
    """Let the clients' end echo nothing, change nothing, and make signals of nothing."""
    controls: list[bytes | int] = [b"\0"] * _CONTROL_COUNT
    controls[termios.VMIN] = 1
    modes = termios.CS8 | termios.CREAD | termios.CLOCAL
    speed = termios.B115200
    attributes: list[int | list[bytes | int]] = [0, 0, modes, 0, speed, speed, controls]
    termios.tcsetattr(master, when, attributes)


def forget_unread(master: int) -> None:
    """Drop what the last client did not read, and undo what it did to the terminal's settings."""
    termios.tcflush(master, termios.TCOFLUSH)
    make_raw(master, termios.TCSAFLUSH)


def is_open(master: int) -> bool:
    """Whether a client has the other end open."""
    poll = select.poll()
    poll.register(master, 0)
    return not poll.poll(0)
