"""Which tokens have been taken back before their time."""

from __future__ import annotations

import math

from stompcore._auth import MAX_LIFETIME, Identity, Rejected, Token, TokenVerifier
from stompcore._errors import ErrorCode
from stompcore._headers import Headers

__all__ = ["GuardedVerifier", "Revocations"]

_DETAIL = "The access token was revoked."


class Revocations:
    """What was revoked, for as long as a token of it could live.

    By `jti`: that one token. By subject: every token that was issued (`iat`) up to the moment of
    the revocation; one that does not say when counts as one of them.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, float] = {}  # jti to when it can be forgotten
        self._subjects: dict[str, float] = {}  # subject to when it was revoked

    def __len__(self) -> int:
        return len(self._tokens) + len(self._subjects)

    def revoke_token(self, token_id: str, *, until: float | None, now: float) -> None:
        """Refuse the token of this `jti`.

        Args:
            token_id: its `jti`.
            until: when it ends by itself, in Unix seconds, if that is known.
            now: Unix seconds.
        """
        self._forget_old(now)
        self._tokens[token_id] = now + MAX_LIFETIME if until is None else until

    def revoke_subject(self, subject: str, *, now: float) -> None:
        """Refuse every token that this subject has by `now`."""
        self._forget_old(now)
        self._subjects[subject] = now

    def pardon_token(self, token_id: str) -> bool:
        """Take a revocation back; whether there was one."""
        return self._tokens.pop(token_id, None) is not None

    def pardon_subject(self, subject: str) -> bool:
        """Take a revocation back; whether there was one."""
        return self._subjects.pop(subject, None) is not None

    def check(self, identity: Identity) -> None:
        """Whether this identity's token still counts.

        Raises:
            Rejected: `token-revoked`.
        """
        revoked_at = self._subjects.get(identity.subject, -math.inf)
        # `iat` is whole seconds: one that was issued in the very second counts as before.
        is_old = identity.issued_at is None or identity.issued_at <= revoked_at
        if identity.token_id in self._tokens or (revoked_at > -math.inf and is_old):
            raise Rejected(ErrorCode.TOKEN_REVOKED, _DETAIL)

    def _forget_old(self, now: float) -> None:
        self._tokens = {each: until for each, until in self._tokens.items() if until > now}
        self._subjects = {
            each: at for each, at in self._subjects.items() if at + MAX_LIFETIME > now
        }


class GuardedVerifier:
    """A `TokenVerifier` in front of which revocations stand.

    Args:
        verifier: judges tokens.
        revocations: of the server.
    """

    def __init__(self, verifier: TokenVerifier, revocations: Revocations) -> None:
        self._verifier = verifier
        self._revocations = revocations

    def verify(self, token: Token | None, *, headers: Headers, now: float) -> Identity:
        """See `TokenVerifier.verify`."""
        identity = self._verifier.verify(token, headers=headers, now=now)
        self._revocations.check(identity)
        return identity
