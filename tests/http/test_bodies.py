"""The readers of request bodies: forms, multipart forms and JSON."""

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core import errors
from cometify.core.admission import PARAMETERS
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
    assert {name: value for name, value in read(body).items() if name} == expected


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
    assert {name: value for name, value in read(urlencode(fields).encode()).items() if name} == fields


PIECES = st.sampled_from(
    [b"text", b"secret", b"more", b"=", b"=", b"&", b"&", b"0", b"%41", b"+", b"\xff", b"\xc3\xbc"]
)


@given(st.lists(PIECES | st.binary(max_size=3), max_size=12).map(b"".join))
def test_shortcut_for_unencoded_forms_changes_nothing(body):
    """`_unencoded_form` may give names that nobody wants; of the wanted ones it gives what the long way gives."""
    quick = bodies._unencoded_form(body)
    if quick is not None:
        slow = bodies._wanted(bodies._form_pairs(body), PARAMETERS)
        assert {name: value for name, value in quick.items() if name in NAMES} == slow


def test_shortcut_is_taken_for_a_push_with_nothing_encoded():
    body = b"identifier=chat&text=Hello&secret=0&secure=0123456789abcdef0123456789abcdef"
    assert bodies._unencoded_form(body) == read(body)


# Multipart.


def test_multipart_gives_the_wanted_parts_as_text():
    body, content_type = multipart((b"text", "Grüße\r\n".encode()), (b"more", b"\xff"), (b"secret", b"0"))
    assert read(body, content_type) == {"text": "Grüße\r\n", "secret": "0"}


def test_multipart_follows_the_same_rules_as_a_form():
    body, content_type = multipart((b"text", b"a"), (b"text", b"a"))
    assert refusal(body, content_type).code is errors.REPEATED_PARAMETER
    body, content_type = multipart((b"text", b"\xff"))
    assert refusal(body, content_type).code is errors.INVALID_TEXT


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
