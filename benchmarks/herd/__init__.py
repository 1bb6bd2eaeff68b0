"""The herd: what a crowd of clients does to an auth server, and to a server that comes back.

A simulation in virtual time, seeded: the same options give the same figures, to the last digit, on
every machine. Nothing is sent anywhere.

The decisions are those of the client itself: when to ask for a token is `Credential` with
`Refresh`, when to dial is `Redial` with `Backoff`, each on the `Timers` of a client of its own.
Around them stand a network, an auth server and a STOMP server that answer and are never busy, so
that no client feels another. Clients can then be played one after another, and 100,000 of them take
no more memory than one and a list of instants.

Whole `ClientSession`s would fit into memory, but not into a minute: a refresh costs one 0.14 ms,
nearly all of it for frames that decide nothing here, and over three million are simulated. So whole
sessions are played for a sample of the crowd only, through their driver's contract and with the
same dice. They have to ask and dial at the very same instants: a run in which one does not fails.
"""
