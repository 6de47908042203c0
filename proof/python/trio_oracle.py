"""The oracle on Trio: each statement of the neutral form in Trio's own words, under the autojump clock."""

import math
import random
import sys

import trio
import trio.testing
from trio.lowlevel import checkpoint

from oracle import Fail, Panic, TimedOut, Trace, error_tree, label, serve

# Longer than any program: a program that gets here waits for something that never comes.
FOREVER = 10**9


def cancelled_here():
    """Whether the next checkpoint of this task would raise Cancelled."""
    return trio.current_effective_deadline() == -math.inf


def tree_of(error):
    return error_tree(error, trio.Cancelled)


class Handle:
    """What `start_soon` does not give: a way to cancel and to await one task."""

    def __init__(self):
        self.scope = trio.CancelScope()
        self.done = trio.Event()
        self.outcome = None


class Interpreter:
    def __init__(self, variation):
        self.trace = Trace(trio.current_time, variation)
        self.groups = {}
        self.deadlines = {}
        self.handles = {}
        # Groups with a child that was cut off by a cancellation further out.
        self.cut = set()

    async def main(self, program):
        with trio.move_on_after(FOREVER) as limit:
            try:
                await self.block(0, program)
                outcome = "ok"
            except BaseException as error:
                outcome = tree_of(error) or "cancelled"
            self.trace.log(0, "end", 0, outcome)
        if limit.cancelled_caught:
            raise RuntimeError("the program never ends")

    async def block(self, task, statements):
        for statement in statements:
            await getattr(self, statement["op"])(task, statement)

    async def sleep(self, task, s):
        due = trio.current_time() + (delay := self.trace.delay(s["ms"]))
        try:
            await trio.sleep(delay)
        except trio.Cancelled:
            if trio.current_time() >= due and self.trace.due_first():
                # Of a wait that is over and a cancellation at one instant Trio prefers the latter; ours takes what is there.
                self.trace.rule("trio-cancel-beats-what-is-ready")
                self.trace.log(task, "slept", s["id"])
                return
            self.trace.log(task, "interrupted", s["id"])
            raise
        self.trace.log(task, "slept", s["id"])

    async def fail(self, task, s):
        self.trace.log(task, "fail", s["id"])
        raise Fail(s["id"])

    async def panic(self, task, s):
        self.trace.log(task, "panic", s["id"])
        raise Panic(s["id"])

    async def group(self, task, s):
        done = waited = False
        try:
            try:
                if cancelled_here():
                    # To open a nursery is no checkpoint. In a cancelled scope ours does not begin a group.
                    await self.end_here()
                async with trio.open_nursery() as nursery:
                    self.groups[s["id"]] = nursery
                    await self.block(task, s["body"])
                    done = True
                    waited = bool(nursery.child_tasks)
            finally:
                if waited or not done:
                    await self.lag()
            if waited and cancelled_here():
                # The wait at the end of a nursery lets the children end first and then forgets the cancellation that
                # reached the parent meanwhile, until the next checkpoint.
                self.trace.rule("trio-group-exit-is-no-cancel-point")
                await checkpoint()
        except BaseException as error:
            label(error, s["id"])
            tree = tree_of(error)
            if done and not waited and tree is None and s["id"] not in self.cut:
                # The group was cancelled itself. Its body is through and nothing is waited for, so a child's Cancelled is
                # no news to the parent's next statement.
                self.trace.rule("trio-cancelled-child-ends-its-parent")
                self.trace.log(task, "group", s["id"], "ok")
                return
            self.trace.log(task, "group", s["id"], tree or "cancelled")
            raise
        self.trace.log(task, "group", s["id"], "ok" if done else "cancelled")

    async def spawn(self, task, s):
        handle = self.handles[s["id"]] = Handle()
        nursery = self.groups[s["group"]]
        if nursery.cancel_scope._cancel_status.effectively_cancelled and not self.trace.spawn_first():
            # TR7: Trio takes the task and runs it to its first checkpoint, ours refuses it.
            self.trace.rule("trio-runs-cancelled-task-to-first-checkpoint")
            handle.outcome = "cancelled"
            self.trace.log(s["id"], "end", s["id"], "cancelled")
            handle.done.set()
            return
        nursery.start_soon(self.child, handle, s)

    async def child(self, handle, s):
        ident = s["id"]
        handle.outcome = "cancelled"
        try:
            with handle.scope:
                await self.lag()
                if cancelled_here():
                    # The same for a task that is cancelled before its first step: ours never polls it.
                    self.trace.rule("trio-runs-cancelled-task-to-first-checkpoint")
                    return
                self.trace.log(ident, "start", ident)
                await self.block(ident, s["body"])
                handle.outcome = "ok"
        except BaseException as error:
            handle.outcome = tree_of(error) or "cancelled"
            if handle.outcome != "cancelled" and not self.trace.tell_first():
                self.groups[s["group"]].cancel_scope.cancel()
            raise
        finally:
            if handle.outcome == "cancelled":
                self.child_cancelled(s["group"])
            self.trace.log(ident, "end", ident, handle.outcome)
            handle.done.set()

    def child_cancelled(self, group):
        scope = self.groups[group].cancel_scope
        if scope._cancel_status.effectively_cancelled and not scope._cancel_called:
            self.cut.add(group)

    async def end_here(self):
        self.trace.rule("trio-goes-on-in-a-cancelled-scope")
        await checkpoint()

    async def lag(self):
        for _ in range(self.trace.lag()):
            await schedule_point()

    # `await` is a keyword, so the statement goes by another name here.
    async def join(self, task, s):
        handle = self.handles.get(s["task"])
        if handle is None:
            self.trace.log(task, "absent", s["id"])
            return
        ended = handle.done.is_set()
        if not ended or cancelled_here():
            try:
                if ended:
                    await self.end_here()
                await handle.done.wait()
            except trio.Cancelled:
                await self.lag()
                if not ended and handle.done.is_set() and self.trace.due_first():
                    self.trace.rule("trio-cancel-beats-what-is-ready")
                    self.trace.log(task, "joined", s["id"], handle.outcome)
                    return
                self.trace.log(task, "interrupted", s["id"])
                raise
        self.trace.log(task, "joined", s["id"], handle.outcome)

    async def cancel_task(self, task, s):
        handle = self.handles.get(s["task"])
        self.trace.log(task, "cancels" if handle else "absent", s["id"])
        if handle:
            handle.scope.cancel()

    async def cancel_group(self, task, s):
        self.trace.log(task, "cancels", s["id"])
        self.groups[s["group"]].cancel_scope.cancel()

    async def shield(self, task, s):
        with trio.CancelScope(shield=True):
            await self.block(task, s["body"])
        self.trace.log(task, "unshielded", s["id"])

    async def deadline(self, task, s):
        done = False
        units = s["ms"]
        with trio.CancelScope() as scope:
            scope.deadline = math.inf if units is None else trio.current_time() + self.trace.delay(units)
            self.deadlines[s["id"]] = scope
            await self.block(task, s["body"])
            done = True
        self.trace.log(task, "deadline", s["id"], "ok" if done else "expired")
        if not done and s["kind"] == "timeout":
            raise TimedOut(s["id"])

    async def reschedule(self, task, s):
        scope = self.deadlines[s["deadline"]]
        self.trace.log(task, "reschedules", s["id"])
        # The public `cancel_called` would fire a deadline that was due at entry and has yet to be seen.
        if not scope._cancel_called:
            units = s["ms"]
            scope.deadline = math.inf if units is None else trio.current_time() + self.trace.delay(units)
            if units == 0:
                scope.cancel_called  # noqa: B018: reading it fires a deadline in the past (TR14)

    # `finally` is a keyword, too.
    async def ensure(self, task, s):
        try:
            await self.block(task, s["body"])
        finally:
            self.trace.log(task, "cleanup", s["id"])

    async def bracket(self, task, s):
        try:
            await self.block(task, s["body"])
        finally:
            with trio.CancelScope(shield=True):
                self.trace.log(task, "release", s["id"])
                await self.block(task, s["release"])
                self.trace.log(task, "released", s["id"])

    async def on_cancel(self, task, s):
        try:
            await self.block(task, s["body"])
        except BaseException as error:
            if tree_of(error) is not None:
                raise
            with trio.CancelScope(shield=True):
                self.trace.log(task, "oncancel", s["id"])
                await self.block(task, s["cleanup"])
                self.trace.log(task, "cleaned", s["id"])
            if s["then"] == "fail":
                raise Fail(s["id"]) from None
            if s["then"] == "leave":
                raise

    async def catch(self, task, s):
        try:
            await self.block(task, s["body"])
        except BaseException as error:
            tree = tree_of(error)
            if tree is None:
                raise
            self.trace.log(task, "caught", s["id"], tree)


schedule_point = trio._core._run.cancel_shielded_checkpoint


class FirstCome:
    """In place of Trio's random source: makes it run each batch of tasks in the order they became runnable."""

    @staticmethod
    def random():
        return 0.0


def run(program, variation):
    interpreter = None

    async def no_schedule_point():
        # TR18: leaving a nursery lets others run first; ours goes straight on.
        if interpreter.groups:  # not Trio's own nursery around everything
            interpreter.trace.rule("trio-group-exit-is-a-schedule-point")

    # Both ways are tried.
    trio._core._run.cancel_shielded_checkpoint = schedule_point if variation % 2 else no_schedule_point
    # Every variation but the first shuffles the batches; seeded, so that it is repeatable.
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = variation > 0
    trio._core._run._r = random.Random(variation) if variation else FirstCome

    async def main():
        nonlocal interpreter
        interpreter = Interpreter(variation)
        await interpreter.main(program)
        return interpreter.trace.answer()

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), strict_exception_groups=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--version"]:
        print(f"Trio {trio.__version__} on Python {sys.version.split()[0]}")
    else:
        serve(run)
