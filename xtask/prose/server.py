"""Has users of the client of spec.md talk through the server, in every dialect: to each other, and to messageu.

Usage: server.py CLIENT SPEC MESSAGEU_SERVER MESSAGEU FOLDER
"""

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import operations

CLIENT, SPEC, SERVER, MESSAGEU, FOLDER = (Path(argument).resolve() for argument in sys.argv[1:])
SECONDS = 120
COUNTS = dict(requests=0, texts=0, files=0)


def same(found, expected, what):
    if found != expected:
        sys.exit(f"{what}: {found!r:.600} where {expected!r:.600} belongs")


def table(marker):
    rows = SPEC.read_text().split(f"<!-- {marker} -->\n")[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def dialects():
    text = SPEC.read_text().split("<!-- list: dialects -->\n")[1].split("\n\n")[0]
    return re.findall("`([a-e][/a-z0-9-]*)`", text)


class Process:
    """A program that reads and writes lines. It is ended by its process id, and does not outlive this one."""

    def __init__(self, *command, folder, **options):
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, **options)
        self.overdue = threading.Timer(SECONDS, self.process.kill)
        self.overdue.daemon = True
        self.overdue.start()

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if self.process.stdin and not error:
            self.process.stdin.close()
        else:
            self.process.terminate()
        code = self.process.wait()
        self.overdue.cancel()
        if not error:
            same(code, 0, f"the exit code of {self.process.args[0]}")

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args} ended")
        return line.rstrip("\n")


class Python(Process):
    """A user of the client of spec.md: it lives as long as its process."""

    def __init__(self, address, dialect, name, folder):
        folder.mkdir()
        super().__init__(sys.executable, CLIENT, address, dialect, folder=folder, stdin=subprocess.PIPE)
        self.name, self.folder, self.dialect = name, folder, dialect
        self("register", name)

    def __call__(self, *words):
        """What the command prints."""
        COUNTS["requests"] += 1
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        printed = []
        while (line := self.line()) != f"done {words[0]}":
            printed.append(line)
        return printed

    def ask(self, name):
        same(self("ask", name), [], "a request for a key")

    def answer(self, name):
        same(self("answer", name), [], "an answer")

    def receive(self):
        """What came, as (kind, what)."""
        return [self.event(line) for line in self("receive")]

    def event(self, line):
        if line.endswith((" asks for a key", " asks for a session")):
            return "key_request", None
        if line.endswith(": sent a key"):
            return "key_received", None
        who, _, said = line.partition(": ")
        if said.startswith("file "):
            return "file", digest(self.folder / said.removeprefix("file "))
        return "text", said

    def text(self, name, text):
        self("text", name, text)

    def file(self, name, path):
        self("file", name, path)


