"""What both oracles share: the trace, the error tree, deferred work, the line protocol.

A request is one JSON line `{"program": [statements], "variation": k}`; the answer is one JSON line
with the trace and the named differences that were met.
One unit of program time is one second of virtual time, so every instant is an exact integer in a
float.
Variation 0 is the plain schedule; every other one breaks ties between timers in another way.
"""

import contextlib
import json
import random
import sys


class Fail(Exception):
    """A statement `fail` was reached."""

    def __init__(self, ident):
        super().__init__(ident)
        self.ident = ident


class Panic(Exception):
    """A statement `panic` was reached."""

    def __init__(self, ident):
        super().__init__(ident)
        self.ident = ident


class TimedOut(Exception):
    """A statement `deadline` of kind `timeout` ran out."""

    def __init__(self, ident):
        super().__init__(ident)
        self.ident = ident


class Missed(Exception):
    """A group that was to have a success had no task that failed and none that succeeded."""

    def __init__(self, ident):
        super().__init__(ident)
        self.ident = ident


LEAVES = {Fail: "fail", Panic: "panic", TimedOut: "timeout", Missed: "missed"}
NOTE = "group:"


def label(error, group):
    """Remember which statement raised an exception group; notes survive `split`."""
    if isinstance(error, BaseExceptionGroup) and not any(
        note.startswith(NOTE) for note in getattr(error, "__notes__", ())
    ):
        error.add_note(f"{NOTE}{group}")


def error_tree(error, cancelled):
    """The neutral form of an error; None when nothing but cancellation is in it."""
    if isinstance(error, cancelled):
        return None
    if isinstance(error, BaseExceptionGroup):
        members = [error_tree(member, cancelled) for member in error.exceptions]
        members = [member for member in members if member is not None]
        if not members:
            return None
        ident = next(int(n[len(NOTE):]) for n in error.__notes__ if n.startswith(NOTE))
        return {"group": ident, "members": members}
    kind = LEAVES.get(type(error))
    if kind is None:
        raise error  # a mistake in the oracle: let it be seen
    return {kind: error.ident}


class Tally:
    """How the tasks of a group fared, where the first failure does not end it."""

    def __init__(self, ident, policy):
        self.ident = ident
        self.policy = policy
        self.failures = []
        self.succeeded = False

    def judge(self, error, cancelled, failed):
        """What the group raises, given what came out of a nursery whose tasks kept their errors.

        `failed` says whether `error` holds more than a cancellation. It is then an exception group
        with the body's error in it.
        """
        failures = self.failures
        if self.policy == "first_success":
            if self.succeeded and not failed:
                failures = []
            elif not failures and error is None and not self.succeeded and not cancelled:
                failures = [Missed(self.ident)]
        if not failures:
            return error
        if isinstance(error, BaseExceptionGroup):
            failures = [*error.exceptions, *failures]
        elif error is not None and isinstance(error, Exception):
            failures = [error, *failures]
        return BaseExceptionGroup("", failures)


class Trace:
    """The record of one run."""

    def __init__(self, now, variation):
        self.now = now
        self.events = []
        self.rules = {}
        self.armed = {}
        self.variation = variation
        # The first two variations keep exact times, and take the two ways out of an exact tie.
        self.jitter = random.Random(variation) if variation > 1 else None
        if self.jitter is not None:
            # Each variation has its own leaning, so that the rare combinations are not rare in all
            # of them.
            self.exact, self.due, self.tell = (self.jitter.choice((0.1, 0.5, 0.9)) for _ in range(3))

    def log(self, task, kind, ident, outcome=None):
        self.events.append([int(self.now()), task, kind, ident, outcome])

    def rule(self, name):
        """Count a named difference that the adapter had to bridge."""
        self.rules[name] = self.rules.get(name, 0) + 1

    def delay(self, units):
        """The length of a timer armed now; the variation shifts it by far less than a unit."""
        if units <= 0:
            return 0
        instant = int(self.now()) + units
        self.armed[instant] = self.armed.get(instant, 0) + 1
        if self.jitter is None or self.jitter.random() < self.exact:
            return instant - self.now()
        # Anew from the whole unit, so that shifts never add up to a unit.
        return instant + 0.9 * self.jitter.random() - self.now()

    def due_first(self):
        """Whether a timer that is due at the very instant of a cancellation comes before it."""
        return self.variation == 0 if self.jitter is None else self.jitter.random() < self.due

    def tell_first(self):
        """Whether tasks that wait for a failing task are woken before its siblings are
        cancelled."""
        return self.variation == 0 if self.jitter is None else self.jitter.random() < self.tell

    def spawn_first(self):
        """Whether a task that is spawned at an instant at which several timers are due comes before
        a cancellation."""
        return self.jitter is not None and self.armed.get(int(self.now()), 0) > 1 and self.jitter.random() < 0.5

    def otherwise(self):
        """Whether a statement that the oracle has two ways to run takes the second one."""
        return self.variation == 1 if self.jitter is None else self.jitter.random() < 0.5

    def still_counts(self, ended):
        """Whether a child that ended at this very instant is still waited for."""
        return self.jitter is not None and ended == int(self.now()) and self.jitter.random() < 0.5

    def lag(self):
        """How many passes of the scheduler go by, at the same instant, before a task that has cause
        to run does."""
        return 0 if self.jitter is None else self.jitter.choice((0, 0, 1, 2, 4))

    def answer(self):
        return {"events": self.events, "rules": self.rules}


class Deferring:
    """The deferred work of an interpreter."""

    def __init__(self):
        # Of each task, the scopes that it is in, from the outermost.
        self.stacks = {}

    @contextlib.asynccontextmanager
    async def scope(self, task, around=None):
        """A scope that code of `task` may defer something to. Last in first out, and each out of
        reach of cancellations."""
        stacks = self.stacks.setdefault(task, [])
        stack = contextlib.AsyncExitStack()
        try:
            async with stack:
                stacks.append((stack, around))
                try:
                    yield stack
                finally:
                    stacks.pop()
                    waits = bool(stack._exit_callbacks)
        finally:
            if waits:
                # What was deferred is done, and the scope has yet to see that.
                await self.lag()


def serve(run):
    """Answer requests until standard input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        answer = run(request["program"], request["variation"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
