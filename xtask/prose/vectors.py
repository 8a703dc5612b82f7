"""Holds the client of spec.md to every file of vectors/ and to the values that spec.md itself gives.

Usage: vectors.py CLIENT VECTORS SPEC
"""

import base64
import importlib.util
import io
import json
import re
import struct
import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id


def load(path):
    found = importlib.util.spec_from_file_location("client", path)
    client = importlib.util.module_from_spec(found)
    found.loader.exec_module(client)
    return client


client = load(sys.argv[1])
VECTORS, SPEC = Path(sys.argv[2]), Path(sys.argv[3]).read_text()
OPENED = set()
# An X25519 key of low order that is not 0 (REQ-MKEY-7).
NOTHING = bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157")
CHECKS = 0


def data(name):
    """A file of vectors/, noted as used."""
    OPENED.add(name)
    return json.loads((VECTORS / name).read_text(), object_hook=lambda fields: Fields(fields))


class Fields(dict):
    """Fields by name; those that are hexadecimal digits as bytes."""

    def __getitem__(self, name):
        value = super().__getitem__(name)
        if isinstance(value, str) and re.fullmatch("([0-9a-f]{2})*", value):
            return bytes.fromhex(value)
        return value


def same(found, expected, what):
    global CHECKS
    CHECKS += 1
    if found != expected:
        sys.exit(f"{what}: {found!r:.400} where {expected!r:.400} belongs")


def is_refused(what, attempt):
    """What damaged input must bring about, whichever error says so."""
    global CHECKS
    CHECKS += 1
    try:
        attempt()
    except (ValueError, LookupError, struct.error):
        return
    sys.exit(f"{what}: taken, though it is damaged")


def flipped(whole, at):
    return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:]


# The classic dialects: recorded conversations of independent programs.


def request_payload(dialect, operation, fields):
    match operation:
        case "register":
            return struct.pack("255s160s", fields.get("name").encode(), fields["public_key"])
        case "fetch_key":
            return fields["client_id"]
        case "send_message":
            same(len(fields["content"]), fields["size"], "the size of a content")
            return client.encode_send(dialect, fields["to"], fields["type"], fields["content"])
        case _:
            same(dict(fields), {}, f"the payload of {operation}")
            return b""


def response_payload(operation, fields):
    """What the client has to find, in its own form."""
    match operation:
        case "register":
            return fields["client_id"]
        case "list_clients":
            clients = [(one["client_id"], one.get("name")) for one in fields["clients"]]
            same(len(clients), fields["count"], "the count of clients")
            return clients
        case "fetch_key":
            return (fields["client_id"] if "client_id" in fields else b"", fields["public_key"])
        case "send_message":
            return (fields["to"] if "to" in fields else b"", fields.get("message_id"))
        case "pull_messages":
            messages = [(one["from"], one.get("message_id"), one["type"], one["content"]) for one in fields["messages"]]
            same(len(messages), fields["count"], "the count of messages")
            return messages
        case _:
            return None


def recorded(name):
    conversation = data(name)
    for exchange in conversation["exchanges"]:
        what, operation = f"{name}, {exchange.get('step')}", exchange["operation"]
        dialect, asked = client.parse_dialect(conversation["dialect"]), exchange["request_fields"]
        dialect.version = asked["version"]
        payload = request_payload(dialect, operation, asked["payload"])
        crossed = bytearray(exchange["request"])
        for gap in asked.get("meaningless", []):
            crossed[gap["at"]:gap["at"] + gap["size"]] = bytes(gap["size"])
        # Where a quirk makes the declared size wrong, the client writes the right one.
        at = 20 if dialect.aligned else 18 if dialect.family == "a" else 19
        same(struct.unpack(dialect.order + "I", crossed[at:at + 4])[0], asked["declared_size"], what)
        crossed[at:at + 4] = struct.pack(dialect.order + "I", len(payload))
        same(client.encode_request(dialect, operation, asked["client_id"], payload), bytes(crossed), what)

        stream, told = io.BytesIO(exchange["response"]), exchange["response_fields"]
        answer = client.read_response(stream, dialect, operation)
        same((answer.version, answer.code), (told["version"], told["code"]), what)
        same(answer.size, told["declared_size"], what)
        same(answer.echo, told["echo"] if "echo" in told else None, what)
        same(answer.payload, response_payload(operation, told["payload"]), what)
        same(stream.read(), bytes(told["behind"]), what)
        cut = exchange["response"][:stream.tell() - told["behind"] - 1]
        is_refused(what, lambda: client.read_response(io.BytesIO(cut), dialect, operation))
    return len(conversation["exchanges"])


