"""Token sources for `connect(token=...)`, on asyncio and trio alike.

`from_command` and `from_file` need anyio (the extra `tokens`), the two of OAuth 2.0 also httpx (the
extra `oauth`). A token that never changes needs nothing of this: `connect` takes a str.
"""

from __future__ import annotations

from stompcore_tokens._command import from_command
from stompcore_tokens._file import from_file
from stompcore_tokens._oauth import OAuth2ClientCredentials, OAuth2RefreshToken

__all__ = [
    "OAuth2ClientCredentials",
    "OAuth2RefreshToken",
    "from_command",
    "from_file",
]
