"""Records of text and images or sound, as APIs of models have them, from a seed."""

import base64
import json
import random

import synthetic

IMAGE_BYTES = 1500


def image(rng, size_bytes=IMAGE_BYTES):
    """Octets as of a PNG."""
    return b"\x89PNG\r\n\x1a\n" + rng.randbytes(size_bytes - 8)


def standard(octets):
    return base64.b64encode(octets).decode()


def url_safe(octets):
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def in_lines(octets):
    return base64.encodebytes(octets).decode()


def image_url(text, data):
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    return [{"role": "user", "content": [{"type": "text", "text": text}, part]}]


def image_source(text, data):
    source = {"type": "base64", "media_type": "image/png", "data": data}
    return [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": text}]}]


def input_audio(text, data):
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    return [{"role": "user", "content": [part, {"type": "text", "text": text}]}]


def tool_answer(text, data):
    return {"tool": "camera.take", "note": text, "answer": json.dumps({"data": data})}


SHAPES = (image_url, image_source, input_audio, tool_answer)
FORMS = (standard, url_safe, in_lines)


def records(count, seed=0):
    """(record, the octets in it): each shape, in each form of base64, in turn."""
    rng = random.Random(seed)
    found = []
    for index in range(count):
        octets = image(rng)
        form = standard if SHAPES[index % len(SHAPES)] is tool_answer else FORMS[index % len(FORMS)]
        found.append((SHAPES[index % len(SHAPES)](synthetic.text(rng), form(octets)), octets))
    return found