def codec(name):
    """Single frames of a classic dialect, good and faulty: requests are written, responses read or refused."""
    file, whole = data(name), {}
    for vector in file["vectors"]:
        id, source, expected = vector.get("id"), vector["bytes"], vector["expect"]
        if isinstance(source, dict):
            crossed, done = b"", 0
            for edit in source["patch"]:
                crossed += whole[source.get("base")][done:edit["at"]] + edit["insert"]
                done = edit["at"] + edit["remove"]
            crossed += whole[source.get("base")][done:]
        else:
            crossed = whole[id] = source
        dialect, is_accepted = client.parse_dialect(file.get("dialect")), expected.get("verdict") == "accept"
        if "request" in vector["read"]:
            if is_accepted and crossed is source:
                asked, operation = expected["fields"], vector["read"].get("request")
                version = asked["version"]
                dialect.version = version - 48 if version > 48 else version
                payload = request_payload(dialect, operation, asked["payload"])
                same(client.encode_request(dialect, operation, asked["client_id"], payload), crossed, id)
            continue
        read, stream = vector["read"]["response"], io.BytesIO(crossed)
        operation = read.get("operation")
        if not is_accepted:
            is_refused(id, lambda: client.read_response(stream, dialect, operation))
            continue
        answer, told = client.read_response(stream, dialect, operation), expected["fields"]
        if "refused" in told:
            same(answer.code, 9000, id)
        else:
            same((answer.version, answer.code, answer.size), (told["version"], told["code"], told["declared_size"]), id)
            same(answer.payload, response_payload(operation, told["payload"]), id)
            same(stream.read(), bytes(told["behind"]), id)
    return len(file["vectors"])


def given():
    """The values of section 3.1, by name."""
    block = SPEC.split("```given\n")[1].split("```")[0]
    values = re.findall(r"^(\S+) =((?:.*\n)(?:  .*\n)*)", block, re.M)
    return {name: "".join(text.split()) if name != "text" else text.strip()[1:-1] for name, text in values}


class Example:
    """An annotated request or response of a session in spec.md: its operation, its fields, its bytes."""

    def __init__(self, text, name, dialect, values):
        self.is_bare = name.endswith("/no-key-id")
        title, *lines = text.splitlines()
        self.operation, *fields = title.split()
        self.fields = [field.split("=", 1) for field in fields]
        self.dialect, self.values, self.bytes = dialect, values, b""
        for token in " ".join(line.split(";")[0] for line in lines).split():
            if token.startswith("["):
                self.bytes += bytes.fromhex(values[token.strip("[]")])
            elif "*" in token:
                byte, count = token.split("*")
                self.bytes += bytes.fromhex(byte) * int(count)
            else:
                self.bytes += bytes.fromhex(token)

    def __getitem__(self, name):
        return next(value for field, value in self.fields if field == name)

    def all(self, name):
        return [value for field, value in self.fields if field == name]

    def id(self, name):
        if name == "nobody":
            return bytes(16)
        id = bytes.fromhex(self.values.get(f"{name}.id", name))
        return id[:8].hex().encode() if self.dialect.digits else id

    def content(self, name):
        return b"" if name == "none" else bytes.fromhex(self.values[name])

    def payload(self):
        """Of a request."""
        match self.operation:
            case "register":
                return struct.pack("255s160s", self["name"].encode(), self.content(self["key"] + ".public"))
            case "fetch_key":
                return self.id(self["of"])
            case "send_message":
                fields = self.id(self["to"]), int(self["type"]), self.content(self["content"])
                return client.encode_send(self.dialect, *fields)
            case _:
                return b""

    def answer(self, request):
        """Of a response, in the client's form."""
        match self.operation:
            case "register":
                return self.id(self["id"])
            case "list_clients":
                return [(self.id(name), name) for name in self.all("client")]
            case "fetch_key":
                # Which id stands in front is the dialect's.
                owner = request.id(request["from"]) if self.dialect.echo else self.id(self["of"])
                return b"" if self.is_bare else owner, self.content(self["key"] + ".public")
            case "send_message":
                number = self.all("message")
                return (self.id(self["to"]), int(number[0])) if number else (b"", None)
            case "pull_messages":
                entries = [entry.split("/") for entry in self.all("entry")]
                number = int if self.dialect.message_ids else lambda _: None
                return [(self.id(of), number(id), int(kind), self.content(name)) for of, id, kind, name in entries]
            case _:
                return None


def examples():
    """The annotated sessions of sections 3, 7 and 8.3: written and read as they stand there. Gives how many frames."""
    values, frames = given(), 0
    for name, text in re.findall(r"^```session (\S+)\n(.*?)^```$", SPEC, re.M | re.S):
        request = None
        for direction, text in re.findall(r"^([<>]) (.*\n(?:  .*\n)*)", text, re.M):
            dialect = client.parse_dialect(name)
            example = Example(text, name, dialect, values)
            what, frames = f"an example of {name}: {text.splitlines()[0]}", frames + 1
            if direction == ">":
                request, dialect.version = example, int(example["version"])
                payload = example.payload()
                written = client.encode_request(dialect, example.operation, example.id(example["from"]), payload)
                at = 20 if dialect.aligned else 18 if dialect.family == "a" else 19
                same(written[:at], example.bytes[:at], what)
                same(written[at + 4:], example.bytes[at + 4:], what)
                same(written[at:at + 4] == example.bytes[at:at + 4], not example.all("wrong"), what)
                continue
            stream = io.BytesIO(example.bytes)
            answer = client.read_response(stream, dialect, request.operation)
            same(answer.code == 9000, example.operation == "refusal", what)
            if answer.code != 9000:
                same(answer.payload, example.answer(request), what)
            same(answer.echo in (None, request.id(request["from"])), True, what)
            same(stream.read().strip(b"\0"), b"", what)
    same(frames > 50, True, "the examples that were found")
    return frames


