"""The readers of request bodies: forms, multipart forms and JSON."""

import contextlib
import json
import sys
import time
from urllib.parse import unquote_to_bytes, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.admission import AS_SENT, PARAMETERS
from cometify.core.payload import read_data
from cometify.core.push import MAX_TEXT
from cometify.http import bodies
from cometify.http.bodies import FORM, JSON, MULTIPART, read_json_array, read_parameters

NAMES = [name.decode() for name in PARAMETERS]
BOUNDARY = "frontier"


def read(body, content_type=FORM):
    return read_parameters(content_type, body, PARAMETERS)


def refusal(body, content_type=FORM):
    with pytest.raises(errors.Refused) as caught:
        read(body, content_type)
    return caught.value


def multipart(*parts):
    """A multipart body of (name, value) pairs, and its content type."""
    lines = b"".join(
        b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (BOUNDARY.encode(), name, value)
        for name, value in parts
    )
    return lines + b"--%b--\r\n" % BOUNDARY.encode(), f"{MULTIPART}; boundary={BOUNDARY}"


def wanted(parameters):
    """The parameters that a push can have. The values of all others mean nothing."""
    return {name: value for name, value in parameters.items() if name in NAMES}


# Forms.


@pytest.mark.parametrize("content_type", [None, "", FORM, FORM + "; charset=utf-8", FORM.upper()])
def test_form_is_read_with_and_without_a_content_type(content_type):
    assert read(b"text=a+b&secret=0", content_type) == {"text": "a b", "secret": "0"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"text=a%20b%2Bc+d&secret=%30", {"text": "a b+c d", "secret": "0"}),
        (b"t%65xt=a", {"text": "a"}),
        (b"text", {"text": ""}),
        (b"text=", {"text": ""}),
        (b"text=a=b=", {"text": "a=b="}),
        (b"&&text=a&", {"text": "a"}),
        ("text=Grüße".encode(), {"text": "Grüße"}),
        (b"text=%C3%BC%", {"text": "ü%"}),
        (b"text=%zz", {"text": "%zz"}),
        (b"", {}),
        (b"secure=x&more=%FF&more=2&text=%C3%BC&Text=no", {"secure": "x", "text": "ü"}),
    ],
)
def test_form_is_decoded_and_other_names_are_ignored(body, expected):
    assert wanted(read(body)) == expected


@pytest.mark.parametrize("name", [b"id", b"pushId", b"channel", b"message", b"msg", b"Text", b"%69d"])
@pytest.mark.parametrize("rest", [b"&text=a", b"&text=%41", b"&more=1&more=1"])
def test_form_tells_the_names_that_are_not_wanted(name, rest):
    body = name + b"=%FF" + rest
    told = unquote_to_bytes(name).decode("latin-1")
    assert told in read(body)
    assert told in read(*multipart((unquote_to_bytes(name), b"\xff")))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", ["", "&secret=%30&text=+"])
def test_repeated_parameter_is_refused_even_with_one_value(name, other):
    refused = refusal(f"{name}=1{other}&{name}=1".encode())
    assert refused.code is errors.REPEATED_PARAMETER
    assert refused.detail.startswith(f"{name} is given more than once")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [b"\xff", b"%ff", b"%ed%a0%80", b"%c0%80", b"abc\xe2\x82"])
def test_value_that_is_not_utf8_is_refused_by_its_name(name, value):
    refused = refusal(name.encode() + b"=" + value)
    assert refused.code is (errors.INVALID_TEXT if name == "text" else errors.INVALID_PARAMETER)
    assert refused.detail.startswith(f"{name} is not valid UTF-8")


@given(st.dictionaries(st.sampled_from(NAMES), st.text(st.characters(exclude_categories=["Cs"]))))
def test_form_gives_what_was_urlencoded(fields):
    assert wanted(read(urlencode(fields).encode())) == fields


PIECES = st.sampled_from(
    [b"text", b"secret", b"more", b"=", b"=", b"&", b"&", b"0", b"%41", b"+", b"\xff", b"\xc3\xbc"]
)


@given(st.lists(PIECES | st.binary(max_size=3), max_size=12).map(b"".join))
def test_shortcut_for_unencoded_forms_changes_nothing(body):
    """`_unencoded_form` gives the values of other names too. Of the wanted ones it gives what the long way gives."""
    quick = bodies._unencoded_form(body)
    if quick is not None:
        slow = bodies._read_form(body, PARAMETERS)
        assert wanted(quick) == wanted(slow)
        assert quick.keys() >= slow.keys()


def test_shortcut_is_taken_for_a_push_with_nothing_encoded():
    body = b"identifier=chat&text=Hello&secret=0&secure=0123456789abcdef0123456789abcdef"
    assert bodies._unencoded_form(body) == read(body)


