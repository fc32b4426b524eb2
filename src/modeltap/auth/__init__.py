"""Who may call: SigV4 signatures, the key ring, and the local certificate authority.

`sigv4` is pure; `keyring` and `authority` keep secrets in the `keys` folder and nowhere else. No
secret and no computed signature goes into a text that leaves this room.
"""