def classic_cryptography():
    values = given()
    key = bytes.fromhex(values["key"])
    for name in ("alice", "bob"):
        private = load_private(base64.b64decode(values[f"{name}.private"].removeprefix("base64")))
        same(client.spki(private).hex(), values[f"{name}.public"], f"the public key of {name}")
        client.load_rsa(bytes.fromhex(values[f"{name}.public"]), 1024, range(3, 128, 2))
    alice, bob = (load_private(base64.b64decode(values[f"{name}.private"][6:])) for name in ("alice", "bob"))
    same(client.unwrap(alice, bytes.fromhex(values["wrapped"])), key, "the wrapped key")
    is_refused("the wrapped key", lambda: client.unwrap(bob, bytes.fromhex(values["wrapped"])))
    short, long = (alice.public_key().encrypt(bytes(size), client.OAEP_SHA1) for size in (15, 40))
    is_refused("a key of 15 bytes", lambda: client.unwrap(alice, short))
    same(client.unwrap(alice, long), bytes(16), "a key in front of a buffer")
    sealed, random_iv = bytes.fromhex(values["sealed"]), bytes.fromhex(values["sealed-random-iv"])
    same(client.cbc_open(key, bytes(16), sealed).decode(), values["text"], "the sealed text")
    same(client.cbc_seal(key, bytes(16), values["text"].encode()), sealed, "the sealed text")
    same(client.cbc_open(key, random_iv[:16], random_iv[16:]).decode(), values["text"], "the sealed text with an IV")
    made = client.make_key_pair()
    same(len(client.spki(made)), 160, "the size of a new public key")
    same(client.spki(made)[157:], b"\2\1\x11", "the exponent of a new public key")


# Version 3.


def load_private(der):
    return serialization.load_der_private_key(der, None)


KEYS = {user: {use: load_private(keys[use]) for use in keys} for user, keys in data("modern/keys.json").items()}
IDENTITIES = {one["user"]: one for one in data("modern/identities.json")["identities"]}
BUNDLES = {one["owner"]: one for one in data("modern/bundles.json")["bundles"]}
NOW = data("modern/bundles.json")["now"]


def identities():
    for user, one in IDENTITIES.items():
        public = client.spki(KEYS[user]["identity"])
        same(public, one["public_key"], user)
        same(client.fingerprint(public), one["fingerprint"], user)
        same(client.client_id(one["fingerprint"]), one["client_id"], user)
        same(f"mu3:{one['client_id'].hex()}:{one['fingerprint'].hex()}", one.get("qr_code"), user)
        for at in (0, 33, 416, 417, 421):
            damaged = bytes(public[:at]) + bytes([public[at] ^ 0x81]) + bytes(public[at + 1:])
            is_refused(f"the key of {user}, byte {at}", lambda: client.load_rsa(damaged))
    for one in data("modern/identities.json")["safety_numbers"]:
        fingerprints = [IDENTITIES[user]["fingerprint"] for user in one["users"]]
        same(client.safety_number(*fingerprints), one["digits"], f"the safety number of {one['users']}")


def bundles():
    for owner, one in BUNDLES.items():
        id, pin = IDENTITIES[owner]["client_id"], IDENTITIES[owner]["fingerprint"]
        read = client.check_bundle(one["bundle"], id, NOW, pin)
        names = {"minimum_dialect": "min_dialect", "wrapping_id": "wrap_id", "wrapping_key": "wrap_key"}
        for name in client.BUNDLE.split():
            expected = IDENTITIES[owner]["public_key"] if name == "identity" else one[names.get(name, name)]
            same(getattr(read, name), expected, f"{name} of {owner}'s bundle")
        same(client.public(one["prekey_secret"]), one["prekey"], f"the prekey of {owner}")
        made = client.make_bundle(KEYS[owner]["identity"], 9, one["prekey_secret"], KEYS[owner]["wrapping"], NOW)
        same(client.check_bundle(made, id, NOW + 30 * 86400 - 1, pin).epoch, 9, "a bundle that the client makes")
        for at in (0, 1, 5, 26, 30, 66, 200, 488, 600, 910, 1293):
            damaged = flipped(one["bundle"], at)
            is_refused(f"the bundle of {owner}, byte {at}", lambda: client.check_bundle(damaged, id, NOW))
        is_refused("an old bundle", lambda: client.check_bundle(one["bundle"], id, one["expires"]))
        client.check_bundle(one["bundle"], id, NOW, pin, 5)
        is_refused("a lower epoch", lambda: client.check_bundle(one["bundle"], id, NOW, pin, 6))
        is_refused("another pin", lambda: client.check_bundle(one["bundle"], id, NOW, bytes(32)))


