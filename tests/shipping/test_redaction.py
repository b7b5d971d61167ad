"""No secret leaves the process, and nothing else is taken for one."""

from __future__ import annotations

import json
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.errors import UsageError
from stream_monitor.shipping import Redaction
from stream_monitor.shipping.redaction import NAMES

RULES = Redaction()
SECRET = "hunter2-Zx9"
TOKEN = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
HARMLESS = {
    "prompt_tokens": 512, "token_count": 3, "tokens": [101, 2023], "max_tokens": "512", "tokenizer": "bert",
    "author": "Ann", "passed": 5, "compass": "north", "has_password": True, "token": None, "passwords": 3,
    "fields": ["password", "email"], "pair": {"name": "compass", "value": "north"}, "args": ["--tokenizer", "b"],
}  # fmt: skip


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
        (f"postgresql://app:p@ss/{SECRET}@db/orders", "postgresql://app:[redacted]@db/orders"),
        (f"redis://:{SECRET}@h1:1,redis://:{SECRET}@h2:1", "redis://:[redacted]@h1:1,redis://:[redacted]@h2:1"),
        (f"https://{TOKEN}@github.com/a/b", "https://[redacted]@github.com/a/b"),
        (f"https://{TOKEN}:x-oauth-basic@github.com", "https://[redacted]:[redacted]@github.com"),
        (f"https://{SECRET}:@api.example.com/", "https://[redacted]:@api.example.com/"),
        (f"https://a:{SECRET}?#@h/p?to=a@b.c", "https://a:[redacted]@b.c"),
        (f"Cookie: a=1; session={SECRET}; b={SECRET}", "Cookie: [redacted]"),
        (f"Set-Cookie: session={SECRET}; Path=/, done", "Set-Cookie: [redacted], done"),
        (f"Authorization: ApiKey {SECRET}, then", "Authorization: [redacted], then"),
        (f'Authorization: Digest username="a", response="{SECRET}", n=1', "Authorization: [redacted]"),
        (f"authorization=AWS4 Credential={SECRET}, Signature={SECRET} x", "authorization=[redacted] x"),
        (f"[['Authorization', '{SECRET}'], ['a', 'b']]", "[['Authorization', [redacted]], ['a', 'b']]"),
        (f"[(b'x-api-key', b'{SECRET}')]", "[(b'x-api-key', b[redacted])]"),
        (f'{{"password" => "{SECRET}", :token=>"{SECRET}"}}', '{"password" => [redacted], :token=>[redacted]}'),
        (f"run --db-password {SECRET} --verbose", "run --db-password [redacted] --verbose"),
        (f"run --token={SECRET} --verbose", "run --token=[redacted] --verbose"),
        (f"['run', '--token', '{SECRET}', '-v']", "['run', '--token', [redacted], '-v']"),
        (f"passwords: {SECRET}; token2={SECRET}", "passwords: [redacted]; token2=[redacted]"),
        (f"secret_key_3 = {SECRET}", "secret_key_3 = [redacted]"),
        (f"{{'name': 'DB_PASSWORD', 'value': '{SECRET}'}}", "{'name': 'DB_PASSWORD', 'value': [redacted]}"),
        (f'{{\\"password\\": \\"{SECRET}\\"}}', '{\\"password\\": [redacted]}'),
        (f"password=back\\{SECRET} next", "password=[redacted] next"),
        (f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{SECRET}", "-----BEGIN PGP PRIVATE KEY BLOCK-----[redacted]"),
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
        "tokenizer=bert author=Ann passed=5 compass: north secretary: Joe monkey=1 keyboard=us",
        "tokens: 512, passwords=3 expired, secrets = 4, output_tokens: 1.5",
        "has_password=true api_key: None, token=null; needs_password: False",
        "http://host:8080/path/user@example.com and https://host/a:b@c",
        "s3://bucket/key:1@2 https://docs/ mailto:a@b.c",
        "the fields ['password', 'email'] and ('token', 'name') are needed",
        "--password-file /run/x --tokenizer bert --no-token --quiet",
        "cookies are on; the authorization failed; bearer of news",
        "token_type=jwt next_token_count=3 password_age=4d cookie_path=/",
    ],
)
def test_what_is_no_secret_stays(text):
    assert RULES.text(text) == text
    value = orjson.dumps({"message": text, **HARMLESS})
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


@pytest.mark.parametrize(
    "fields",
    [
        {"passwords": [SECRET]},
        {"token2": SECRET},
        {"API_KEY_1": SECRET},
        {"tokens": SECRET},
        {"headers": [["Authorization", SECRET], ["Accept", "x"]]},
        {"name": "password", "value": SECRET},
        {"env": [{"Value": SECRET, "Name": "DB_PASSWORD"}]},
        {"argv": ["run", "--password", SECRET]},
        {"inner": {"key": "x-api-key", "value": [SECRET]}},
    ],
)
def test_fields_that_are_named_otherwise(fields):
    clean = RULES.clean(orjson.dumps(fields))
    assert SECRET.encode() not in clean
    assert b"[redacted]" in clean


@pytest.mark.parametrize("name", ["contrase\u00f1a", "\u043f\u0430\u0440\u043e\u043b\u044c", "P\u00c4SSWORT"])
def test_names_in_any_alphabet(name):
    rules = Redaction([name])
    for spelt in (name, name.upper(), name.lower()):
        value = {f"db_{spelt}": SECRET, "message": f"{spelt}={SECRET}"}
        assert SECRET not in rules.clean(orjson.dumps(value)).decode()
        assert SECRET not in rules.clean(json.dumps(value).encode()).decode()


def test_a_single_name_is_one_name():
    rules = Redaction("pin", r"\d{16}")
    value = {"pin": SECRET, "happen": "yes", "n": "1234567812345678", "kind": "no"}
    clean = orjson.loads(rules.clean(orjson.dumps(value)))
    assert clean == {"pin": "[redacted]", "happen": "yes", "n": "[redacted]", "kind": "no"}
    for wrong in ("", "-", [""], [5]):
        with pytest.raises(UsageError, match="redact"):
            Redaction(wrong)


PIECES = (
    "password", "password ", "password  =", "password=,", "authorization: a ", "cookie: a;", "--token", "--", "-",
    "://a:", "a://", "://a@", "@", '[["', "[(", '"', "\\", '\\"', "'", "-----BEGIN ", "PRIVATE KEY", "eyJ-",
    "bearer ", "Authorization: a,b=", "token2", "tokens", " ", "name: password, value", ",(", "password\\",
    "=>", "a=1; cookie=",
)  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_a_text_is_read_in_time_that_grows_with_its_length(piece):
    """Ten times as long is about ten times as slow, not a hundred times."""
    RULES.text(piece * 100)

    def cost(length):
        text = "password" + piece * (length // len(piece))
        begun = time.process_time()
        RULES.text(text)
        return time.process_time() - begun

    short = min(cost(5_000) for _ in range(3))
    assert min(cost(50_000) for _ in range(2)) < 35 * short + 0.005


def test_a_text_of_many_beginnings_of_a_token_is_read_once():
    said = Redaction().clean(b'{"message":"' + b"eyJ-" * 50_000 + b'"}')
    assert said.count(b"eyJ-") == 50_000


def test_a_pattern_of_alternatives_is_one():
    said = Redaction(patterns=[r"\d{16}|\d{3}-\d{2}-\d{4}"]).clean(
        b'{"message":"1234567812345678 and 123-45-6789"}'
    )
    assert b"1234" not in said
    assert b"6789" not in said
