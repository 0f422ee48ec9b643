"""What schemathesis must not send: bytes that are no HTTP request at all.

It puts control characters into headers now and then, which is answered by a bare 400 (clause REQ-7
of docs/protocol.md) and ends the connection. A letter outside of ASCII takes their place, so that a
value that breaks a rule still breaks it.
"""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    for name, value in list((case.headers or {}).items()):
        if isinstance(value, str):
            case.headers[name] = "".join(
                "\u00e9" if character < " " or character == "\x7f" else character for character in value
            )