def inits():
    """Opens every INIT, holding each value on the way to what is given. Gives the sessions of the first, both sides."""
    sessions = None
    for number, one in enumerate(data("modern/inits.json")["inits"]):
        what, steps, init, sender, to = f"INIT {number}", one["steps"], one["envelope"], one.get("from"), one.get("to")
        keys, us = BUNDLES[to], IDENTITIES[to]["fingerprint"]
        secrets = [keys["prekey_secret"]] + ([keys["one_time_secret"]] if steps["agreed_once"] else [])
        agreed = [client.agree(secret, init[20:52]) for secret in secrets]
        same(agreed, [given for given in (steps["agreed"], steps["agreed_once"]) if given], what)
        r = client.unwrap_secret(KEYS[to]["wrapping"], init[52:436])
        same(r, steps["random"], what)
        same(client.sha256(keys["bundle"]), steps["bundle_hash"], what)
        transcript, sender_key, pre = client.init_keys(init[:436], us, keys["bundle"], r, agreed)
        same((transcript, sender_key, pre), (steps["transcript"], steps["sender_key"], steps["pre"]), what)
        same(client.sha256(init[:436]), steps["replay_key"], what)
        block = client.open_sealed(sender_key, transcript, init[436:1316])
        same(block, steps["sender_block"], what)
        them, context = IDENTITIES[sender]["fingerprint"], b"MU3-INIT"
        signed = context + b"\0" + transcript + client.client_id(them) + client.client_id(us)
        same(signed, steps["signed"], what)
        client.verify(block[16:438], context, signed[9:], block[438:])
        secret = client.derive(transcript, pre, b"MU3-SK" + them + us, 48)
        same((secret[:32], secret[32:]), (steps["session_secret"], steps["session_id"]), what)

        opening = KEYS[to]["wrapping"], secrets
        session, (kind, body) = client.open_init(us, init, keys["bundle"], *opening, NOW)
        same((kind, body), (steps["frame"]["type"], steps["frame"]["body"]), what)
        same((session.root, session.id, session.them), (steps["root_key"], steps["session_id"], them), what)
        same(client.mac(steps["chain_key"], b"\1"), steps["message_key"], what)
        same(session.receiving, client.mac(steps["chain_key"], b"\2")[:32], what)
        for at in (0, 8, 12, 16, 20, 100, 436, 900, 1316, 1330, 1340, 1376, 1400, len(init) - 1):
            damaged = flipped(init, at)
            # What names the keys to open with is in the transcript.
            is_refused(f"{what}, byte {at}", lambda: client.open_init(us, damaged, keys["bundle"], *opening, NOW))
        sessions = sessions or {to: session, sender: None}

        # And what the client makes, it opens, by the same way.
        peer = client.check_bundle(keys["bundle"], client.client_id(us), NOW)
        one_time = (7, client.public(keys["one_time_secret"])) if steps["agreed_once"] else (0, bytes(32))
        frame = client.encode_frame(3, b"text", NOW * 1000, bytes(16))
        made, ours = client.seal_init(KEYS[sender]["identity"], keys["bundle"], peer, *one_time, frame)
        theirs, (kind, body) = client.open_init(us, made, keys["bundle"], *opening, NOW)
        same((kind, body), (3, b"text"), f"{what} that the client makes")
        theirs, (kind, body) = theirs.open(ours.seal(frame), NOW)
        answer = theirs.seal(frame)
        same(ours.open(answer, NOW)[1], (3, b"text"), "an answer in it")
        is_refused("the same message again", lambda: ours.open(answer, NOW)[0].open(answer, NOW))
    return sessions


def worked_example():
    """Section 24: everything from Bob's secrets and the bytes that crossed."""
    block = SPEC.split("## 24 A worked example")[1].split("```hex\n")[1].split("```")[0]
    given = {name: bytes.fromhex(text) for name, text in re.findall(r"^(\w+) =((?:.*\n)(?:  .*\n)*)", block, re.M)}
    found, init = {}, given["INIT"]
    found["fingerprint_B"] = us = client.fingerprint(given["bundle_B"][488:910])
    found["bundle_hash"] = client.sha256(given["bundle_B"])
    found["random"] = r = client.unwrap_secret(KEYS["bob"]["wrapping"], init[52:436])
    found["agreed"] = client.agree(given["prekey_secret"], init[20:52])
    found["agreed_once"] = client.agree(given["one_time_secret"], init[20:52])
    agreed = [found["agreed"], found["agreed_once"]]
    found["T"], found["K0"], found["pre"] = client.init_keys(init[:436], us, given["bundle_B"], r, agreed)
    found["sender_block"] = block = client.open_sealed(found["K0"], found["T"], init[436:1316])
    found["fingerprint_A"] = them = client.fingerprint(block[16:438])
    found["id_A"], found["id_B"] = client.client_id(them), client.client_id(us)
    found["signed"] = b"MU3-INIT\0" + found["T"] + found["id_A"] + found["id_B"]
    secret = client.derive(found["T"], found["pre"], b"MU3-SK" + them + us, 48)
    found["SK"], found["session_id"] = secret[:32], secret[32:]
    keys = client.derive(found["SK"], client.agree(given["prekey_secret"], init[1340:1372]), b"MU3-RK", 64)
    found["root"], found["chain"] = keys[:32], keys[32:]
    found["message_key"] = client.mac(found["chain"], b"\1")
    found["aad"] = b"MU3-MSG\0" + client.parties(them, us) + init[1316:1380]
    found["plaintext"] = client.open_sealed(found["message_key"], found["aad"], init[1380:])
    same(client.decode_frame(found["plaintext"]), (3, b"Hello, Bob!"), "the message of section 24")
    for name, value in given.items():
        if name not in ("bundle_B", "prekey_secret", "one_time_secret", "INIT"):
            same(found[name], value, f"{name} of section 24")
    secrets = [given["prekey_secret"], given["one_time_secret"]]
    session, _ = client.open_init(us, init, given["bundle_B"], KEYS["bob"]["wrapping"], secrets, NOW)
    same(session.root, found["root"], "the root of section 24")


