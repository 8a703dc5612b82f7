"""What section 31.1 of spec.md says of each operation of version 3, asked of a server that anybody may register with.

Every error of the table that can be brought about there without waiting is brought about.
"""

import os
import re
import struct
import time

from cryptography.hazmat.primitives.asymmetric import rsa


class Asker:
    """An identity with a connection. Answers are bytes, or the number of an error."""

    def __init__(self, client, server, pin):
        self.client, self.server, self.pin = client, server, pin
        self.identity, self.wrapping_key = (rsa.generate_private_key(65537, 3072) for _ in range(2))
        self.spki = client.spki(self.identity)
        self.fingerprint = client.fingerprint(self.spki)
        self.id = client.client_id(self.fingerprint)
        self.connect()

    def connect(self):
        self.connection = self.client.Connection(self.server, self.pin)

    def ask(self, code, *parts, asker=None):
        try:
            return self.connection.call(self.id if asker is None else asker, code, b"".join(parts))
        except ValueError as refused:
            found = re.fullmatch("the server answers 9000: ([0-9a-f]{4})[0-9a-f]{8}", str(refused))
            if not found:
                raise
            return int.from_bytes(bytes.fromhex(found[1]), "little")

    def bundle(self, epoch=1, issued=None):
        issued = int(time.time()) if issued is None else issued
        return self.client.make_bundle(self.identity, epoch, bytes([epoch]) * 32, self.wrapping_key, issued)

    def register(self, name, bundle=None, context=b"MU3-REG", asker=None):
        content = bytes([len(name)]) + name.encode() + b"\0" + (bundle or self.bundle())
        return self.ask(3002, content, self.connection.prove(self.identity, context, content), asker=asker)

    def authenticate(self, context=b"MU3-AUTH"):
        return self.ask(3001, self.connection.prove(self.identity, context))

    def publish(self, bundle, *keys):
        keys = [struct.pack("<I32s", *key) for key in keys]
        return self.ask(3010, bundle, struct.pack("<H", len(keys)), *keys)

    def send(self, to, message_id, kind=3, envelope=None):
        envelope = envelope or bytes([77, 85, 51, 1, 1, kind, 0, 0]) + os.urandom(60)
        return self.ask(3020, to, message_id, struct.pack("<BI", kind, len(envelope)), envelope)

    def pull(self, after=0, most=1 << 20):
        """Sequences and envelopes."""
        answer, found = self.ask(3021, struct.pack("<QII", after, most, 0)), []
        while answer:
            sequence, _, size = struct.unpack("<QII", answer[:16])
            found.append((sequence, answer[16:16 + size]))
            answer = answer[16 + size:]
        return found

    def acknowledge(self, *sequences):
        return self.ask(3022, struct.pack(f"<H{len(sequences)}Q", len(sequences), *sequences))

    def put(self, to, file_id, index, chunk, chunks=2):
        return self.ask(3030, to, file_id, struct.pack("<III", chunks, index, len(chunk)), chunk)

    def look_up(self, name):
        return self.ask(3040, bytes([len(name)]), name.encode())


def wait_beside_others(waiting, sender):
    """A pull that waits, a Hello behind it on the same connection, and then an envelope.

    Gives in which order they are answered, by their tags, and whether the envelope is in the pull.
    """
    connection, order = waiting.connection, []
    wait = struct.pack("<QII", 0, 1 << 20, 100_000)
    connection.socket.sendall(struct.pack("<16sBHII", waiting.id, 3, 3021, len(wait), 1001) + wait)
    connection.socket.sendall(struct.pack("<16sBHII", waiting.id, 3, 3000, 0, 1002))
    envelope = b"MU3\1\1\3\0\0" + os.urandom(60)
    for _ in range(2):
        _, _, size, tag = struct.unpack("<BHII", connection.stream.read(11))
        answer = connection.stream.read(size)
        order.append(tag)
        if tag == 1002:
            sender.send(waiting.id, os.urandom(16), envelope=envelope)
    return order, answer[16:] == envelope


def ends(asker, request):
    """Whether the connection ends behind a refusal with error 1."""
    connection = asker.connection
    connection.socket.sendall(request)
    answer = connection.stream.read(11 + 6)
    version, code, size = struct.unpack("<BHI", answer[:7])
    return (version, code, size, answer[11:13], connection.stream.read(1)) == (3, 9000, 6, b"\1\0", b"")


