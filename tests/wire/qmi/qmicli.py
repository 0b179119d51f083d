"""Debian's qmicli on one end of a PTY, this codec on the other: what it sends, and what it makes of answers.

    python -m tests.wire.qmi.qmicli --dms-get-manufacturer        # prints what qmicli sends, as lines of hex

There is no modem here: a request that has no answer in the table is answered INVALID_QMI_COMMAND.
"""

import os
import select
import shutil
import subprocess
import sys
import tty
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bamdmux.wire.qmi.messages import encode_error, find_request
from bamdmux.wire.qmi.values import QmiError
from bamdmux.wire.qmux import Message, Reframer, Service, Tlv, decode_message, encode_message

QMICLI = shutil.which("qmicli")
TIMEOUT_SECONDS = 20.0
CLIENT = 7


class Failure(NamedTuple):
    """An answer that is an error, and what stands beside it."""

    error: QmiError
    values: Mapping[str, Any]


Answers = Mapping[tuple[Service, str], Mapping[str, Any] | Failure | list[Tlv]]


@dataclass
class Conversation:
    """What qmicli printed, and the frames that it sent."""

    output: str = ""
    frames: list[bytes] = field(default_factory=list)
    exit_code: int = -1


def run_qmicli(*arguments: str, answers: Answers) -> Conversation:
    """Run qmicli with answers to what it requests: values, or TLVs that only stand behind the result."""
    assert QMICLI is not None
    conversation = Conversation()
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    try:
        process = subprocess.Popen(
            [QMICLI, "-d", os.ttyname(theirs), "--device-open-qmi", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
        assert process.stdout is not None
        reframer = Reframer()
        output = process.stdout.fileno()
        while True:
            readable, _, _ = select.select([ours, output], [], [], TIMEOUT_SECONDS)
            if not readable:
                process.kill()
                break
            if ours in readable:
                for frame in reframer.feed(os.read(ours, 4096)):
                    conversation.frames.append(frame)
                    os.write(ours, encode_message(answer_to(decode_message(frame), answers)))
            if output in readable:
                text = os.read(output, 4096)
                if not text:
                    break
                conversation.output += text.decode()
        conversation.exit_code = process.wait()
        process.stdout.close()
    finally:
        os.close(ours)
        os.close(theirs)
    return conversation


def qmicli_version() -> str:
    """What qmicli says of itself; nothing if it is not installed."""
    if QMICLI is None:
        return ""
    return subprocess.run([QMICLI, "--version"], capture_output=True, text=True, check=False).stdout


def answer_to(request: Message, answers: Answers) -> Message:
    definition = find_request(request.service, request.message_id)
    if definition is None:
        return request.answer(encode_error(QmiError.INVALID_QMI_COMMAND))
    values = definition.decode_request(request.tlvs)
    answer = answers.get((definition.service, definition.name))
    match definition.name, answer:
        case "allocate_cid", None:
            allocated = {"service": values["service"], "cid": CLIENT}
            return request.answer(definition.encode_response({"allocation_info": allocated}))
        case "release_cid", None:
            return request.answer(definition.encode_response({"release_info": values["release_info"]}))
        case _, None:
            return request.answer(encode_error(QmiError.INVALID_QMI_COMMAND))
        case _, Failure(error, failed):
            return request.answer(definition.encode_response(failed, error))
        case _, list(tlvs):
            return request.answer((*encode_error(QmiError.NONE), *tlvs))
        case _, dict(response):
            return request.answer(definition.encode_response(response))
    raise AssertionError(f"{answer!r} is no answer")


if __name__ == "__main__":
    conversation = run_qmicli(*sys.argv[1:], answers={})
    for frame in conversation.frames:
        print(frame.hex(" "))
    print(conversation.output, file=sys.stderr)
