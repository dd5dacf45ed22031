"""The negotiation of permessage-deflate in the handshake (RFC 7692, section 7.1)."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.websocket.permessage_deflate import negotiate

AGREED = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
LARGEST = AGREED + b"; server_max_window_bits=15"


@pytest.mark.parametrize(
    "header",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",  # Chromium and Firefox
        "permessage-deflate; client_max_window_bits=8",
        'permessage-deflate; client_max_window_bits="15"',
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate;client_no_context_takeover;server_no_context_takeover;client_max_window_bits=10",
        " permessage-deflate\t;\tclient_max_window_bits  =  10 ",
        ", ,permessage-deflate,",
        "x-webkit-deflate-frame, permessage-deflate",
        'bbf-usp-protocol; a="b c, permessage-deflate; d"; e, permessage-deflate',
    ],
)
def test_offer_is_met_without_context_takeover(header):
    assert negotiate(header) == AGREED


@pytest.mark.parametrize("value", ["15", '"15"', '"1\\5"'])
def test_largest_window_is_accepted(value):
    assert negotiate(f"permessage-deflate; server_max_window_bits={value}") == LARGEST


@pytest.mark.parametrize(
    "parameters",
    [
        "unknown",
        "unknown=1",
        "client_max_window_bits; unknown",
        "Server_No_Context_Takeover",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "client_max_window_bits; client_max_window_bits=10",
        "client_max_window_bits=10; client_max_window_bits=10",
        "server_max_window_bits=15; server_max_window_bits=15",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=08",
        "client_max_window_bits=1",
        "client_max_window_bits=+9",
        'client_max_window_bits=" 9"',
        "server_max_window_bits",
        "server_max_window_bits=0",
        "server_max_window_bits=16",
        *[f"server_max_window_bits={bits}" for bits in range(8, 15)],  # one compressed frame serves all
    ],
)
def test_unacceptable_offer_falls_through_to_the_next(parameters):
    offer = f"permessage-deflate; {parameters}"
    assert negotiate(offer) is None
    assert negotiate(f"{offer}, permessage-deflate; client_max_window_bits") == AGREED
    assert negotiate(f"{offer}, permessage-deflate; server_max_window_bits=15, permessage-deflate") == LARGEST


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        " ",
        ",",
        "permessage-bzip2",
        "x-webkit-deflate-frame",
        "Permessage-Deflate",
        "permessage-deflate2",
        'x; y="permessage-deflate"',
    ],
)
def test_no_offer_means_no_extension(header):
    assert negotiate(header) is None


@pytest.mark.parametrize(
    "malformed",
    [
        "permessage-deflate;",
        "permessage-deflate; ;",
        "permessage deflate",
        "permessage-deflate; client_max_window_bits=",
        'permessage-deflate; client_max_window_bits=""',
        'permessage-deflate; client_max_window_bits="10',
        'permessage-deflate; client_max_window_bits="10"0',
        "permessage-deflate; =10",
        "permessage-deflate=1",
        "permessage-deflate/1",
        "permessage-deflate; client_max_window_bits=\u0661\u0665",
        "permessage-deflate\r\n",
        'x; y="a, permessage-deflate, b',
    ],
)
def test_malformed_header_counts_as_none(malformed):
    assert negotiate(malformed) is None
    assert negotiate(f"permessage-deflate, {malformed}") is None


@given(st.text(st.sampled_from('ab=;," \t\\1') | st.characters(), max_size=40))
def test_answer_never_exceeds_the_offer(header):
    assert negotiate(header) is None
    assert negotiate("permessage-deflate," + header) in {None, AGREED}


@pytest.mark.parametrize("piece", [" ", "a", "a;", "a,", '"', "\\", "a; b=", 'a; b="', "permessage-deflate; a=\t"])
def test_no_header_takes_long(piece):
    """twisted.web reads lines of 16 KiB. A pattern that backtracks would need hours for one of them."""
    began = time.process_time()
    assert negotiate(piece * (16_384 // len(piece)) + "!") in {None, AGREED}
    assert time.process_time() - began < 1