def session(sessions):
    """Every message of the session is opened by its recipient, and sealed again by its sender to the same bytes."""
    given = data("modern/session.json")
    first = data("modern/inits.json")["inits"][0]
    sender, to = first.get("from"), first.get("to")
    prints = {user: IDENTITIES[user]["fingerprint"] for user in (sender, to)}
    secret = first["steps"]["session_secret"] + first["steps"]["session_id"]
    begun = client.Session(secret, prints[sender], prints[to], None, BUNDLES[to]["prekey"])
    sealed_again(begun, given["first_ratchet_secret"], first["envelope"][1316:], first["steps"]["frame"])
    sessions[sender] = begun
    for number, one in enumerate(given["messages"]):
        what, sender, message = f"message {number}", one.get("from"), one["envelope"]
        recipient = next(user for user in sessions if user != sender)
        same(struct.unpack("<II", message[56:64]), (one["previous_count"], one["number"]), what)
        same((message[24:56], client.public(one["ratchet_secret"])), (one["ratchet"], one["ratchet"]), what)
        sealed_again(sessions[sender], one["ratchet_secret"], message, one["frame"])
        aad = b"MU3-MSG\0" + client.parties(prints[sender], prints[recipient]) + message[:64]
        same(aad, one["aad"], what)
        client.open_sealed(one["message_key"], aad, message[64:])
        for at in (0, 8, 24, 56, 60, 64, 90, len(message) - 1):
            is_refused(f"{what}, byte {at}", lambda: sessions[recipient].open(flipped(message, at), NOW))
        sessions[recipient], (kind, body) = sessions[recipient].open(message, NOW)
        same((kind, body), (one["frame"]["type"], one["frame"]["body"]), what)
        same(sessions[recipient].root, one["root_key"], what)
        is_refused(f"{what} again", lambda: sessions[recipient].open(message, NOW))
    return len(given["messages"])


def sealed_again(sender, ratchet_secret, message, frame):
    """Seals with the randomness that was used: the ratchet key, if one is due, then the IV."""
    draws = ([ratchet_secret] if sender.own is None else []) + [message[64:80]]
    client.random_bytes = lambda size: draws.pop(0)
    frame = client.encode_frame(frame["type"], frame["body"], frame["sent"], frame["message_id"])
    same(sender.seal(frame), message, "a message that is sealed again")
    same(draws, [], "what randomness is left")
    client.random_bytes = client.os.urandom


def out_of_order():
    """A session with what is late, lost and too far ahead."""
    secret, frame = bytes(range(48)), client.encode_frame(0, b"", 0, bytes(16))
    prints, prekey = (bytes([1]) * 32, bytes([2]) * 32), bytes([3]) * 32
    sender = client.Session(secret, *prints, None, client.public(prekey))
    receiver = client.Session(secret, *prints[::-1], prekey, None)
    messages = [sender.seal(frame) for _ in range(1003)]
    is_refused("1,001 ahead", lambda: receiver.open(messages[1001], NOW))
    receiver, _ = receiver.open(messages[1000], NOW)
    same(len(receiver.kept), 1000, "keys that are kept")
    receiver, _ = receiver.open(messages[5], NOW)
    is_refused("one that was taken", lambda: receiver.open(messages[5], NOW))
    is_refused("one whose key is 30 days old", lambda: receiver.open(messages[6], NOW + 30 * 86400))


def late_over_a_step():
    """What was sent before a new ratchet key is opened after it, and nobody takes one that was not called for."""
    prints, prekey = (bytes([1]) * 32, bytes([2]) * 32), bytes([3]) * 32
    one = client.Session(bytes(range(48)), *prints, None, client.public(prekey))
    other = client.Session(bytes(range(48)), *prints[::-1], prekey, None)
    frames = [client.encode_frame(3, bytes([number]), 0, bytes(16)) for number in range(6)]
    first, second = one.seal(frames[0]), one.seal(frames[1])
    other, _ = other.open(first, NOW)
    one, _ = one.open(other.seal(frames[2]), NOW)
    third = one.seal(frames[3])
    other, _ = other.open(third, NOW)
    other, (_, body) = other.open(second, NOW)
    same(body, b"\1", "a message that was overtaken by a new ratchet key")
    one.own = None
    is_refused("a second ratchet key without an answer", lambda: other.open(one.seal(frames[4]), NOW))


TEXT = client.encode_frame(3, b"text", 0, bytes(16))


def made_message(secret, us, them, prekey, prefix=b"MU3\1\1\3\0\0", previous=0, number=0, frame=TEXT):
    """A message as the first of a session's chain, or one behind it, whatever it says of itself."""
    own = client.random_bytes(32)
    chain = client.derive(secret[:32], client.agree(own, prekey), b"MU3-RK", 64)[32:]
    for _ in range(number):
        chain = client.mac(chain, b"\2")[:32]
    header = prefix + secret[32:] + client.public(own) + struct.pack("<II", previous, number)
    aad = b"MU3-MSG\0" + client.parties(us, them) + header
    return header + client.seal(client.mac(chain, b"\1"), aad, frame)


