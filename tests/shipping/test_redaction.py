"""No secret leaves the process, and nothing else is taken for one."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.errors import UsageError
from stream_monitor.shipping import Redaction
from stream_monitor.shipping.redaction import NAMES

RULES = Redaction()
SECRET = "hunter2-Zx9"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"login with password={SECRET}, retry 3", "login with password=[redacted], retry 3"),
        (f"postgresql://app:{SECRET}@db/orders", "postgresql://app:[redacted]@db/orders"),
        (f"amqp://a:p@{SECRET}@rabbit:5672//", "amqp://a:[redacted]@rabbit:5672//"),
        (f"Authorization: Bearer {SECRET}, then", "Authorization: [redacted], then"),
        (f"sent 'bearer {SECRET}' on", "sent 'bearer [redacted]' on"),
        (f"https://h/p?access_token={SECRET}&x=1", "https://h/p?access_token=[redacted]&x=1"),
        (f"Server=x;User Id=a;Password={SECRET};Timeout=3", "Server=x;User Id=a;Password=[redacted];Timeout=3"),
        (f"{{'token': '{SECRET} and more', 'n': 1}}", "{'token': [redacted], 'n': 1}"),
        (f'password="{SECRET} \\" more" next', "password=[redacted] next"),
        (f'cut off: api-key="{SECRET}', "cut off: api-key=[redacted]"),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}", "-----BEGIN RSA PRIVATE KEY-----[redacted]"),
    ],
)
def test_texts(text, clean):
    assert RULES.text(text) == clean
    (line,) = orjson.loads(RULES.clean(orjson.dumps({"message": text}))).values()
    assert line == clean


@pytest.mark.parametrize(
    "text",
    [
        "prompt_tokens=512 token_count=3 max_tokens: 9",
        "KeyError: 'id'",
        "http://user@host:80/path",
        "DAG completed - records_processed=15000 duration=45.2 state=success",
        "the password was wrong",
    ],
)
def test_what_is_no_secret_stays(text):
    assert RULES.text(text) == text
    value = orjson.dumps({"message": text, "prompt_tokens": 512, "token_count": 3})
    assert RULES.clean(value) == value


NAME = st.sampled_from(NAMES).flatmap(
    lambda name: st.sampled_from(
        [name, name.upper(), name.replace("_", "-"), name.replace("_", ""), f"db_{name}", f"x.{name}"]
    )
)
VALUE = st.sampled_from([SECRET, [SECRET], {"deep": SECRET}, 12345678])


@given(NAME, VALUE, st.integers(0, 3))
def test_a_field_with_a_secret_name_at_any_depth(name, value, depth):
    fields = {name: value, "kept": "yes", "empty": None}
    for _ in range(depth):
        fields = {"inner": [fields, 1]}
    clean = RULES.clean(orjson.dumps(fields))
    assert SECRET.encode() not in clean
    assert b"12345678" not in clean
    assert b'"kept":"yes"' in clean


@given(NAME, st.sampled_from(["=", ": ", " = ", '="', "='", '": "', "': '"]))
def test_a_pair_in_a_text(name, between):
    assert SECRET not in RULES.text(f"before {name}{between}{SECRET} after")


@given(st.binary(max_size=200))
def test_any_bytes_come_through(value):
    Redaction(("iban",), (r"\d{16}",)).clean(value)
    if value.isascii() and b"o" not in value.lower() and b"s" not in value.lower() and b"d" not in value.lower():
        assert b"[redacted]" not in RULES.clean(value) or b"key" in value.lower()


def test_the_list_can_be_extended():
    rules = Redaction(("iban", "tax_id"), (r"\b\d{4}-\d{4}-\d{4}\b",))
    clean = rules.clean(orjson.dumps({"iban": "DE89", "TaxId": "7", "message": "card 1234-5678-9012 iban=DE89"}))
    assert orjson.loads(clean) == {
        "iban": "[redacted]", "TaxId": "[redacted]", "message": "card [redacted] iban=[redacted]",
    }  # fmt: skip
    with pytest.raises(UsageError, match="a pattern to redact"):
        Redaction(patterns=("(",))


def test_a_text_of_many_beginnings_of_a_token_is_read_once():
    said = Redaction().clean(b'{"message":"' + b"eyJ-" * 50_000 + b'"}')
    assert said.count(b"eyJ-") == 50_000


def test_a_pattern_of_alternatives_is_one():
    said = Redaction(patterns=[r"\d{16}|\d{3}-\d{2}-\d{4}"]).clean(
        b'{"message":"1234567812345678 and 123-45-6789"}'
    )
    assert b"1234" not in said
    assert b"6789" not in said
