"""Everything that is true in one generated history, and the comparison of every region with the model.

For: knowing which rows exist, which region holds which of them, what is on its way and what was lost; predicting each
answer of the database with the model and comparing all that a region concludes. What does not belong here: which step
comes next (`state_machine`), how to reach a database (`regions`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from intelgraph.changelog.model.append import Answer, Appended, Refused, Request, append
from intelgraph.changelog.model.holding import Holding, arrive, redacted, statuses, upgrade
from intelgraph.changelog.model.log import (
    Class,
    Identity,
    Kind,
    Row,
    Status,
    Writer,
    accepted,
    classify,
    decisions,
    in_force,
    opens,
    state,
)

from .answers import compare_answer
from .regions import APPEND, DIGEST_KEY, Cluster, Json, hashed
from .wire import FENCES, Entry, bookmark, members_of, members_read_of, parse_row, same_objects

TENANTS = ("acme", "bolt")
REPEATED_KEYS = ("again", "and-again")


@dataclass(kw_only=True)
class World:
    """One history of one placement."""

    cluster: Cluster
    names: tuple[str, ...]
    number: int
    epoch: int = 0
    members: tuple[str, ...] = ()
    truth: dict[Identity, Row] = field(default_factory=dict)
    holdings: dict[str, Holding] = field(default_factory=dict)
    streams: dict[tuple[str, str], deque[Entry]] = field(default_factory=dict)
    seen: dict[str, list[Entry]] = field(default_factory=dict)
    compacted: dict[str, set[Identity]] = field(default_factory=dict)
    gaps: dict[str, str | None] = field(default_factory=dict)
    lives: dict[str, int] = field(default_factory=dict)
    keys: deque[str] = field(default_factory=lambda: deque(maxlen=3))
    misled: bool = False
    forced: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name in self.names:
            self.holdings[name] = Holding(region=name)
            self.seen[name] = []
            self.compacted[name] = set()
            self.gaps[name] = None
            self.lives[name] = self.cluster.life(name)
            for other in self.names:
                self.streams[name, other] = deque()
        for name in self.names:
            self.mark(name)
        self.deliver_everything()

    @property
    def placement(self) -> str:
        return f"p{self.number}"

    def tenant(self, index: int) -> str:
        return f"{TENANTS[index]}{self.number}"

    def writer(self, region: str) -> Writer:
        return Writer(region, self.lives[region])

    # -------------------------------------------------------------------------------------- the streams

    def take(self, origin: str) -> list[Row]:
        """Note what a region has committed: it holds it, and it is on its way to whom it is addressed."""
        written = []
        for content in self.cluster.drain(origin):
            if content["kind"] == "change":
                row = parse_row(content["content"], self.truth)
                assert row.identity not in self.truth, "an identity was given out twice"
                self.truth[row.identity] = row
                written.append(row)
                self.holdings[origin] = arrive(self.holdings[origin], row)
                for name in row.replicate_to - {origin}:
                    self.streams[origin, name].append(Entry(content=content, rows=(row,)))
            else:
                self.streams[origin, content["destination"]].append(self._signal(origin, content))
        return written

    def _signal(self, origin: str, content: Json) -> Entry:
        body = content["content"]["body"]
        if content["kind"] == "row":
            return Entry(content=content, rows=(parse_row(body, self.truth),))
        if content["kind"] == "mark":
            return Entry(content=content, rows=(), mark=True)
        gone = frozenset(self.compacted[origin]) if "floors" in body else frozenset()
        shown = redacted(self.holdings[origin])
        rows = tuple(replace(self.truth[key], objects=tuple(shown[key])) for key in sorted(gone))
        return Entry(content=content, rows=rows, compacted=gone)

    def deliver(self, origin: str, name: str) -> Entry | None:
        """Carry the next row of one stream, unless its reader would have to learn of an epoch and is held, or would be.

        (An `open` in a version that it does not read, which only who was misled writes, tells a reader of no epoch.)
        """
        stream = self.streams[origin, name]
        if not stream:
            return None
        unread = any(row.version > self.holdings[name].reads for row in stream[0].rows)
        if stream[0].opens and (self.holdings[name].held or unread):
            return None
        entry = stream.popleft()
        self.cluster.deliver(name, entry.content)
        self.learn(name, entry)
        if entry.mark:
            self._expect_gap(origin, name)
        return entry

    def learn(self, name: str, entry: Entry) -> None:
        if entry.compacted and not self.holdings[name].serves:
            return
        for row in entry.rows:
            self.holdings[name] = arrive(self.holdings[name], row)
        self.compacted[name] |= entry.compacted
        self.seen[name].append(entry)
        self._forget_if_removed(name)

    def _forget_if_removed(self, name: str) -> None:
        """A removed region keeps stubs of the rows it still had; of what it had compacted, nothing."""
        if self.compacted[name] and not self.holdings[name].serves:
            rows = {key: row for key, row in self.holdings[name].rows.items() if key not in self.compacted[name]}
            self.holdings[name] = replace(self.holdings[name], rows=rows)
            self.compacted[name] = set()

    def deliver_everything(self) -> None:
        for (origin, name), stream in self.streams.items():
            while stream and self.deliver(origin, name):
                pass

    def mark(self, origin: str) -> None:
        for _ in range(2):
            self.cluster.ask(origin, "select ig.settle()")
        self.cluster.ask(origin, "select ig.mark()")
        self.take(origin)

    def lose(self, origin: str, name: str) -> None:
        """A slot is lost: what it kept never arrives; a heartbeat is among it."""
        self.mark(origin)
        self.streams[origin, name].clear()

    def missing(self, name: str) -> set[Identity]:
        """The rows of the placement that a region lacks and that no stream will bring."""
        coming = {row.identity for other in self.names for entry in self.streams[other, name] for row in entry.rows}
        rows = self.holdings[name].rows
        whole = {key for key, row in rows.items() if not row.stub}
        return self.truth.keys() - whole - coming

    def _expect_gap(self, origin: str, name: str) -> None:
        """A mark that follows lost rows says that rows are missing.

        At home they can only be somebody's tail; and who was forced to open without them has forgotten: if its epoch
        is cut off in turn, the comparison of digests will tell it.
        """
        if name in self.forced:
            return
        standing = in_force(self.holdings[name].rows)
        if not standing or standing[0].opening is None:
            return
        concerned = {origin, name} <= standing[0].opening.regions and standing[0].identity.origin != name
        lost = {key for key in self.missing(name) if key.origin == origin and name in self.truth[key].replicate_to}
        if concerned and lost and not self.holdings[name].held:
            gap = self.cluster.ask(name, "select gap from ig.placement where id = $1", self.placement)
            assert gap is not None, f"{name} does not know that it lacks {sorted(lost)}"

    # -------------------------------------------------------------------------------------- the answers

    def call(self, request: Request) -> tuple[Any, ...]:
        """The arguments of ``ig.append``; the model's request carries hashes."""
        self.keys.append(request.key)
        hash_ = hashed(request.request)
        return (self.placement, request.epoch, request.tenant, request.key, hash_, list(request.operations))

    def expect(self, region: str, request: Request) -> Answer:
        """What the model says a region answers to a write."""
        known = replace(request, key=hashed(request.key).hex(), request=hashed(request.request).hex())
        answer = append(self.holdings[region], self.writer(region), known)
        if self.gaps[region] is not None and not (isinstance(answer, Refused) and answer.code in FENCES):
            return Refused(code="gap")
        return answer

    def append(self, region: str, request: Request) -> None:
        expected = self.expect(region, request)
        answer = self.cluster.ask(region, APPEND, *self.call(request))
        written = self.take(region)
        compare_answer(self, expected, answer, written)

    def open(self, region: str, members: Sequence[str], force: bool) -> None:
        """Open the next epoch, and hold its cut against what the region really held."""
        before = self.holdings[region]
        known = bool(opens(before.rows))
        wanted = tuple(name for name in self.names if name in members)
        arguments = (self.placement, self.epoch + 1, region, list(wanted), None, "home", DIGEST_KEY, force)
        answer = self.cluster.ask(region, "select ig.open($1, $2, $3, $4, $5, $6, $7, $8)", *arguments)
        written = self.take(region)
        if answer["status"] == "refused":
            codes = {"held": before.held, "gap": self.gaps[region] is not None and not force}
            codes["unknown_placement"] = not known and not force and self.epoch > 0
            codes["region_not_allowed"] = known and region not in members_of(before)
            codes["fenced"] = bool(opens(before.rows)) and opens(before.rows)[0].epoch > self.epoch
            assert codes.get(answer["code"]), answer
            return
        assert not before.held and (force or self.gaps[region] is None)
        self.epoch, self.members = self.epoch + 1, wanted
        if force:
            self.forced.add(region)
        after = self.holdings[region]
        assert [row.kind for row in written] == [Kind.OPEN]
        assert {*wanted, *members_of(before)} <= written[0].replicate_to, "who is removed must hear of it"
        if not force:
            assert state(after.read) == state(before.read), "opening an epoch changed what its home shows"
        self._no_ghosts(region)

    def _no_ghosts(self, region: str) -> None:
        """No row that the new home lacks counts anywhere because of its cut."""
        rows = self.holdings[region].read
        for identity in self.truth.keys() - rows.keys() - self.compacted[region]:
            row = self.truth[identity]
            with_it = {**rows, identity: row}
            adopted = identity in decisions(with_it)
            assert adopted or identity not in accepted(with_it), f"{region}'s cut covers {identity}, not held there"

    def decide(self, region: str, kind: Kind, chosen: Sequence[Identity]) -> None:
        holding = self.holdings[region]
        rows = [one._asdict() for one in chosen]
        answer = self.cluster.ask(region, f"select ig.{kind.value}($1, $2, 'a test')", self.placement, rows)
        written = self.take(region)
        classes = classify(holding.read)
        inert = [one for one in chosen if statuses(holding).get(one) is Status.INERT]
        if answer["status"] == "ok":
            assert [row.named for row in written] == [frozenset(chosen)]
            assert len(inert) == len(chosen)
            assert kind is Kind.REJECT or all(classes.get(one) is not Class.ILLEGAL for one in chosen)
        else:
            assert not written

    # ----------------------------------------------------------------------------------- other steps

    def at_home(self, region: str) -> bool:
        """Whether this region wrote the highest epoch, in its present life."""
        return self.believes(region) and self.believed(region) == self.epoch

    def believes(self, region: str) -> bool:
        """Whether a region takes itself for the home, in its present life."""
        standing = in_force(self.holdings[region].rows)
        return bool(standing) and standing[0].identity.writer == self.writer(region)

    def believed(self, region: str) -> int:
        """The epoch a region believes to be open."""
        standing = in_force(self.holdings[region].rows)
        return standing[0].epoch if standing else 1

    def may_open(self, region: str) -> bool:
        """Only a region that the control store allows now; and epochs wait while some reader is held."""
        return region in self.members and not any(holding.held for holding in self.holdings.values())

    def new_life(self, region: str) -> None:
        self.cluster.new_life(region)
        self.lives[region] += 1

    def deliver_at_once(self, first: str, second: str, name: str) -> bool:
        """Two streams at once at one reader; which of the two is first makes no difference."""
        ready = self.streams[first, name] and self.streams[second, name]
        if first == second or not ready or self.holdings[name].held:
            return False
        one, other = self.streams[first, name].popleft(), self.streams[second, name].popleft()
        self.cluster.deliver_at_once(name, one.content, other.content)
        self.learn(name, one)
        self.learn(name, other)
        return True

    def append_at_once(self, region: str, requests: Sequence[Request]) -> None:
        """What was written must be what the model writes in the order of positions."""
        before = self.holdings[region]
        answers = self.cluster.append_at_once(region, [self.call(request) for request in requests])
        written = sorted(self.take(region), key=lambda row: row.identity.position)
        self._replay(before, region, requests, written)
        told = {answer["bookmark"] for answer in answers if answer["status"] == "ok"}
        assert told == {bookmark(row) for row in written}
        repeats = {answer["bookmark"] for answer in answers if answer["status"] == "repeated"}
        assert repeats <= {bookmark(row) for row in self.holdings[region].rows.values()}

    def _replay(self, before: Holding, region: str, requests: Sequence[Request], written: Sequence[Row]) -> None:
        holding, epoch = before, self.believed(region)
        by_key = {hashed(request.key).hex(): request for request in requests}
        for row in written:
            request = replace(by_key[str(row.key)], epoch=epoch, key=str(row.key), request=str(row.request))
            expected = append(holding, self.writer(region), request)
            assert isinstance(expected, Appended), expected
            assert same_objects(expected.objects.values(), row.objects), (expected, row.objects)
            holding = arrive(holding, row)

    def deliver_beside_append(self, origin: str, region: str, request: Request) -> bool:
        """A row arrives at home while a write is not committed yet; either may come first."""
        stream = self.streams[origin, region]
        if not stream or self.holdings[region].held or stream[0].opens:
            return False
        entry = stream.popleft()
        before = self.holdings[region]
        self.cluster.deliver_beside_append(region, self.call(request), entry.content)
        written = self.take(region)
        self.learn(region, entry)
        if not entry.rows:
            self._replay(before, region, [request], written)
        return True

    def repeat(self, name: str, which: int) -> bool:
        entries = [entry for entry in self.seen[name] if entry.rows and not entry.compacted]
        if not entries or self.compacted[name]:
            return False
        entry = entries[which % len(entries)]
        self.cluster.deliver(name, entry.content)
        self.learn(name, entry)
        return True

    def reissue(self, source: str, name: str) -> None:
        """Everything one region holds of the placement, to another; refused where it may not go."""
        holding = self.holdings[source]
        allowed = {source, name} <= members_read_of(holding)
        for writer in sorted({key.writer for key in holding.rows}):
            position: int | None = 0
            while position is not None:
                answer = self.cluster.ask(
                    source, "select ig.reissue($1, $2, $3, $4, $5, 5)", self.placement, name, *writer, position
                )
                assert answer["status"] == ("ok" if allowed else "refused"), answer
                position = answer.get("next")
        if allowed and self.compacted[source]:
            self.cluster.ask(source, "select ig.reissue_snapshot($1, $2)", self.placement, name)
        assert not self.take(source)

    def close_gap(self, name: str) -> bool:
        """Once a region lacks nothing (in the product: once its digests agree)."""
        if self.gaps[name] is None or self.missing(name):
            return False
        self.cluster.ask(name, "select ig.close_gap($1)", self.placement)
        return True

    def mislead(self, home: str) -> None:
        self.misled = True
        self.upgrade(home)
        self.cluster.ask(home, "update ig.peer set reads = 2")

    def may_compact(self) -> bool:
        """Every region of the placement holds every row whole, and none waits for a decision or for an upgrade."""
        return all(
            not self.missing(name) and not self.holdings[name].held and self.gaps[name] is None for name in self.names
        )

    def upgrade(self, region: str) -> None:
        self.cluster.ask(region, "update ig.region set reads = 2")
        self.cluster.ask(region, "select ig.release($1)", self.placement)
        self.holdings[region] = upgrade(self.holdings[region], 2)

    def compact(self, region: str, writer: Writer) -> None:
        """Compact one stream as far as it goes, once every region holds all of it."""
        upto = max(key.position for key in self.truth if key.writer == writer)
        if upto % 4096 != 4095 and writer == self.writer(writer.origin):
            self.cluster.ask(writer.origin, "select setval('ig.position', $1)", upto | 4095)
        self.mark(writer.origin)
        self.deliver_everything()
        answer = self.cluster.ask(
            region, "select ig.compact($1, $2, $3, $4)", self.placement, writer.origin, writer.life, upto | 4095
        )
        if answer["status"] == "ok":
            self.compacted[region] |= {
                key
                for key, row in self.holdings[region].rows.items()
                if key.writer == writer
                and row.kind is Kind.WRITE
                and key.position <= answer["floor"]
                and not any(item["kind"] == "erased" for item in row.objects)
            }
