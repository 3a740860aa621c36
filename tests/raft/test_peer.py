import pytest

from raft.errors import EncodeError, InvalidFieldError, PayloadTooLargeError, TrailingBytesError
from raft.peer import Peer, PeerRole, decode_peers, encode_peers

LEARNER = Peer(0x0706050403020100, PeerRole.LEARNER, "ü:1")
ENCODED_LEARNER = bytes.fromhex("0001020304050607 01 0400") + "ü:1".encode()
VOTER = Peer(7, PeerRole.VOTER, "")
ENCODED_VOTER = bytes.fromhex("0700000000000000 00 0000")


def with_address(address: bytes) -> bytes:
    return bytes(9) + len(address).to_bytes(2, "little") + address


def test_the_layout_is_that_of_the_format() -> None:
    assert LEARNER.encode() == ENCODED_LEARNER
    assert Peer.decode(ENCODED_LEARNER) == LEARNER
    assert Peer.decode(ENCODED_LEARNER).role is PeerRole.LEARNER
    assert Peer.decode(ENCODED_VOTER) == VOTER


@pytest.mark.parametrize("role", [2, 128, 255])
def test_an_unknown_role_is_refused(role: int) -> None:
    with pytest.raises(InvalidFieldError, match=f"role {role}"):
        Peer.decode(ENCODED_VOTER[:8] + bytes([role]) + ENCODED_VOTER[9:])


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(b"\x80", id="continuation without a start"),
        pytest.param(b"\xc3", id="start without a continuation"),
        pytest.param(b"\xc0\xaf", id="overlong"),
        pytest.param(b"\xed\xa0\x80", id="surrogate"),
        pytest.param(b"\xf4\x90\x80\x80", id="beyond Unicode"),
    ],
)
def test_an_address_that_is_not_utf8_is_refused(address: bytes) -> None:
    with pytest.raises(InvalidFieldError, match="UTF-8"):
        Peer.decode(with_address(address))


def test_an_address_up_to_the_limit_is_permitted() -> None:
    assert Peer.decode(ENCODED_LEARNER, max_payload_bytes=4) == LEARNER
    with pytest.raises(PayloadTooLargeError):
        Peer.decode(ENCODED_LEARNER, max_payload_bytes=3)


def test_the_longest_address_goes_through() -> None:
    longest = Peer(1, PeerRole.VOTER, "a" * 65_535)
    assert Peer.decode(longest.encode()) == longest


@pytest.mark.parametrize(
    "peer",
    [
        Peer(-1, PeerRole.VOTER, ""),
        Peer(2**64, PeerRole.VOTER, ""),
        Peer(1, PeerRole.VOTER, "a" * 65_536),
        Peer(1, PeerRole.VOTER, "ü" * 32_768),
        Peer(1, PeerRole.VOTER, "\ud800"),
    ],
    ids=["negative id", "id of 65 bits", "long address", "address long as UTF-8", "surrogate"],
)
def test_a_field_out_of_range_is_an_encode_error(peer: Peer) -> None:
    with pytest.raises(EncodeError):
        peer.encode()
    with pytest.raises(EncodeError):
        encode_peers([peer])


def test_a_peer_list_is_a_count_and_the_peers_in_their_order() -> None:
    encoded = bytes.fromhex("02000000") + ENCODED_LEARNER + ENCODED_VOTER
    assert encode_peers(iter([LEARNER, VOTER])) == encoded
    assert decode_peers(encoded) == (LEARNER, VOTER)


def test_the_empty_peer_list() -> None:
    assert encode_peers([]) == bytes(4)
    assert decode_peers(bytes(4)) == ()


def test_an_id_that_occurs_twice_is_refused() -> None:
    learner = Peer(7, PeerRole.LEARNER, "elsewhere")
    with pytest.raises(InvalidFieldError, match="peer 7 is listed twice"):
        decode_peers(bytes.fromhex("02000000") + ENCODED_VOTER + learner.encode())
    with pytest.raises(EncodeError, match="same id"):
        encode_peers([VOTER, learner])


def test_a_count_below_the_peers_that_follow_leaves_bytes_over() -> None:
    with pytest.raises(TrailingBytesError):
        decode_peers(bytes.fromhex("01000000") + ENCODED_LEARNER + ENCODED_VOTER)
