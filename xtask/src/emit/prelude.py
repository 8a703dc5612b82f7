class Malformed(ValueError):
    """The bytes are no value; says which rule they break, by the name that the reference has for it."""


def _bytes(data, at, end, size):
    if size < 0 or at + size > end:
        raise Malformed("Truncated")
    return data[at:at + size], at + size


def _integer(data, at, end, size, order):
    taken, at = _bytes(data, at, end, size)
    return int.from_bytes(taken, order), at


def _counted(data, at, end, prefix, least, most, order):
    count, at = _integer(data, at, end, prefix, order)
    if not least <= count <= most:
        raise Malformed("TooMany")
    return count, at


def _check(holds, error):
    if not holds:
        raise Malformed(error)


def _exactly(value, size):
    if len(value) != size:
        raise ValueError(f"{len(value)} bytes where {size} belong")
    return bytes(value)


def _within(value, least, most):
    if not least <= len(value) <= most:
        raise ValueError(f"{len(value)} where {least} to {most} may be")
    return value


def _spelled(data, runs):
    """An ASCII text: of each run (first, last, fewest, most) as many characters as there are."""
    at = 0
    for first, last, fewest, most in runs:
        count = 0
        while count < most and at < len(data) and first <= data[at] <= last:
            at, count = at + 1, count + 1
        _check(count >= fewest, "Field")
    _check(at == len(data), "Field")


def _unicode(data, fewest, most, forbidden, exceptions):
    """A UTF-8 text without some code points, and none of the exceptions."""
    _check(fewest <= len(data) <= most, "FileName")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Malformed("FileName") from None
    _check(not any(first <= ord(letter) <= last for letter in text for first, last in forbidden), "FileName")
    _check(text not in exceptions, "FileName")


def decode(name, data, order="little", **parameters):
    """The value of a type that takes all of `data`: a number, bytes, a list, or a dict of fields."""
    value, at = READERS[name](data, 0, len(data), order, **parameters)
    _check(at == len(data), "Trailing")
    return value


def encode(name, value, order="little"):
    """The bytes of a value. Fields that follow from others are made, and need not be there."""
    return WRITERS[name](value, order)


def decode_format(name, data):
    """An envelope, or something in it, that takes all of `data`."""
    of, arguments, checks = FORMATS[name]
    parameters = {}
    for parameter, less, one_of, multiple_of, least, most in arguments:
        size = len(data) - less
        fits = least <= size <= most and size % multiple_of == 0 and (not one_of or size in one_of)
        _check(fits, "LadderSize" if one_of else "Truncated")
        parameters[parameter] = size
    value = decode(of, data, **parameters)
    checks(value)
    return value


def encode_request(operation, client_id, tag, payload):
    """A whole request of version 3."""
    row = MODERN["operations"][operation]["request"]
    data = encode(row["type"], payload)
    header = {"client_id": client_id, "version": MODERN["version"], "code": row["code"], "size": len(data), "tag": tag}
    return encode(MODERN["request_header"], header) + data


def decode_response(operation, data):
    """The tag and payload of a whole response of version 3; a refusal is an exception."""
    size = SIZES[MODERN["response_header"]][0]
    header = decode(MODERN["response_header"], data[:size])
    _check(header["version"] == MODERN["version"], "FieldValue")
    _check(header["size"] == len(data) - size, "PayloadTooLarge")
    if header["code"] == MODERN["refusal"]["code"]:
        raise Refused(header["tag"], decode(MODERN["refusal"]["type"], data[size:]))
    row = MODERN["operations"][operation]["response"]
    _check(header["code"] == row["code"], "UnknownCode")
    _check(header["size"] <= row["max"], "PayloadTooLarge")
    return header["tag"], decode(row["type"], data[size:])


class Refused(Exception):
    """The server does not do what it was asked: the tag, and what it says of it."""