def made_init(bundle, identity="alice", signer="alice", id=None, context=b"MU3-INIT", **message):
    """An INIT with the right keys for this bundle, and whatever sender and message."""
    peer = client.check_bundle(bundle, client.client_id(client.fingerprint(bundle[488:910])), NOW)
    us, them = IDENTITIES[identity]["fingerprint"], client.fingerprint(peer.identity)
    ephemeral, r = client.random_bytes(32), client.random_bytes(32)
    header = b"MU3\1\1\2\0\0" + struct.pack("<III", peer.prekey_id, 0, peer.wrapping_id)
    header += client.public(ephemeral) + client.load_rsa(peer.wrapping_key).encrypt(r, client.KEM)
    agreed = [client.agree(ephemeral, peer.prekey)]
    transcript, sender_key, pre = client.init_keys(header, them, bundle, r, agreed)
    id = id or client.client_id(us)
    signature = client.sign(KEYS[signer]["identity"], context, transcript + id + client.client_id(them))
    block = client.seal(sender_key, transcript, id + IDENTITIES[identity]["public_key"] + signature)
    secret = client.derive(transcript, pre, b"MU3-SK" + us + them, 48)
    return header + block + made_message(secret, us, them, peer.prekey, **message)


def ill_willed():
    """What peers can make who have the keys and keep to nothing else: every tag holds, so a rule has to refuse it."""
    keys, bob = BUNDLES["bob"], IDENTITIES["bob"]["fingerprint"]
    frames = {
        "a flag": b"\3\1" + TEXT[2:],
        "a zero that is none": TEXT[:-1] + b"\1",
        "more room than it takes": TEXT.ljust(1023, b"\0"),
        "a size beyond its end": struct.pack("<BBQ16sI", 3, 0, 0, bytes(16), 226).ljust(255, b"\0"),
    }
    messages = {f"a frame with {what}": {"frame": frame} for what, frame in frames.items()}
    messages["a flag in its prefix"] = {"prefix": b"MU3\1\1\3\1\0"}
    inits = {
        "another's signature": {"signer": "carol"},
        "a signature under another context": {"context": b"MU3-AUTH"},
        "another's id": {"id": IDENTITIES["carol"]["client_id"]},
        "ourselves as its sender": {"identity": "bob", "signer": "bob"},
        "a second message": {"number": 1},
        "messages before it": {"previous": 1},
    }

    def opened(init):
        return client.open_init(bob, init, keys["bundle"], KEYS["bob"]["wrapping"], [keys["prekey_secret"]], NOW)[1]

    same(opened(made_init(keys["bundle"])), (3, b"text"), "an INIT that is made here")
    for what, how in (inits | messages).items():
        is_refused(f"an INIT with {what}", lambda: opened(made_init(keys["bundle"], **how)))
    alice, secret = IDENTITIES["alice"]["fingerprint"], bytes(range(48))
    session = client.Session(secret, bob, alice, keys["prekey_secret"], None)
    same(session.open(made_message(secret, alice, bob, keys["prekey"]), NOW)[1], (3, b"text"), "a message made here")
    for what, how in messages.items():
        made = made_message(secret, alice, bob, keys["prekey"], **how)
        is_refused(f"a message with {what}", lambda: session.open(made, NOW))
    peer = client.check_bundle(keys["bundle"], IDENTITIES["bob"]["client_id"], NOW)
    identity = KEYS["bob"]["identity"]
    is_refused("an INIT to oneself", lambda: client.seal_init(identity, keys["bundle"], peer, 0, b"", TEXT))
    same(len(client.encode_frame(3, bytes(65505), 0, bytes(16))), 65535, "the longest frame")
    is_refused("a body of 65,506 bytes", lambda: client.encode_frame(3, bytes(65506), 0, bytes(16)))

    def signed_again(whole, size, context, at, value):
        content = whole[:at] + value + whole[at + len(value):size]
        return content + client.sign(KEYS["bob"]["identity"], context, content)

    id = IDENTITIES["bob"]["client_id"]
    for at, value in ((0, b"\1"), (1, b"\3")):
        client.check_bundle(signed_again(keys["bundle"], 910, b"MU3-BUNDLE", at, value), id, NOW)
    for at, value in ((0, b"\2"), (1, b"\2"), (1, b"\4"), (66, b"\0"), (487, b"\3"), (30, bytes(32)), (30, NOTHING)):
        made = signed_again(keys["bundle"], 910, b"MU3-BUNDLE", at, value)
        is_refused(f"a bundle with {value} at {at}", lambda: client.check_bundle(made, id, NOW))
    content = b"MU3\1\1\1\0\0" + id + id + struct.pack("<I32sQ", 5, keys["prekey"], NOW) + IDENTITIES["bob"]["public_key"]
    client.check_offer(id, signed_again(content, 506, b"MU3-OFFER", 0, b"MU3"), NOW)
    for at, value in ((6, b"\1"), (8, bytes(16)), (43, b"\x80"), (44, bytes(32)), (44, NOTHING)):
        made = signed_again(content, 506, b"MU3-OFFER", at, value)
        is_refused(f"an OFFER with {value} at {at}", lambda: client.check_offer(id, made, NOW))


