# pragma version 0.4.3
# pragma evm-version cancun
"""
@title A registry of names
@license Apache-2.0
@notice
    Names are first come, first served. A name is owned by a chain address and bound to one account
    id; an account has one name. Who may pay for whom is not restricted.

    The contract does not check that the account agrees: that proof is an RSA signature over the
    name, which readers verify. Key and signature are in the event, so that everything can be
    rebuilt from the chain alone; their digest is in the record.

    Read as bytes32, a name is its ASCII characters followed by zeros. No name has a zero in it,
    so two names are never one such word.
"""

event NameReserved:
    name: indexed(bytes32)
    account: indexed(bytes20)
    owner: indexed(address)
    public_key: Bytes[2048]
    signature: Bytes[1024]

event NameTransferred:
    name: indexed(bytes32)
    owner: indexed(address)

event NameReleased:
    name: indexed(bytes32)
    account: indexed(bytes20)
    owner: indexed(address)

struct Record:
    owner_and_block: uint256  # address 160 bits, then the block's number in 96: one word, not two
    account: bytes20
    evidence: bytes32

NAME_LENGTH_MIN: constant(uint256) = 3
BLOCK_MASK: constant(uint256) = 2**96 - 1

_records: HashMap[bytes32, Record]
_names: HashMap[bytes20, bytes32]


@external
def reserve(
    name: String[32], account: bytes20, public_key: Bytes[2048], signature: Bytes[1024]
):
    """
    @notice Take a free name for an account; the caller owns it.
    """
    self._reserve(name, account, msg.sender, public_key, signature)


@external
def reserveFor(
    name: String[32],
    account: bytes20,
    owner: address,
    public_key: Bytes[2048],
    signature: Bytes[1024],
):
    """
    @notice Take a free name for an account, and pay for the owner, who has all rights to it.
    """
    self._reserve(name, account, owner, public_key, signature)


@external
def transfer(name: String[32], owner: address):
    """
    @notice Hand a name to another owner. The account it names stays the same.
    """
    word: bytes32 = self._word(name)
    record: Record = self._records[word]
    self._check_owner(record)
    assert owner != empty(address), "bad owner"
    self._records[word].owner_and_block = self._pack(owner, record.owner_and_block & BLOCK_MASK)
    log NameTransferred(name=word, owner=owner)


@external
def release(name: String[32]):
    """
    @notice Give a name up: it is free for anybody, and its account may take another.
    """
    word: bytes32 = self._word(name)
    record: Record = self._records[word]
    self._check_owner(record)
    self._records[word] = empty(Record)
    self._names[record.account] = empty(bytes32)
    log NameReleased(name=word, account=record.account, owner=msg.sender)


@external
@view
def lookup(name: String[32]) -> (address, bytes20, uint256, bytes32):
    """
    @notice What is known of a name; zeros if it is free.
    @return Its owner, its account, the block whose event has key and signature, and
        keccak256(keccak256(public key) ‖ keccak256(signature)).
    """
    record: Record = self._records[self._word(name)]
    return (
        convert(record.owner_and_block >> 96, address),
        record.account,
        record.owner_and_block & BLOCK_MASK,
        record.evidence,
    )


@external
@view
def reverse(account: bytes20) -> bytes32:
    """
    @notice The name of an account, followed by zeros; nothing but zeros if it has none.
    """
    return self._names[account]


@external
@pure
def version() -> String[32]:
    """
    @notice What this contract is; another interface would have another version.
    """
    return "shoal names 1"


@internal
def _reserve(
    name: String[32],
    account: bytes20,
    owner: address,
    public_key: Bytes[2048],
    signature: Bytes[1024],
):
    word: bytes32 = self._word(name)
    assert account != empty(bytes20), "bad account"
    assert owner != empty(address), "bad owner"
    assert len(public_key) > 0 and len(signature) > 0, "no evidence"
    assert self._records[word].owner_and_block == 0, "name taken"
    assert self._names[account] == empty(bytes32), "account has a name"
    self._records[word] = Record(
        owner_and_block=self._pack(owner, block.number),
        account=account,
        evidence=keccak256(concat(keccak256(public_key), keccak256(signature))),
    )
    self._names[account] = word
    log NameReserved(
        name=word, account=account, owner=owner, public_key=public_key, signature=signature
    )


@internal
@view
def _check_owner(record: Record):
    assert record.owner_and_block != 0, "no such name"
    assert convert(record.owner_and_block >> 96, address) == msg.sender, "not the owner"


@internal
@pure
def _pack(owner: address, number: uint256) -> uint256:
    return (convert(owner, uint256) << 96) | number


@internal
@pure
def _word(name: String[32]) -> bytes32:
    """
    @notice Check that a name is 3 to 32 characters out of a-z, 0-9, - and _, and pack it.
    """
    size: uint256 = len(name)
    assert size >= NAME_LENGTH_MIN, "bad name"
    word: uint256 = convert(convert(name, Bytes[32]), uint256)  # the last character lowest
    for i: uint256 in range(size, bound=32):
        c: uint256 = (word >> (8 * i)) & 255
        assert (
            (c >= 97 and c <= 122) or (c >= 48 and c <= 57) or c == 45 or c == 95
        ), "bad name"
    return convert(word << (8 * (32 - size)), bytes32)
