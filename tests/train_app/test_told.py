"""What a person is told of lines of a training run's log."""

import pytest

from train_app.job import _told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"waiting": "waiting for nodes"}, "waiting for nodes"),
        ({"failure": "OSError: x"}, "a training worker failed (OSError: x); the run goes on from its last checkpoint"),
        ({"step": 3, "untracked": "gone"}, "the run is tracked no more (gone); its log has all of it"),
        ({"step": 3, "rounding": True}, "from here on the network is trained as its integers will round it"),
        ({"augmented": {"turns": 3, "roles": 1}}, "learnt from besides: 4 altered copies (3 turns, 1 roles)"),
        ({"augmenting": 0.5}, ""),
        ({"records_page": "/runs/r.html"}, "where records cost bits: /runs/r.html (it holds passages of them)"),
        (
            {"step": 3, "validation_bits_per_byte": 1.5, "class_bits_per_byte": {"code": 1.25, "mail": 2.0}},
            "validation: 1.500 bits a byte; code 1.250, mail 2.000",
        ),
        ({"step": 3, "validation_bits_per_byte": 1.5}, ""),
        ({"step": 3, "loss_nats": 1.5, "progress": 0.5}, ""),
    ],
)
def test_lines(line, told):
    assert _told(line) == told
