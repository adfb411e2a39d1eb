"""Asks the restored server on the wire, as a client would. Runs inside the isolated network.

Usage: python3 -c PROGRAM key|relay HOST ROOT. Prints the server's public key, or its relay's.
"""

import http.client
import json
import ssl
import sys

LIMIT = 64 * 1024
TIMEOUT = 10


def server_key(connection: http.client.HTTPSConnection) -> str:
    """The noise key that a new client is given (Tailscale capability version 113)."""
    connection.request("GET", "/key?v=113")
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"/key?v=113 answered {response.status}")
    return str(json.loads(response.read(LIMIT))["publicKey"])


def relay_key(connection: http.client.HTTPSConnection) -> str:
    """The relay's key, in the headers with which it accepts the DERP protocol."""
    connection.request("GET", "/derp", headers={"Connection": "Upgrade", "Upgrade": "DERP"})
    response = connection.getresponse()
    key = response.getheader("Derp-Public-Key")
    if response.status != 101 or key is None:
        raise SystemExit(f"/derp answered {response.status}, without a relay's key")
    return key.rpartition(":")[2]


if __name__ == "__main__":
    what, host, root = sys.argv[1:]
    trusted = ssl.create_default_context(cafile=root)
    asked = http.client.HTTPSConnection(host, timeout=TIMEOUT, context=trusted)
    print(relay_key(asked) if what == "relay" else server_key(asked))
