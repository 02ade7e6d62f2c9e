"""A statement signed: the DSSE envelope v1 with one Ed25519 signature.

https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from graft.vision.errors import DataError

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def signed(statement: bytes, key: Path) -> dict[str, Any]:
    """The envelope of a statement. Raises `DataError` for a file that holds no such key."""
    private = _private_key(key)
    signature = private.sign(_encoded(statement))
    return {
        "payload": base64.b64encode(statement).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": _key_id(private.public_key()), "sig": base64.b64encode(signature).decode()}
        ],
    }


def envelope_fault(envelope: bytes, statement: bytes, key: Path | None) -> tuple[str, str] | None:
    """What is wrong with an envelope: the field, and what was found; None where it holds.

    Args:
        key: the PEM of the signer's public (or private) key; None: the signature is not checked.
    """
    from cryptography.exceptions import InvalidSignature

    said = json.loads(envelope)
    if said["payloadType"] != PAYLOAD_TYPE:
        return "payloadType", str(said["payloadType"])
    if base64.b64decode(said["payload"]) != statement:
        return "payload", "another statement than the one beside it"
    if key is None:
        return None
    public = _public_key(key)
    stated, known = str(said["signatures"][0]["keyid"]), _key_id(public)
    if stated != known:
        return "signatures[0].keyid", f"{stated}, not the given key's {known}"
    try:
        public.verify(base64.b64decode(said["signatures"][0]["sig"]), _encoded(statement))
    except InvalidSignature:
        return "signatures[0].sig", "no signature of this key over this statement"
    return None


def _encoded(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _key_id(public: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"sha256:{sha256(raw).hexdigest()}"


def _private_key(path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _no_key(path, error) from error
    if not isinstance(found, Ed25519PrivateKey):
        raise _no_key(path, type(found).__name__)
    return found


def _public_key(path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        if b"PRIVATE KEY" in path.read_bytes():
            return _private_key(path).public_key()
        found = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _no_key(path, error) from error
    if not isinstance(found, Ed25519PublicKey):
        raise _no_key(path, type(found).__name__)
    return found


def _no_key(path: Path, found: object) -> DataError:
    return DataError(
        f"{path} holds no key that can sign or check an export",
        found=found,
        allowed="an Ed25519 key in PEM, without a password",
        mend="make one: openssl genpkey -algorithm ed25519 -out key.pem",
    )
