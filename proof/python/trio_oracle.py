"""The oracle on Trio: each statement of the neutral form in Trio's own words, under the autojump
clock."""

import math
import random
import sys

import trio
import trio.testing
from trio.lowlevel import checkpoint

from oracle import Deferring, Fail, Panic, TimedOut, Tally, Trace, error_tree, label, serve

# Longer than any program: a program that gets here waits for something that never comes.
FOREVER = 10**9


def cancelled_here():
    """Whether the next checkpoint of this task would raise Cancelled."""
    return trio.current_effective_deadline() == -math.inf


def tree_of(error):
    return error_tree(error, trio.Cancelled)


def tree_of_raw(error, ident):
    """The same of what comes out of the nursery of a statement."""
    label(error, ident)
    return tree_of(error)


class Handle:
    """What `start_soon` does not give: a way to cancel and to await one task."""

    def __init__(self):
        self.scope = trio.CancelScope()
        self.done = trio.Event()
        self.outcome = None
        # Whether its end is seen: a task that is started has a name only once it is ready.
        self.told = True
        # How it failed before it was ready, and whether that came of a cancellation.
        self.fault = None
        self.fault_of_cancel = False


class Interpreter(Deferring):
    def __init__(self, variation):
        super().__init__()
        self.trace = Trace(trio.current_time, variation)
        self.groups = {}
        self.tallies = {}
        self.deadlines = {}
        self.handles = {}
        # Deadlines that were moved to the past.
        self.moved = set()
        # Groups with a child that was cut off by a cancellation further out.
        self.cut = set()
        # Scopes in which a cancellation was told, and those around a whole task.
        self.told = set()
        self.roots = set()

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
        due = int(trio.current_time()) + s["ms"]
        try:
            await trio.sleep(self.trace.delay(s["ms"]))
        except trio.Cancelled:
            # Due at the same instant is due, however the variation shifts it.
            if int(trio.current_time()) >= due and self.trace.due_first():
                # If a wait ends and a cancellation comes at one instant, Trio prefers the
                # cancellation. The library takes the value.
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

    async def scoped(self, task, statements):
        """A block with a scope of its own, at whose end runs what was deferred there."""
        async with self.scope(task):
            await self.block(task, statements)

    async def defer(self, task, s):
        stack, _ = self.stacks[task][-1]
        stack.push_async_callback(self.deferred, task, s)

    async def deferred(self, task, s):
        with trio.CancelScope(shield=True):
            # Ours runs in a task of its own.
            await self.lag()
            self.trace.log(task, "deferred", s["id"])
            await self.block(task, s["body"])
            self.trace.log(task, "undeferred", s["id"])

    async def group(self, task, s):
        async def body():
            await self.block(task, s["body"])

        await self.nursery(task, s["id"], s.get("policy", "fail_fast"), "group", body)

    async def nursery(self, task, ident, policy, kind, body):
        """Run `body` in a nursery, and make of what comes out of it what the policy says."""
        done = waited = False
        nursery = error = None
        tally = self.tallies[ident] = Tally(ident, policy)
        try:
            try:
                if cancelled_here():
                    # To open a nursery is no checkpoint. In a cancelled scope ours does not begin a
                    # group.
                    await self.end_here()
                async with self.scope(task) as stack:
                    async with trio.open_nursery() as nursery:
                        self.groups[ident] = nursery
                        await body()
                        done = True
                        waited = bool(nursery.child_tasks)
                    waited = waited or bool(stack._exit_callbacks)
            finally:
                if waited or not done:
                    await self.lag()
            won = kind == "raced" and tally.succeeded
            if cancelled_here() and (ident in self.cut or (waited and not won)):
                # The wait at the end of a nursery lets the children end first and then forgets the
                # cancellation that reached the parent meanwhile, until the next checkpoint. So does
                # one whose child was not begun.
                self.trace.rule("trio-group-exit-is-no-cancel-point")
                await checkpoint()
        except BaseException as raised:
            error = raised
        if error is not None and done and not waited and tree_of_raw(error, ident) is None and ident not in self.cut:
            # The group was cancelled itself. Its body is through and nothing is waited for, so a
            # child's Cancelled is no news to the parent's next statement.
            self.trace.rule("trio-cancelled-child-ends-its-parent")
            error = None
        if error is not None and kind == "raced" and tally.succeeded and ident not in self.cut:
            if tree_of_raw(error, ident) is None:
                # The value is there, so the race ends with it, and the cancellation comes at the
                # next wait.
                self.trace.rule("trio-cancel-beats-a-race-that-is-won")
                error = None
        cancelled = cancelled_here() or nursery is not None and nursery.cancel_scope.cancel_called
        error = tally.judge(error, cancelled, error is not None and tree_of_raw(error, ident) is not None)
        if error is None:
            self.trace.log(task, kind, ident, "ok" if done else "cancelled")
            return
        self.trace.log(task, kind, ident, tree_of_raw(error, ident) or "cancelled")
        raise error

    async def race(self, task, s):
        """A nursery whose tasks are the two sides; the first success cancels the other."""
        ident = s["id"]

        async def both():
            # A deadline of this very instant fires at the first suspension point, and the sides
            # begin before that.
            status = self.groups[ident].cancel_scope._cancel_status
            while status is not None:
                if not status._scope._cancel_called and status._scope.deadline <= trio.current_time():
                    status._scope.deadline = trio.current_time() + 1e-6
                status = status._parent
            for side in (s["left"], s["right"]):
                self.groups[ident].start_soon(self.side, side, ident)

        await self.nursery(task, ident, "first_success", "raced", both)

    async def side(self, side, race):
        if self.is_asked_to_end(self.groups[race]):
            self.trace.rule("trio-runs-cancelled-task-to-first-checkpoint")
            self.child_cancelled(race)
            await checkpoint()
        self.trace.log(side["id"], "start", side["id"])
        try:
            await self.scoped(side["id"], side["body"])
        except BaseException as error:
            if tree_of(error) is None:
                self.child_cancelled(race)
                raise
            self.tallies[race].failures.append(error)
        else:
            self.tallies[race].succeeded = True
            self.enough(race)

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

    async def begins(self, handle, ident):
        """Whether a task takes its first step. Ours never polls one that is cancelled before it."""
        self.roots.add(handle.scope)
        await self.lag()
        if cancelled_here():
            self.trace.rule("trio-runs-cancelled-task-to-first-checkpoint")
            return False
        self.trace.log(ident, "start", ident)
        return True

    async def child(self, handle, s):
        ident = s["id"]
        handle.outcome = "cancelled"
        try:
            with handle.scope:
                if not await self.begins(handle, ident):
                    return
                await self.scoped(ident, s["body"])
                handle.outcome = "ok"
        except BaseException as error:
            handle.outcome = tree_of(error) or "cancelled"
            if self.keeps(s["group"], error):
                return
            raise
        finally:
            self.child_ended(handle, s)

    def keeps(self, group, error):
        """Whether the error of a child is kept for the end of its group; else it is raised in the
        nursery."""
        tally = self.tallies[group]
        if tree_of(error) is None:
            return False
        if tally.policy != "fail_fast":
            tally.failures.append(error)
            return True
        if not self.trace.tell_first():
            self.groups[group].cancel_scope.cancel()
        return False

    def child_ended(self, handle, s):
        if handle.outcome == "cancelled":
            self.child_cancelled(s["group"])
        tally = self.tallies[s["group"]]
        enough = tally.policy == "first_success" and handle.outcome == "ok"
        tally.succeeded |= enough
        if enough and not self.trace.tell_first():
            self.enough(s["group"])
        if handle.told:
            self.trace.log(s["id"], "end", s["id"], handle.outcome)
        handle.done.set()
        if enough:
            self.enough(s["group"])

    def enough(self, group):
        """A task has succeeded. What has been cancelled from further out is cut off by that."""
        if not self.is_asked_to_end(self.groups[group]):
            self.groups[group].cancel_scope.cancel()

    def is_asked_to_end(self, nursery):
        """Whether a nursery is cancelled. A deadline of this very instant counts at the next
        suspension point only, or once it was told."""
        status = nursery.cancel_scope._cancel_status
        while status is not None:
            scope = status._scope
            late = scope.deadline <= trio.current_time() and scope not in self.moved
            late = late and status not in self.told
            if scope._cancel_called and not (late and int(scope.deadline) == int(trio.current_time())):
                return True
            if scope.shield:
                return False
            status = status._parent
        return False

    def child_cancelled(self, group):
        scope = self.groups[group].cancel_scope
        if scope._cancel_status.effectively_cancelled and not scope._cancel_called:
            self.cut.add(group)

    async def start(self, task, s):
        ident = s["id"]
        nursery = self.groups[s["group"]]
        handle = Handle()
        handle.told = handle.ready = False
        if cancelled_here():
            # In a cancelled scope ours does not begin.
            try:
                await self.end_here()
            except trio.Cancelled:
                self.trace.log(task, "interrupted", ident)
                raise
        if self.is_shielded_from(nursery):
            # Until it is ready a task belongs to where its starter is, for Trio, also where that is
            # shielded from the group. Ours is in the group from the beginning.
            self.trace.rule("trio-start-runs-under-its-starter")
            outcome = await self.start_in_group(task, handle, s)
        elif self.trace.otherwise():
            # Of a word and a cancellation at one instant `nursery.start` takes the latter; so it is
            # waited for as for any event.
            outcome = await self.start_in_group(task, handle, s)
        else:
            outcome = await self.start_under(task, handle, s)
        self.trace.log(task, "started", ident, outcome)

    @staticmethod
    def is_shielded_from(nursery):
        """Whether a shield stands between the code that runs and a nursery around it."""
        status = trio.lowlevel.current_task()._cancel_status
        while status is not nursery.cancel_scope._cancel_status:
            if status._scope.shield:
                return True
            status = status._parent
        return False

    async def start_under(self, task, handle, s):
        nursery = self.groups[s["group"]]
        try:
            try:
                await nursery.start(self.starting, handle, s)
            except BaseException as error:
                await self.lag()
                if tree_of(error) is None:
                    raise
                if not cancelled_here():
                    return handle.outcome
                # Its starter has been cancelled and can do nothing about it. Ours is a failure of
                # the group then (S41).
                self.trace.rule("trio-start-fails-its-cancelled-starter")
                nursery.start_soon(self.hand_over, error, s)
                await self.lag()
                await checkpoint()
        except trio.Cancelled:
            self.trace.log(task, "interrupted", s["id"])
            raise
        await self.lag()
        self.name(handle, s)
        return "ok"

    async def hand_over(self, error, s):
        if not self.keeps(s["group"], error):
            raise error

    async def start_in_group(self, task, handle, s):
        nursery = self.groups[s["group"]]
        ready = trio.Event()
        if nursery.cancel_scope._cancel_status.effectively_cancelled:
            self.trace.rule("trio-runs-cancelled-task-to-first-checkpoint")
            return "cancelled"
        nursery.start_soon(self.start_alone, handle, ready, s)
        try:
            await ready.wait()
        except trio.Cancelled:
            await self.lag()
            if not handle.ready or not self.trace.due_first():
                handle.scope.cancel()
                with trio.CancelScope(shield=True):
                    await handle.done.wait()
                if handle.fault is not None:
                    nursery.start_soon(self.hand_over, handle.fault, s)
                    await self.lag()
                self.trace.log(task, "interrupted", s["id"])
                raise
            self.trace.rule("trio-cancel-beats-what-is-ready")
        await self.lag()
        if not handle.ready:
            return handle.outcome
        self.name(handle, s)
        return "ok"

    async def start_alone(self, handle, ready, s):
        class Status:
            started = ready.set

        try:
            await self.starting(handle, s, task_status=Status)
        except BaseException as error:
            # A failure that comes of a cancellation is the group's, any other the starter's.
            told = handle.ready or handle.fault_of_cancel
            if tree_of(error) is None or (told and not self.keeps(s["group"], error)):
                raise
            if not told:
                handle.fault = error
        finally:
            ready.set()

    def name(self, handle, s):
        """The task has a name from now on, and its end is seen."""
        self.handles[s["id"]] = handle
        handle.told = True
        if handle.done.is_set():
            self.trace.log(s["id"], "end", s["id"], handle.outcome)

    async def starting(self, handle, s, *, task_status):
        ident = s["id"]
        handle.outcome = "cancelled"
        try:
            with handle.scope:
                if not await self.begins(handle, ident):
                    await checkpoint()
                async with self.scope(ident):
                    try:
                        await self.block(ident, s["before"])
                    except BaseException:
                        # What was deferred comes after it.
                        handle.fault_of_cancel = cancelled_here()
                        raise
                    self.trace.log(ident, "ready", ident)
                    handle.ready = True
                    task_status.started()
                    await self.block(ident, s["after"])
                handle.outcome = "ok"
        except BaseException as error:
            handle.outcome = tree_of(error) or "cancelled"
            if handle.ready and self.is_in_group(s) and self.keeps(s["group"], error):
                return
            raise
        finally:
            if handle.ready:
                self.child_ended(handle, s)
            elif handle.outcome == "cancelled" and self.is_in_group(s):
                self.child_cancelled(s["group"])
            handle.done.set()

    def is_in_group(self, s):
        """Whether the task that runs is one of its group's, and its starter's no more."""
        return trio.lowlevel.current_task().parent_nursery is self.groups[s["group"]]

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
        units = s.get("give_up")
        if not ended or cancelled_here():
            try:
                if ended:
                    await self.end_here()
                with trio.CancelScope() as limit:
                    if units is not None:
                        limit.deadline = trio.current_time() + self.trace.delay(units)
                    await handle.done.wait()
            except trio.Cancelled:
                await self.lag()
                if not ended and handle.done.is_set() and self.trace.due_first():
                    self.trace.rule("trio-cancel-beats-what-is-ready")
                    self.trace.log(task, "joined", s["id"], handle.outcome)
                    return
                self.trace.log(task, "interrupted", s["id"])
                raise
            if limit.cancelled_caught:
                await self.lag()
                if not (handle.done.is_set() and self.trace.due_first()):
                    self.trace.log(task, "gave_up", s["id"])
                    return
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
            await self.scoped(task, s["body"])
        self.trace.log(task, "unshielded", s["id"])

    async def deadline(self, task, s):
        done = False
        units = s["ms"]
        with trio.CancelScope() as scope:
            scope.deadline = math.inf if units is None else trio.current_time() + self.trace.delay(units)
            self.deadlines[s["id"]] = scope
            await self.scoped(task, s["body"])
            done = True
        self.trace.log(task, "deadline", s["id"], "ok" if done else "expired")
        if not done and s["kind"] == "timeout":
            raise TimedOut(s["id"])

    async def reschedule(self, task, s):
        scope = self.deadlines[s["deadline"]]
        self.trace.log(task, "reschedules", s["id"])
        # The public `cancel_called` would fire a deadline that was due at entry and has yet to be
        # seen.
        if not scope._cancel_called:
            units = s["ms"]
            scope.deadline = math.inf if units is None else trio.current_time() + self.trace.delay(units)
            if units == 0:
                self.moved.add(scope)
                scope.cancel_called  # noqa: B018: reading it fires a deadline in the past (TR14)

    # `finally` is a keyword, too.
    async def ensure(self, task, s):
        try:
            await self.block(task, s["body"])
        finally:
            self.trace.log(task, "cleanup", s["id"])

    async def bracket(self, task, s):
        try:
            await self.scoped(task, s["body"])
        finally:
            with trio.CancelScope(shield=True):
                self.trace.log(task, "release", s["id"])
                await self.block(task, s["release"])
                self.trace.log(task, "released", s["id"])

    def told_scopes(self):
        """The scopes that a `Cancelled` of the library guards when it is delivered here.

        They reach up to the scope that was cancelled, or to the scope of the task.
        """
        status = trio.lowlevel.current_task()._cancel_status
        while status is not None:
            yield status
            if status._scope._cancel_called or status._scope in self.roots:
                return
            status = status._parent

    async def on_cancel(self, task, s):
        if cancelled_here() and trio.lowlevel.current_task()._cancel_status in self.told:
            # A `try` is no checkpoint. Ours has been told already, and does not begin another one.
            await self.end_here()
        try:
            await self.scoped(task, s["body"])
        except BaseException as error:
            if tree_of(error) is not None:
                raise
            self.told.update(self.told_scopes())
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
    """In place of Trio's random source: makes it run each batch of tasks in the order they became
    runnable."""

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