def users():
    """What the users of the client refuse: without a server, whose answers are made here."""
    classic, private = object.__new__(client.ClassicUser), client.make_key_pair()
    classic.key, classic.keys, classic.asked, classic.dialect = private, {}, {b"peer"}, client.parse_dialect("e")
    wrapped = private.public_key().encrypt(bytes(16), client.OAEP_SHA1)
    is_refused("a key from who was not asked", lambda: classic.take(b"other", 2, wrapped))
    classic.take(b"peer", 2, wrapped)
    same(classic.keys, {b"peer": bytes(16)}, "the keys that were taken")
    is_refused("a second key for one request", lambda: classic.take(b"peer", 2, wrapped))
    sent = []
    classic.send = lambda *content: sent.append(content)
    for owner in (b"", b"peer"):
        classic.call = lambda operation, to: (owner, client.spki(private))
        classic.answer(b"peer")
    same(len(sent), 2, "keys that were sent")
    classic.call = lambda operation, to: (b"other", client.spki(private))
    is_refused("a public key of somebody else", lambda: classic.answer(b"peer"))

    modern, bob = object.__new__(client.ModernUser), KEYS["bob"]
    modern.identity, modern.wrapping_key = bob["identity"], bob["wrapping"]
    modern.prekey, modern.us = BUNDLES["bob"]["prekey_secret"], IDENTITIES["bob"]["fingerprint"]
    modern.bundle = client.make_bundle(bob["identity"], 1, modern.prekey, bob["wrapping"], NOW)
    modern.one_time, modern.names, modern.sessions, modern.active = {}, {}, {}, {}
    modern.pinned, modern.seen = {}, set()
    init = made_init(modern.bundle)
    same(modern.take(init, NOW), f"{IDENTITIES['alice']['client_id'].hex()}: text", "an INIT that is taken")
    is_refused("the same INIT again", lambda: modern.take(init, NOW))
    answer = made_init(modern.bundle, frame=client.encode_frame(2, bytes(4), 0, bytes(16)))
    is_refused("an answer to no OFFER", lambda: modern.take(answer, NOW))
    modern.pinned[IDENTITIES["alice"]["client_id"]] = bytes(32)
    is_refused("an INIT of somebody with a pinned id", lambda: modern.take(made_init(modern.bundle), NOW))

    sent, asker = [], IDENTITIES["carol"]
    offered = client.types.SimpleNamespace(sender=asker["client_id"], id=5, key=client.public(bytes(32)))
    offered.fingerprint, modern.epochs = asker["fingerprint"], {}
    bundle = client.make_bundle(KEYS["carol"]["identity"], 1, bytes(32), KEYS["carol"]["wrapping"], int(time.time()))
    one_time_key = struct.pack("<I", 9) + client.public(bytes([1]) * 32)
    modern.call = lambda code, *parts: sent.append(code) or bundle + one_time_key
    modern.offers = {asker["client_id"]: offered}
    modern.answer(asker["client_id"])
    same(sent, [3011, 3020], "what the server was asked for an answer")
    modern.offers[asker["client_id"]], modern.pinned[asker["client_id"]] = offered, bytes(32)
    is_refused("an answer to another identity than the pinned one", lambda: modern.answer(asker["client_id"]))
    modern.pinned[asker["client_id"]], modern.epochs[asker["client_id"]] = asker["fingerprint"], 2
    modern.offers[asker["client_id"]] = offered
    is_refused("an older bundle than one that was seen", lambda: modern.answer(asker["client_id"]))
    same(sent, [3011, 3020, 3011, 3011], "what the server was asked")

    modern.call = lambda code, *parts: bytes(16)
    modern.find("carol")
    modern.call = lambda code, *parts: bytes([1]) * 16
    is_refused("a name that is somebody else's now", lambda: modern.find("carol"))
    id, key, content = bytes(16), bytes(64), bytes(70000)
    chunks = [client.seal_chunk(id, key, 0, 2, content[:65536]), client.seal_chunk(id, key, 1, 2, content[65536:])]
    asked = []

    def stored(code, id, index=None):
        asked.append(code)
        return bytes(4) + chunks[int.from_bytes(index, "little")] if index else bytes(4)

    modern.call = stored
    tags = client.sha256(*[chunk[-32:] for chunk in chunks])
    same(modern.fetch(id, key, 70000, 2, tags, "name"), content, "a file that is fetched")
    same(asked, [3031, 3031, 3032], "what the server was asked for")
    is_refused("a file of another size", lambda: modern.fetch(id, key, 70001, 2, tags, "name"))
    is_refused("a file with other tags", lambda: modern.fetch(id, key, 70000, 2, bytes(32), "name"))
    is_refused("a file that is cut", lambda: modern.fetch(id, key, 65536, 1, client.sha256(chunks[0][-32:]), "name"))
    chunks.reverse()
    is_refused("a file whose chunks are swapped", lambda: modern.fetch(id, key, 70000, 2, tags, "name"))