def check(client, server, pin, same):
    """Gives how many answers were as they have to be."""
    count = 0

    def is_(what, found, expected):
        nonlocal count
        count += 1
        same(found, expected, f"section 31.1, {what}")

    alice, bob, nobody = Asker(client, server, pin), Asker(client, server, pin), bytes(16)
    fresh = os.urandom(16)

    # A stranger.
    is_("hello", len(alice.ask(3000)), 42)
    is_("hello as anybody", len(alice.ask(3000, asker=fresh)), 42)
    is_("an unknown code", alice.ask(3099, b"anything"), 2)
    is_("a malformed payload of a stranger", alice.ask(3040, b"\5bob"), 1)
    is_("look_up of a stranger", alice.look_up("bob"), 3)
    is_("authenticate without an account", alice.authenticate(), 3)
    alice.connect()
    is_("register with a proof for something else", alice.register("alice", context=b"MU3-AUTH"), 3)
    is_("register under another id", alice.register("alice", asker=fresh), 6)
    is_("register with a bundle that has expired", alice.register("alice", alice.bundle(issued=1)), 7)
    alice.connect()
    proof = alice.connection.prove(alice.identity, b"MU3-AUTH")
    alice.ask(3000)
    is_("authenticate with a nonce that is void", alice.ask(3001, proof), 3)
    is_("nonces are new", len({alice.ask(3000)[:32] for _ in range(4)}), 4)
    alice.connect()
    is_("eight requests of a stranger", [len(alice.ask(3000)) for _ in range(8)], [42] * 8)
    is_("the ninth", alice.ask(3000), 9)
    for what, request in {
        "another version": struct.pack("<16sBHII", alice.id, 2, 3000, 0, 5),
        "a size above the operation's": struct.pack("<16sBHII", alice.id, 3, 3000, 1, 5),
        "a size above that of an unknown code": struct.pack("<16sBHII", alice.id, 3, 3099, 131073, 5),
    }.items():
        alice.connect()
        is_(what, ends(alice, request), True)

    # Accounts.
    alice.connect()
    is_("register", alice.register("operations-alice"), bytes(21))
    is_("register again", alice.register("operations-alice"), bytes(21))
    is_("register under another name", alice.register("operations-other"), 5)
    alice.connect()
    is_("to register does not authenticate", alice.look_up("operations-alice"), 3)
    is_("authenticate", alice.authenticate(), b"")
    is_("authenticate once more", alice.authenticate(), 3)
    is_("another header's client", alice.ask(3040, b"\3bob", asker=fresh), 3)
    is_("verify_registration without one", alice.ask(3003, fresh, b"123456"), 10)
    is_("register under a name that is taken", bob.register("operations-alice"), 5)
    is_("register", bob.register("operations-bob"), bytes(21))
    is_("authenticate", bob.authenticate(), b"")
    is_("look_up", bob.look_up("operations-alice"), alice.id)
    is_("look_up of nobody", bob.look_up("operations-Alice"), 4)

    # Keys.
    second, other = alice.bundle(epoch=2), bytes([9]) + bytes(31)
    is_("publish_keys", alice.publish(second, *[(id, bytes([id]) * 32) for id in range(1, 8)]), b"\7\0")
    is_("publish_keys again", alice.publish(second), b"\7\0")
    is_("ids that do not rise are left out", alice.publish(second, (0x7fffffff, other)), b"\x08\0")
    is_("another key under an id", alice.publish(second, (7, other)), 12)
    is_("a key of low order", alice.publish(second, (8, bytes(32))), 6)
    is_("an id that is none", alice.publish(second, (0, other)), 1)
    is_("an id of an offer", alice.publish(second, (1 << 31, other)), 1)
    is_("a lower epoch", alice.publish(alice.bundle(epoch=1)), 7)
    is_("another bundle of the same epoch", alice.publish(alice.bundle(epoch=2, issued=int(time.time()) - 9)), 7)
    is_("a bundle that has expired", alice.publish(alice.bundle(epoch=3, issued=1)), 7)
    is_("another's bundle", alice.publish(bob.bundle()), 6)
    is_("fetch_keys of nobody", bob.ask(3011, fresh), 4)
    is_("fetch_keys as nobody", bob.ask(3011, alice.id, asker=nobody), second + bytes(36))
    is_("fetch_keys as another", bob.ask(3011, alice.id, asker=fresh), 3)
    is_("fetch_keys of one's own", alice.ask(3011, alice.id), second + bytes(36))
    fetched = [bob.ask(3011, alice.id) for _ in range(6)]
    given = [struct.unpack("<1294sI32s", answer) for answer in fetched]
    expected = [(second, id, bytes([id]) * 32) for id in range(1, 6)] + [(second, 0, bytes(32))]
    is_("fetch_keys, five a day", given, expected)

    # Envelopes.
    ids = [os.urandom(16) for _ in range(3)]
    envelope = b"MU3\1\1\3\0\0" + os.urandom(60)
    is_("send_envelope", alice.send(bob.id, ids[0], envelope=envelope), bob.id + ids[0] + b"\0")
    is_("send_envelope again", alice.send(bob.id, ids[0]), bob.id + ids[0] + b"\1")
    is_("send_envelope, another kind", alice.send(bob.id, ids[1], kind=2, envelope=envelope), 1)
    is_("send_envelope to nobody", alice.send(fresh, ids[1]), 4)
    is_("send_envelope", alice.send(bob.id, ids[1]), bob.id + ids[1] + b"\0")
    waiting = bob.pull()
    is_("pull_envelopes", (len(waiting), waiting[0][1]), (2, envelope))
    is_("sequences rise", waiting[0][0] < waiting[1][0], True)
    is_("pull_envelopes, one at least", bob.pull(most=1), waiting[:1])
    is_("pull_envelopes, after", bob.pull(after=waiting[0][0]), waiting[1:])
    is_("acknowledge another's", alice.acknowledge(waiting[0][0]), b"\0\0")
    is_("acknowledge", bob.acknowledge(waiting[0][0], waiting[0][0] + (1 << 40)), b"\1\0")
    is_("acknowledge again", bob.acknowledge(waiting[0][0]), b"\0\0")
    is_("what is left", bob.pull(), waiting[1:])
    is_("send_envelope of what was acknowledged", alice.send(bob.id, ids[0]), bob.id + ids[0] + b"\1")
    bob.acknowledge(waiting[1][0])
    alice.send(bob.id, ids[2])
    [(later, _)] = bob.pull()
    is_("a sequence is not used again", later > waiting[1][0], True)

    bob.acknowledge(later)
    is_("pull_envelopes with nothing there", bob.pull(), [])
    is_("a pull that waits", wait_beside_others(bob, alice), ([1002, 1001], True))

    # Files.
    file_id, chunk = os.urandom(16), os.urandom(80)
    is_("put_chunk", alice.put(bob.id, file_id, 0, chunk), file_id + bytes(5))
    is_("put_chunk again", alice.put(bob.id, file_id, 0, chunk), file_id + bytes(4) + b"\1")
    is_("other bytes under its index", alice.put(bob.id, file_id, 0, chunk[::-1]), 12)
    is_("another number of chunks", alice.put(bob.id, file_id, 1, chunk, chunks=3), 12)
    is_("an index that is none", alice.put(bob.id, file_id, 2, chunk), 1)
    is_("too many chunks", alice.put(bob.id, os.urandom(16), 0, chunk, chunks=(1 << 20) + 1), 8)
    is_("put_chunk to nobody", alice.put(fresh, file_id, 0, chunk), 4)
    is_("fetch_chunk", bob.ask(3031, file_id, bytes(4)), struct.pack("<I", 80) + chunk)
    is_("fetch_chunk of what is not there", bob.ask(3031, file_id, b"\1\0\0\0"), 14)
    is_("fetch_chunk of another's", alice.ask(3031, file_id, bytes(4)), 14)
    is_("drop_file of another's", alice.ask(3032, file_id), bytes(4))
    is_("drop_file", bob.ask(3032, file_id), b"\1\0\0\0")
    is_("drop_file again", bob.ask(3032, file_id), bytes(4))

    # Another identity, and the end.
    carol = Asker(client, server, pin)

    def succession(new, old=alice, issued=int(time.time())):
        fields = old.fingerprint + new.fingerprint + struct.pack("<Q", issued)
        both = client.sign(old.identity, b"MU3-ROTATE", fields), client.sign(new.identity, b"MU3-SUCCEED", fields)
        return new.bundle() + struct.pack("<Q", issued) + both[0] + both[1]

    is_("fetch_succession of who has not moved", bob.ask(3043, alice.id), 4)
    is_("rotate_identity, not signed by the one that comes", alice.ask(3041, succession(carol)[:-384], bytes(384)), 6)
    is_("rotate_identity to one that has an account", alice.ask(3041, succession(bob)), 12)
    given = succession(carol)
    is_("rotate_identity", alice.ask(3041, given), carol.id)
    is_("rotate_identity again", alice.ask(3041, given), carol.id)
    is_("rotate_identity to a third", alice.ask(3041, succession(Asker(client, server, pin))), 13)
    is_("fetch_succession", bob.ask(3043, alice.id), alice.spki + given)
    is_("the name has moved", bob.look_up("operations-alice"), carol.id)
    is_("send_envelope to who has moved", bob.send(alice.id, ids[0]), 13)
    is_("fetch_keys of who has moved", bob.ask(3011, alice.id), 13)
    is_("publish_keys of who has moved", alice.publish(alice.bundle(epoch=9)), 13)
    is_("pull_envelopes of who has moved", alice.pull(), [])
    is_("authenticate as who comes", carol.authenticate(), b"")
    is_("erase_account", bob.ask(3042), b"")
    is_("its connection ends", bob.connection.stream.read(1), b"")
    bob.connect()
    is_("authenticate as who was erased", bob.authenticate(), 3)
    is_("look_up of who was erased", carol.look_up("operations-bob"), 4)
    return count