HALF_MIB = 512 * 1024
LONGEST = 5e-3
"""Seconds of the processor that reading one body of a stranger may take."""


def filled(before, unit, size):
    """A body of this size, which repeats the unit."""
    return (before + unit * (size // len(unit) + 1))[:size]


def is_read_within(seconds, read_it):
    """Tell if the fastest of thirty runs takes less. Other work on this machine slows some. Coverage does not trace them."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        for _ in range(30):
            began = time.process_time()
            read_it()
            if time.process_time() - began < seconds:
                return True
    finally:
        sys.settrace(tracer)
    return False


@pytest.mark.parametrize("size", [HALF_MIB, bodies.MOST_ENCODED])
@pytest.mark.parametrize("before", [b"", b"text=", b"+=&text="])
@pytest.mark.parametrize("unit", [b"%", b"&", b"a&", b"a=&", b"text=&", b"%41", b"%zz", b"+", b"=", b"%41%"])
def test_no_form_of_a_stranger_takes_long(unit, before, size):
    body = filled(before, unit, size)

    def read_or_refuse():
        with contextlib.suppress(errors.Refused):
            read(body)

    assert is_read_within(LONGEST, read_or_refuse)


LONGEST_JSON = 15e-3
"""The same for JSON. It takes 10 ms at most, and took 50."""
HALFWAY = f"{5**1075}e-1075".encode()
"""2^-1075, which is halfway between two floats, so that each of its 752 digits counts. Reading it takes 60 us."""
LONGEST_DATA = 0.025
"""The same for a push of a proven publisher that has data. It takes 10 ms at most, and took 43."""


@pytest.mark.parametrize("before", [b"[", b'{"text":[', b'["'])
@pytest.mark.parametrize(
    "unit",
    [
        b"[],",
        b"[" * 400 + b"]" * 400 + b",",
        b"{},",
        b'"":1,',
        b'"",',
        b"9" * 4000 + b",",
        b"1.5,",
        b"9e-320,",
        HALFWAY + b",",
        b'\\"',
        b"\\\\",
        b'"',
    ],
    ids=lambda unit: unit.decode()[:8],
)
def test_no_json_of_a_stranger_takes_long(unit, before):
    body = filled(before, unit, HALF_MIB)

    def read_or_refuse():
        with contextlib.suppress(errors.Refused):
            read(body, JSON)

    assert is_read_within(LONGEST_JSON, read_or_refuse)


@pytest.mark.parametrize(
    ("unit", "end"),
    [(b'{"a":[]},', b"1]"), (b'[{"a":1}],', b"1]"), (HALFWAY + b",", b"1]")],
    ids=["objects in pairs", "arrays in pairs", "floats"],
)
def test_json_of_many_parts_takes_no_longer_if_it_is_valid(unit, end):
    body = b"[" + unit * (HALF_MIB // len(unit)) + end

    def read_or_refuse():
        with contextlib.suppress(errors.Refused):
            read_json_array(JSON, body)

    assert is_read_within(LONGEST_JSON, read_or_refuse)


@pytest.mark.parametrize(("part", "between", "count"), [("1", "    , ", 30_000), ('""', "   ,   ", 21_000)])
def test_data_with_many_spaces_does_not_take_long(part, between, count):
    body = f'{{"data":[{between.join([part] * count)}]}}'.encode()
    expected = f"[{','.join([part] * count)}]"

    def read_it():
        assert read_data(read_parameters(JSON, body, PARAMETERS, AS_SENT)["data"]) == expected

    assert is_read_within(LONGEST_DATA, read_it)


def test_form_of_64_fields_is_read_and_one_more_is_refused():
    fields = b"&a=b" * (bodies.MOST_FIELDS - 1)
    for text, expected in ((b"text=%41", "A"), (b"text=A", "A")):
        assert read(text + fields)["text"] == expected
        refused = refusal(text + fields + b"&")
        assert refused.code is errors.INVALID_BODY
        assert str(bodies.MOST_FIELDS) in refused.detail


@pytest.mark.parametrize("text", ["\0" * MAX_TEXT, "\xfc=\n\r+%" * (MAX_TEXT // 7), "%" * MAX_TEXT])
def test_longest_text_may_have_each_byte_encoded(text):
    body = b"text=" + "".join([f"%{byte:02x}" for byte in text.encode()]).encode()
    assert read(body) == {"text": text}


@pytest.mark.parametrize("name", NAMES)
def test_value_longer_than_any_text_is_refused_undecoded(name):
    refused = refusal(name.encode() + b"=" + b"%41" * MAX_TEXT + b"%41")
    assert refused.code is (errors.TEXT_TOO_LONG if name == "text" else errors.INVALID_PARAMETER)
    assert refused.detail.startswith(f"{name} has ")


ESCAPED = st.sampled_from([b"%41", b"%e4", b"%3D", b"=", b"+", b"a", b"\n", b"\r", b"\r\n", b"%0A", b"_", b"\xff"])


@given(st.lists(ESCAPED, max_size=20).map(b"".join))
def test_decoder_of_long_values_gives_what_the_other_gives(value):
    assert bodies._decoded_strictly(value) == unquote_to_bytes(value)


@given(st.lists(ESCAPED, max_size=8).map(b"".join), st.sampled_from([b"%", b"%%", b"%4", b"%zz", b"%\n", b"%\r"]))
def test_decoder_of_long_values_refuses_a_percent_sign_alone(before, broken):
    for value in (before + broken, broken + b"z" + before):
        assert bodies._decoded_strictly(value) is None


def test_long_text_with_percent_signs_that_encode_nothing_is_refused():
    assert read(b"text=" + b"%zz" * bodies.MOST_BROKEN) == {"text": "%zz" * bodies.MOST_BROKEN}
    refused = refusal(b"text=" + b"%zz" * (bodies.MOST_BROKEN + 1))
    assert refused.code is errors.INVALID_TEXT
    assert "%25" in refused.detail


# Multipart.


def test_multipart_gives_the_wanted_parts_as_text():
    body, content_type = multipart((b"text", "Grüße\r\n".encode()), (b"more", b"\xff"), (b"secret", b"0"))
    assert wanted(read(body, content_type)) == {"text": "Grüße\r\n", "secret": "0"}


def test_multipart_follows_the_same_rules_as_a_form():
    body, content_type = multipart((b"text", b"a"), (b"text", b"a"))
    assert refusal(body, content_type).code is errors.REPEATED_PARAMETER
    body, content_type = multipart((b"text", b"\xff"))
    assert refusal(body, content_type).code is errors.INVALID_TEXT


def test_multipart_of_64_parts_is_read_and_one_more_is_refused():
    fields = [(b"more", b"")] * (bodies.MOST_FIELDS - 1)
    body, content_type = multipart((b"text", b"a"), *fields)
    assert wanted(read(body, content_type)) == {"text": "a"}
    body, content_type = multipart((b"text", b"a"), *fields, (b"more", b""))
    refused = refusal(body, content_type)
    assert refused.code is errors.INVALID_BODY
    assert str(bodies.MOST_FIELDS) in refused.detail


def test_incomplete_multipart_is_refused():
    body, content_type = multipart((b"text", b"a"))
    assert refusal(body[:-6], content_type).code is errors.INVALID_BODY
    assert refusal(body, f"{MULTIPART}; boundary=other").code is errors.INVALID_BODY
    assert refusal(body, MULTIPART).code is errors.INVALID_BODY


# JSON.


def test_json_object_is_given_as_it_is():
    body = b'{"text":"Hello","secret":0,"more":[1]}'
    assert read(body, JSON) == read(body, "Application/JSON; charset=utf-8") == json.loads(body)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"text"', b"1", b"{", b'{"text":"\xff"}'])
def test_anything_but_a_json_object_is_refused(body):
    assert refusal(body, JSON).code is errors.INVALID_BODY


def test_name_repeated_in_json_is_a_repeated_parameter():
    assert refusal(b'{"text":"a","text":"a"}', JSON).code is errors.REPEATED_PARAMETER


@pytest.mark.parametrize("content_type", [None, "", JSON, "Application/JSON; charset=utf-8"])
def test_json_array_is_read_with_and_without_a_content_type(content_type):
    assert read_json_array(content_type, b'[{"text":"a"},7]') == [{"text": "a"}, 7]


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'"chat"', b"[", b"\xff", b"[NaN]"])
def test_anything_but_a_json_array_is_refused(body):
    with pytest.raises(errors.Refused) as refused:
        read_json_array(JSON, body)
    assert refused.value.code is errors.INVALID_BODY


# Other types.


@pytest.mark.parametrize("content_type", ["text/plain", "image/png", "form", ";"])
def test_other_content_types_are_refused(content_type):
    assert refusal(b"text=a", content_type).code is errors.UNSUPPORTED_MEDIA_TYPE
    with pytest.raises(errors.Refused) as refused:
        read_json_array(content_type if content_type != ";" else "a/b", b"[]")
    assert refused.value.code is errors.UNSUPPORTED_MEDIA_TYPE


@given(st.binary(), st.sampled_from([FORM, JSON, MULTIPART + "; boundary=x", "a/b"]))
def test_any_body_is_parameters_or_refused(body, content_type):
    try:
        found = read(body, content_type)
    except errors.Refused:
        return
    assert all(isinstance(name, str) for name in found)