class Rust:
    """A user of the real client."""

    def __init__(self, address, dialect, name, folder):
        self.name, self.folder, self.address, self.dialect = name, folder, address, dialect
        folder.mkdir()
        self("register", name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __call__(self, *words):
        """What the command says, as (event, fields)."""
        COUNTS["requests"] += 1
        command = [MESSAGEU, "--profile", self.folder, "--server", self.address, "--dialect", self.dialect]
        command += ["--downloads", self.folder / "files", "--output", "json", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        same(done.returncode, 0, f"{words}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def ask(self, name):
        self("request-key", name)

    def answer(self, name):
        self("send-key", name)

    def receive(self):
        events = [event for event in self("receive") if event["event"] != "new_contact"]
        return [(event["event"], self.content(event)) for event in events]

    def content(self, event):
        match event["event"]:
            case "text":
                return event["text"]
            case "file":
                return digest(event["path"])
            case _:
                return None

    def text(self, name, text):
        self("send", name, text)

    def file(self, name, path):
        self("send-file", name, path)


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def share_a_key(one, other):
    """The classic way: one asks, the other sends."""
    one.ask(other.name)
    same(other.receive(), [("key_request", None)], f"{other.name}: a request for a key")
    other.answer(one.name)
    [(event, _)] = one.receive()
    same(event, "key_received", f"{one.name}: a key")


def exchange(sender, recipient, size):
    """A text and a file, one behind the other, and then nothing."""
    text = f"Hello {recipient.name}, this is {sender.name} in {sender.dialect}."
    path = FOLDER / f"{sender.name}-{size}.bin"
    path.write_bytes(os.urandom(size))
    sender.text(recipient.name, text)
    sender.file(recipient.name, path)
    same(recipient.receive(), [("text", text), ("file", digest(path))], f"what {recipient.name} gets")
    same(recipient.receive(), [], f"what is left for {recipient.name}")
    COUNTS["texts"] += 1
    COUNTS["files"] += 1


def converse(kind_a, kind_b, address, dialect, label, dialect_b=None):
    """Two users register, share a key if that is how it is done, and send each other texts and files."""
    before = dict(COUNTS)
    name = re.sub("[^a-z0-9]", "", f"{label}{dialect}".lower())
    # The most that `aligned` can carry; else more than one chunk and than one read.
    sizes = [9999 if "a/aligned" in (dialect, dialect_b) else 200000, 1, 0]
    with kind_a(address, dialect, f"{name}alice", FOLDER / f"{name}-alice") as alice:
        with kind_b(address, dialect_b or dialect, f"{name}bob", FOLDER / f"{name}-bob") as bob:
            if dialect != "3":
                share_a_key(alice, bob)
            for size in sizes:
                exchange(alice, bob, size)
                exchange(bob, alice, size)
            if dialect == "3" and kind_b is Rust:
                bob.ask(alice.name)
                same(alice.receive(), [("key_request", None)], "an OFFER")
                alice.answer(bob.name)
                same(bob.receive(), [("answered", None)], "the answer to an OFFER")
                exchange(alice, bob, 5)
                exchange(bob, alice, 5)
                [number] = [event["safety_number"] for event in bob("verify", alice.name)]
                [shown] = alice("verify", bob.name)
                same(shown.replace(" ", ""), number.replace(" ", ""), "the safety number")
            if dialect == "d/big-endian" and kind_b is Python:
                same(bob("delete"), [], "the end of an account")
    counts = ", ".join(f"{COUNTS[what] - before[what]} {what}" for what in COUNTS)
    print(f"  {dialect}: {label}: {counts}", flush=True)


def knows_its_server(place, pin):
    """Who was given another hash, or none, does not talk to this server."""
    other = pin[:-1] + ("0" if pin[-1] != "0" else "1")
    for address, reason in ((f"{place}#{other}", "this is another server"), (place, "CERTIFICATE_VERIFY_FAILED")):
        command = [sys.executable, CLIENT, address, "3"]
        done = subprocess.run(command, input="register mallory\n", capture_output=True, text=True, timeout=SECONDS)
        same((done.returncode, reason in done.stderr), (1, True), f"{address}: {done.stderr}")


def operations_of(place, pin):
    """What section 31.1 says of each operation."""
    found = importlib.util.spec_from_file_location("client", CLIENT)
    client = importlib.util.module_from_spec(found)
    found.loader.exec_module(client)
    host, port = place.rsplit(":", 1)
    count = operations.check(client, (host, int(port)), pin.removeprefix("sha256="), same)
    print(f"  the operations of version 3: {count} answers", flush=True)


def served_as(log, dialect):
    """The server has to have seen what the three users of Python, who registered before one of Rust, spoke."""
    registered = re.findall('registered client=[0-9a-f]+ profile="(.*)"', log.read_text())
    same(registered[-4:-1], [dialect.partition("/")[2] or "classic"] * 3, f"the profile of users of {dialect}")


def main():
    pinned = [row[0] for row in table("table: profiles-requests") if row[2] == "pin"]
    listeners = ["127.0.0.1:0"] + [f"127.0.0.1:0,profile={profile}" for profile in pinned]
    folder = FOLDER / "server"
    folder.mkdir()
    command = [SERVER, "--data", folder, "--log-file", folder / "log"]
    for listener in listeners:
        command += ["--listen", listener]
    with Process(*command, folder=folder) as server:
        places = [server.line().removeprefix("ready ").split()[0] for _ in listeners]
        pin = server.line().removeprefix("pin ")
        at = {None: places[0], **dict(zip(pinned, places[1:]))}
        for dialect in dialects():
            address = at.get(dialect.partition("/")[2] or None, places[0])
            converse(Python, Python, address, dialect, "Python and Python")
            converse(Python, Rust, address, dialect, "Python and messageu")
            served_as(folder / "log", dialect)
        converse(Python, Python, places[0], "c/ascii", "Python and Python in a/aligned", "a/aligned")
        converse(Python, Python, f"{places[0]}#{pin}", "3", "Python and Python")
        converse(Python, Rust, f"{places[0]}#{pin}", "3", "Python and messageu")
        knows_its_server(places[0], pin)
        operations_of(places[0], pin)
    counts = ", ".join(f"{COUNTS[what]} {what}" for what in COUNTS)
    print(f"  {len(dialects())} classic dialects and version 3: {counts}")


main()