def offer():
    given = data("modern/offer.json")
    us = IDENTITIES[given.get("to")]["client_id"]
    read = client.check_offer(us, given["envelope"], NOW)
    same((read.id, read.key), (given["offer_id"], client.public(given["key_secret"])), "the OFFER")
    sender = IDENTITIES[given.get("from")]
    same((read.sender, read.fingerprint), (sender["client_id"], sender["fingerprint"]), "whose OFFER it is")
    client.check_offer(us, given["envelope"], given["issued"] + 30 * 86400 - 1)
    client.check_offer(us, given["envelope"], given["issued"] - 86400)
    is_refused("an OFFER of 30 days", lambda: client.check_offer(us, given["envelope"], given["issued"] + 30 * 86400))
    is_refused("an OFFER of tomorrow", lambda: client.check_offer(us, given["envelope"], given["issued"] - 86401))
    for at in (0, 4, 7, 8, 24, 40, 44, 76, 84, 300, 506, 889):
        is_refused(f"the OFFER, byte {at}", lambda: client.check_offer(us, flipped(given["envelope"], at), NOW))


def file():
    given = data("modern/file.json")
    id, key, size, count, tags, name = client.decode_manifest(given["manifest"])
    fields = ("file_id", "file_key", "size", "chunks", "tags")
    same((id, key, size, count, tags), tuple(given[field] for field in fields), "the manifest")
    same(name, given.get("name"), "the name")
    for place in given["places"]:
        count = place["index"] + 1 if place["last"] else place["index"] + 2
        found = client.chunk_keys(id, key, place["index"], count)
        same(found, (place["key"], place["aad"], place["iv_key"]), f"the place {place['index']}")
    same(client.seal_chunk(id, key, 0, 1, given["content"]), given["chunk"], "the chunk")
    same(client.sha256(given["chunk"][-32:]), given["tags"], "the tags")
    key, aad, _ = client.chunk_keys(id, key, 0, 1)
    same(client.open_sealed(key, aad, given["chunk"]), given["content"], "the file")
    for at in (0, 20, 79):
        is_refused(f"the chunk, byte {at}", lambda: client.open_sealed(key, aad, flipped(given["chunk"], at)))
    for name in (b"", b".", b"..", b"a/b", b"a\\b", b"a:b", b"a\0", "a\u202eb".encode(), b"\xff", b"x" * 256):
        is_refused(f"the name {name}", lambda: client.decode_manifest(given["manifest"][:124] + name))
    is_refused("a manifest of other chunks", lambda: client.decode_manifest(flipped(given["manifest"], 88)))


def key_file():
    """No peer sees it: the client has the AEAD for it alone."""
    given = data("modern/key_file.json")
    header, sealed = given["file"][:37], given["file"][37:]
    salt, memory, passes, lanes = (given[field] for field in ("salt", "memory_kib", "passes", "lanes"))
    named = struct.pack("<8sBIII16s", b"MU3-KEYS", 1, memory, passes, lanes, salt)
    same(header, named, "the header of the key file")
    argon = Argon2id(salt=salt, length=64, iterations=passes, lanes=lanes, memory_cost=memory)
    key = argon.derive(given.get("passphrase").encode())
    same(client.open_sealed(key, header, sealed), given["content"], "the key file")


def statements():
    for one in data("modern/statements.json")["statements"]:
        identity = IDENTITIES[one.get("by")]["public_key"]
        context, _, fields = one["signed"].partition(b"\0")
        same(client.sha256(one["signed"]), one["hash"], one.get("what"))
        client.verify(identity, context, fields, one["signature"])
        is_refused(one.get("what"), lambda: client.verify(identity, context, fields + b"\0", one["signature"]))
        is_refused(one.get("what"), lambda: client.verify(identity, b"MU3-OFFER", fields, one["signature"]))
        made = client.sign(KEYS[one.get("by")]["identity"], context, fields)
        client.verify(identity, context, fields, made)


def step(name, check, *arguments):
    before = CHECKS
    found = check(*arguments)
    print(f"  {name}: {CHECKS - before} checks")
    return found


conversations = sorted(path.name for path in (VECTORS / "recorded").glob("*.json"))
before = CHECKS
exchanges = sum(recorded(f"recorded/{name}") for name in conversations)
print(f"  {len(conversations)} recorded conversations with {exchanges} exchanges: {CHECKS - before} checks")
# Those of version 3 are read by the generated module, with `cargo test -p xtask --test python -- --ignored`.
singles = sorted(path.name for path in (VECTORS / "codec").glob("*.json") if path.name != "3.json")
step(f"single frames of {len(singles)} dialects", lambda: sum(codec(f"codec/{name}") for name in singles))
step("the annotated sessions of spec.md", examples)
step("classic cryptography, by section 3.1", classic_cryptography)
step("identities", identities)
step("bundles", bundles)
step("the worked example of spec.md", worked_example)
begun = step("INITs", inits)
step("a session", session, begun)
step("a session out of order", out_of_order)
step("a session whose messages come late", late_over_a_step)
step("an OFFER", offer)
step("a file", file)
step("a key file", key_file)
step("statements", statements)
step("peers who keep to the keys alone", ill_willed)
step("users", users)
files = [path for folder in ("recorded", "codec", "modern") for path in (VECTORS / folder).glob("*.json")]
there = {str(path.relative_to(VECTORS)) for path in files}
same(OPENED, there - {"codec/3.json"}, "the files of vectors/ that were used")
print(f"  all {len(OPENED)} files were used: {CHECKS} checks hold")
