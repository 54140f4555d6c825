"""Bodies of spans read by what docs/format.md says, with nothing of nbmf: slowly, one number at a time."""

import base64
import struct
import zlib

import zstandard

LINE_ENDS = [b"\n", b"\r\n", b"\\n", b"\\r\\n"]


WIDTHS = [1, 4, 8, 4]  # of the sections' items


def _section_of(kind):
    """None if in place."""
    if kind < 16 and kind & 8:
        return None
    return 0 if kind < 20 else [1, 1, 2, 3][kind - 20]


def varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def blocks(body, size, dictionary=None):
    frame = b"\x28\xb5\x2f\xfd\xe0" + size.to_bytes(8, "little") + body
    held = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    return zstandard.ZstdDecompressor(dict_data=held).decompress(frame)


def inflate(body, size, dictionary):
    return zlib.decompressobj(-15, dictionary).decompress(body + bytes(8), size)


def _base64_text(octets, kind, characters, line_end):
    text = base64.urlsafe_b64encode(octets) if kind & 1 else base64.b64encode(octets)
    text = text if kind & 2 else text.rstrip(b"=")
    if not characters:
        return text
    return line_end.join(text[at : at + characters] for at in range(0, len(text), characters))


def _number_text(kind, item, scale):
    if kind == 20:
        return repr(struct.unpack("<f", item)[0])
    if kind == 21:
        (single,) = struct.unpack("<f", item)
        texts = [f"{single:.{digits - 1}e}" for digits in (6, 7, 8, 9)]
        return repr(float(next(text for text in texts if struct.pack("<f", float(text)) == item)))
    if kind == 22:
        return repr(struct.unpack("<d", item)[0])
    (packed,) = struct.unpack("<I", item)
    return ("-" if packed & 1 else "") + repr((packed >> 1) / 10**scale)


def _section(body, at, width, count, dictionary):
    methods = int.from_bytes(body[at : at + -(-width // 4)], "little")
    at += -(-width // 4)
    planes = []
    for plane in range(width):
        method = methods >> 2 * plane & 3
        size = count if method == 0 else 1
        if method in (1, 2):
            size, at = varint(body, at)
        held = body[at : at + size]
        at += size
        match method:
            case 1:
                held = blocks(held, count)
            case 2:
                held = inflate(held, count, dictionary)
            case 3:
                held = held * count
        planes.append(held)
    return [bytes(plane[i] for plane in planes) for i in range(count)], at


def canonical_bytes(body, size, decode_inner, deflate_dictionary):
    """`decode_inner(coder, body, size)` gives what remains."""
    count, at = varint(body, 1)
    spans = []
    for _ in range(count):
        gap, at = varint(body, at)
        packed, at = varint(body, at)
        length, kind = divmod(packed, 32)
        extra = (0, b"")
        scale = 0
        if kind < 16 and kind & 4:
            packed, at = varint(body, at)
            extra = packed // 4, LINE_ENDS[packed % 4]
        elif kind >= 20:
            number, at = varint(body, at)
            separator = [b",", b", "][number] if number < 2 else body[at : at + number - 1]
            at += number - 1 if number >= 2 else 0
            if kind == 23:
                scale, at = varint(body, at)
            extra = separator, scale
        spans.append((gap, length, kind, extra))
    data = {}
    for section, width in enumerate(WIDTHS):
        total = sum(length for _, length, kind, _ in spans if _section_of(kind) == section)
        if total:
            data[section], at = _section(body, at, width, total, deflate_dictionary)
    texts = []
    for _, length, kind, extra in spans:
        section = _section_of(kind)
        if section is None:
            texts.append(None)
            continue
        held, data[section] = data[section][:length], data[section][length:]
        if kind < 16:
            texts.append(_base64_text(b"".join(held), kind, *extra))
        elif kind < 20:
            texts.append(b"".join(held).hex().encode() if kind == 16 else b"".join(held).hex().upper().encode())
        else:
            separator, scale = extra
            texts.append(separator.join(_number_text(kind, item, scale).encode() for item in held))
    in_place = [(length, len(_base64_text(bytes(length), k, *e))) for _, length, k, e in spans if k < 16 and k & 8]
    remaining = size - sum(len(text) for text in texts if text is not None)
    remaining += sum(octets - text for octets, text in in_place)
    remains = decode_inner(body[0], body[at:], remaining)
    out, begin = b"", 0
    for (gap, length, kind, extra), text in zip(spans, texts, strict=True):
        out += remains[begin : begin + gap]
        begin += gap
        if text is None:
            text = _base64_text(remains[begin : begin + length], kind, *extra)
            begin += length
        out += text
    return out + remains[begin:]
