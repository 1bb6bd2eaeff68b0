"""The token endpoint of an auth server (RFC 6749 section 3.2), over httpx."""

from __future__ import annotations

import base64
import contextlib
import importlib
import ipaddress
import math
import ssl
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote_plus, urlencode

from anyio import move_on_after

from stompcore import LocalProtocolError, TokenUnavailable
from stompcore_tokens._answers import Answer, judge

if TYPE_CHECKING:
    import httpx

__all__ = ["AuthMethod", "Form", "TokenEndpoint"]

#: How a client says who it is (RFC 6749 section 2.3.1).
AuthMethod = Literal["basic", "post", "none"]

#: What is posted.
Form = Mapping[str, str | Sequence[str]]

_MAX_BODY = 256 * 1024
_RESERVED = frozenset({"client_id", "client_secret", "grant_type", "refresh_token", "scope"})


class TokenEndpoint:
    """Asks for tokens.

    Args:
        url: where; ``https://``, or ``http://`` on this machine.
        client_id: who asks.
        client_secret: its password, if it has one.
        auth_method: "basic", "post" or "none"; None takes "basic" where there is a secret.
        extra: further parameters of each request, `audience` for example.
        http: who makes the requests; by default a client of its own for each, which leaves no
            connection open.
        request_timeout: for one request as a whole, in seconds.
        allow_http: allow ``http://`` to any host.

    Raises:
        LocalProtocolError: one of these makes no sense, or not with the others.
        ImportError: httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        client_secret: str | None,
        auth_method: AuthMethod | None,
        extra: Form | None,
        http: httpx.AsyncClient | None,
        request_timeout: float,
        allow_http: bool,
    ) -> None:
        self._httpx = _import_httpx()
        self._url = self._parsed(url, allow_http=allow_http)
        self._http = http
        if not 0 < request_timeout < math.inf:
            raise LocalProtocolError("request_timeout must be above 0")
        self.request_timeout = request_timeout
        self._extra = dict(extra or {})
        if taken := _RESERVED & self._extra.keys():
            raise LocalProtocolError(f"extra cannot hold {min(taken)}")
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._identify(client_id, client_secret, auth_method)
        self._tls: ssl.SSLContext | None = None

    @property
    def origin(self) -> str:
        """Scheme and host."""
        return f"{self._url.scheme}://{self._url.netloc.decode()}"

    async def ask(self, form: Form) -> Answer:
        """Post `form`, once, and judge the answer. It ends within `request_timeout`.

        Raises:
            Refused: no token will come of asking again.
            TokenUnavailable: it may be different next time.
        """
        received: tuple[int, bytes] | None = None
        with move_on_after(self.request_timeout):
            try:
                received = await self._post(urlencode({**self._extra, **form}, doseq=True))
            except TokenUnavailable:
                raise
            except Exception as error:  # httpx's, ssl's, the runtime's: none of them is for good
                # Its text is somebody else's. Its type holds no secret.
                raise TokenUnavailable(
                    f"the auth server could not be asked ({type(error).__name__})"
                ) from None
        if received is None:
            raise TokenUnavailable(
                f"the auth server did not answer within {self.request_timeout:g} s"
            )
        return judge(*received)

    # --- inside ---------------------------------------------------------------------------

    async def _post(self, content: str) -> tuple[int, bytes]:
        if self._http is not None:
            return await self._post_by(self._http, content)
        is_secure = self._url.scheme == "https"
        if self._tls is None:
            # A bare context trusts nobody, and costs nothing.
            self._tls = (
                ssl.create_default_context()
                if is_secure
                else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            )
        # No proxy of the environment's for what is sent in the clear.
        async with self._httpx.AsyncClient(verify=self._tls, trust_env=is_secure) as http:
            return await self._post_by(http, content)

    async def _post_by(self, http: httpx.AsyncClient, content: str) -> tuple[int, bytes]:
        async with http.stream(
            "POST",
            self._url,
            content=content.encode(),
            headers=self._headers,
            follow_redirects=False,
            timeout=self.request_timeout,
        ) as response:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                # What was not inflated cannot burst.
                raise TokenUnavailable("the auth server's answer is compressed, unasked")
            body = bytearray()
            try:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MAX_BODY:
                        # httpx's iterators are to be run to their end, which this brings about:
                        # trio complains of those that are only left.
                        await response.aclose()
            except Exception:
                if len(body) <= _MAX_BODY:
                    raise
            if len(body) > _MAX_BODY:
                raise TokenUnavailable("the auth server's answer is too large")
            return response.status_code, bytes(body)

    def _parsed(self, url: str, *, allow_http: bool) -> httpx.URL:
        try:
            parsed: httpx.URL = self._httpx.URL(url)
        except (self._httpx.InvalidURL, TypeError):
            raise LocalProtocolError("token_url is no URL") from None
        if parsed.scheme not in ("https", "http") or not parsed.host:
            raise LocalProtocolError("token_url must be https://, with a host")
        if parsed.userinfo or parsed.fragment:
            raise LocalProtocolError("token_url can hold neither a user nor a fragment")
        if parsed.scheme == "http" and not (allow_http or _is_loopback(parsed.host)):
            raise LocalProtocolError(
                "a token_url of http:// sends tokens in the clear: take https://, "
                "or say allow_http=True"
            )
        return parsed

    def _identify(self, id: str, secret: str | None, method: AuthMethod | None) -> None:
        if not id:
            raise LocalProtocolError("client_id cannot be empty")
        if method is None:
            method = "basic" if secret else "none"
        if method not in _METHODS:
            raise LocalProtocolError('auth_method must be "basic", "post" or "none"')
        if (method == "none") == bool(secret):
            raise LocalProtocolError('a client_secret goes with auth_method "basic" and "post"')
        if method == "basic":
            # Both are form-encoded first, which HTTP's own Basic scheme does not do.
            pair = f"{quote_plus(id)}:{quote_plus(secret or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            return
        self._extra["client_id"] = id
        if secret:
            self._extra["client_secret"] = secret


_METHODS: frozenset[str] = frozenset({"basic", "post", "none"})


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _import_httpx() -> ModuleType:
    try:
        import httpx
    except ImportError:
        raise ImportError(
            "OAuth token sources need httpx: pip install 'stompcore[oauth]'"
        ) from None
    # httpx loads this with its first client, which holds up an event loop for a tenth of a second.
    with contextlib.suppress(ImportError):
        importlib.import_module("httpcore")
    return httpx
